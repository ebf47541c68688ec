"""LDFusion's augmentation, and AutoFuse's cutting of pairs into views that get their own words."""

from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float
from mmcv.transforms import BaseTransform

from vlfusion.data.pairs import Pair
from vlfusion.data.transforms import LoadPair
from vlfusion.imaging.images import write_image
from vlfusion.registry import TRANSFORMS
from vlfusion_ldfusion.directional import is_rich
from vlfusion_ldfusion.distortion import Distortion

#: Draws of a view before the last one is taken as it is. The released code has no limit, so a flat image stops it.
TRIES = 20


@TRANSFORMS.register_module()
class RandomView(BaseTransform):
    """Cut a square at random and distort it a little, as LDFusion's training does. Used inside `BothSources`.

    A smaller image is extended by reflection. A view in which all images are nearly flat is drawn again.

    Args:
        size: side of the square in pixels.
        least_deviation: standard deviation, of levels in [0, 1], that at least one image of a view must have.
    """

    def __init__(self, size: int = 224, least_deviation: float = 0.05):
        self.size, self.least_deviation, self.distortion = size, least_deviation, Distortion()

    def transform(self, results: dict) -> dict:
        for _ in range(TRIES):
            view = np.ascontiguousarray(np.moveaxis(cut_square(results['img'], self.size), -1, 0))
            view = self.distortion(torch.from_numpy(view), np.random.rand(6).tolist()).numpy()
            if view.std((1, 2)).max() >= self.least_deviation:
                break
        return {**results, 'img': np.moveaxis(view, 0, -1)}


def cut_square(image: Float[np.ndarray, 'h w image'], side: int) -> Float[np.ndarray, 'side side image']:
    """Cut a square at a random place of an image, which is extended by reflection where it is too small."""
    missing = [max(0, side - length) for length in image.shape[:2]]
    image = np.pad(image, [*((length, length) for length in missing), (0, 0)], mode='reflect')
    top, left = (np.random.randint(length - side + 1) for length in image.shape[:2])
    return image[top:top + side, left:left + side]


def cut_views(pair: Pair, folder: Path, count: int, side: int = 336, least_entropy: float = 6.0) -> int:
    """Write views of a pair, at a random scale each, as AutoFuse's authors make their training pairs.

    The shorter side of the images becomes `side` to four times `side` pixels, and a square is cut. A view is left out
    if both its images have little entropy.

    Args:
        pair: the pair.
        folder: folder for the files `ir/NAME_0.png`, `vi/NAME_0.png` and so on, in grey.
        count: number of views to draw.
        side: side of a view in pixels.
        least_entropy: entropy, in bits, that at least one image of a view must have.

    Returns:
        The number of views written.
    """
    record = LoadPair().transform(dict(name=pair.name, path_a=pair.path_a, path_b=pair.path_b))
    image = np.dstack((record['img_a'], record['img_b']))
    height, width = image.shape[:2]
    written = 0
    for index in range(count):
        factor = np.random.randint(side, 4 * side) / min(height, width)
        scaled = cv2.resize(image, (max(side, round(width * factor)), max(side, round(height * factor))))
        view = np.ascontiguousarray(np.moveaxis(cut_square(scaled, side), -1, 0))
        if is_rich(torch.from_numpy(view), least_entropy).any():
            written += 1
            for place, plane in zip(('ir', 'vi'), view, strict=True):
                path = folder / place / f'{pair.name.replace("/", "_")}_{index}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                write_image(path, (255 * plane).round().clip(0, 255).astype(np.uint8))
    return written
