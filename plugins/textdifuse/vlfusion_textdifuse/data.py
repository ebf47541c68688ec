"""Transforms of Text-DiFuse's training: limited sizes, and a stand-in for its degraded images."""

import cv2
import numpy as np
from jaxtyping import Float
from mmcv.transforms import BaseTransform

from vlfusion.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LimitShortSide(BaseTransform):
    """Resize an image, with its shape kept, if its shorter side is outside two limits. Use it in `BothSources`.

    Enlarging is bicubic; shrinking averages.

    Args:
        least, most: limits of the shorter side in pixels.
    """

    def __init__(self, least: int, most: int):
        self.least, self.most = least, most

    def transform(self, results: dict) -> dict:
        height, width = results['img'].shape[:2]
        short = min(height, width)
        wanted = min(max(short, self.least), self.most)
        if wanted != short:
            size = (round(width * wanted / short), round(height * wanted / short))
            how = cv2.INTER_AREA if wanted < short else cv2.INTER_CUBIC
            results['img'] = cv2.resize(results['img'], size, interpolation=how).clip(0, 1)
        return results


@TRANSFORMS.register_module()
class DegradedCopy(BaseTransform):
    """Make a pair for the phase `diffusion` of one image: A is degraded, B is the image, one of both sources.

    The copy is darkened or brightened by a power, pressed towards its mean, and gets Gaussian noise, each by a random
    amount. This stands in for degraded and clean photographs, which the authors did not publish.

    Args:
        gamma: largest power; the least is its inverse.
        contrast: least factor of the contrast.
        noise: largest standard deviation of the noise.
    """

    def __init__(self, gamma: float = 2.0, contrast: float = 0.5, noise: float = 0.1):
        self.gamma, self.contrast, self.noise = gamma, contrast, noise

    def transform(self, results: dict) -> dict:
        clean = results[('img_a', 'img_b')[np.random.randint(2)]]
        return {**results, 'img_a': self._degraded(clean), 'img_b': clean}

    def _degraded(self, image: Float[np.ndarray, 'h w']) -> Float[np.ndarray, 'h w']:
        image = image ** self.gamma ** np.random.uniform(-1, 1)
        image = image.mean() + np.random.uniform(self.contrast, 1) * (image - image.mean())
        noise = np.random.uniform(0, self.noise) * np.random.standard_normal(image.shape)
        return (image + noise).clip(0, 1).astype(np.float32)
