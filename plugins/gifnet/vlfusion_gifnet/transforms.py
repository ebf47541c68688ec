"""The focus pairs that GIFNet learns from: a visible image, blurred in one part and in the other.

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
    """Read the prepared focus pair of a visible image, of its name in other folders, into `img_near` and `img_far`.

    Args:
        visible: the folder on the path of source B in whose place the other two are put.
        near, far: those two.
    """

    def __init__(self, visible: str = 'visible', near: str = 'visible_focus_near', far: str = 'visible_focus_far'):
        self.visible, self.folders = visible, {'near': near, 'far': far}

    def transform(self, results: dict) -> dict:
        """Raises DataError where the path has no such folder, or the images differ in size from source B."""
        parts = Path(results['path_b']).parts
        if self.visible not in parts:
            raise DataError(f'{results["path_b"]} lies in no folder {self.visible!r}.',
                            "Name the folder of the visible images: LoadFocusPair(visible='...').")
        index = len(parts) - 1 - parts[::-1].index(self.visible)
        for key, folder in self.folders.items():
            path = Path(*parts[:index], folder, *parts[index + 1:])
            results[f'img_{key}'] = luminance(read_image(path, results.get('reading_b', AS_STORED)))
            if results[f'img_{key}'].shape != results['img_b'].shape:
                raise DataError(f'{path} is {results[f"img_{key}"].shape}, source B {results["img_b"].shape} (h, w).',
                                'LoadFocusPair reads whole images: no transform before it may cut or turn the pair.')
        return results


@TRANSFORMS.register_module()
class BlurFocusPair(BaseTransform):
    """Make a focus pair of source B: a blob of random shape is sharp in `img_near`, all around it in `img_far`.

    A stand-in, for data without prepared focus pairs.

    Args:
        sigma: of the Gaussian blur, in pixels.
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
