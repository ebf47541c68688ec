"""Focus pairs for training GIFNet (Cheng et al., CVPR 2025): two copies of a visible image, blurred in different parts.

    pipeline=[dict(type='LoadPair'), dict(type='vlfusion_gifnet.LoadFocusPair'),
              dict(type='vlfusion_gifnet.PackFocusPair')]
"""

from pathlib import Path

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform

from vlfusion.data.transforms import PackPair
from vlfusion.errors import DataError
from vlfusion.imaging.images import luminance, read_image
from vlfusion.imaging.reading.rule import AS_STORED
from vlfusion.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadFocusPair(BaseTransform):
    """Read the prepared focus pair of a visible image into `img_near` and `img_far`.

    Both files have the path of the visible image, with one folder replaced.

    Args:
        visible: name of the folder of visible images, on the path of source B.
        near, far: names of the folders that replace it.
    """

    def __init__(self, visible: str = 'visible', near: str = 'visible_focus_near', far: str = 'visible_focus_far'):
        self.visible, self.folders = visible, {'near': near, 'far': far}

    def transform(self, results: dict) -> dict:
        """Raise DataError if the path has no folder `visible`, or the images differ in size from source B."""
        parts = Path(results['path_b']).parts
        if self.visible not in parts:
            raise DataError(f'{results["path_b"]} is not in a folder {self.visible!r}.',
                            "Give the folder of the visible images: LoadFocusPair(visible='...').")
        index = len(parts) - 1 - parts[::-1].index(self.visible)
        for key, folder in self.folders.items():
            path = Path(*parts[:index], folder, *parts[index + 1:])
            results[f'img_{key}'] = luminance(read_image(path, results.get('reading_b', AS_STORED)))
            if results[f'img_{key}'].shape != results['img_b'].shape:
                raise DataError(f'{path} is {results[f"img_{key}"].shape}, source B {results["img_b"].shape} (h, w).',
                                'LoadFocusPair reads whole images: do not crop or flip the pair before it.')
        return results


@TRANSFORMS.register_module()
class BlurFocusPair(BaseTransform):
    """Make a focus pair from source B: a random region is sharp in `img_near`, the rest in `img_far`.

    Use it for data without prepared focus pairs.

    Args:
        sigma: standard deviation of the Gaussian blur, in pixels.
    """

    def __init__(self, sigma: float = 2.0):
        self.sigma = sigma

    def transform(self, results: dict) -> dict:
        sharp = np.ascontiguousarray(results['img_b'])
        blurred = cv2.GaussianBlur(sharp, (0, 0), self.sigma)
        noise = np.random.standard_normal(sharp.shape).astype(np.float32)
        blob = cv2.GaussianBlur(noise, (0, 0), max(sharp.shape) / 8)
        near = blob > np.median(blob)
        results['img_near'], results['img_far'] = np.where(near, sharp, blurred), np.where(near, blurred, sharp)
        return results


@TRANSFORMS.register_module()
class PackFocusPair(PackPair):
    """`PackPair`, with the focus pair as `near` and `far`, float32 tensors `(1, h, w)`."""

    def transform(self, results: dict) -> dict:
        sample = super().transform(results)
        for key in ('near', 'far'):
            sample[key] = torch.from_numpy(np.ascontiguousarray(results[f'img_{key}'], np.float32))[None]
        return sample
