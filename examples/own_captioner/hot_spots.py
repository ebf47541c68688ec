"""A captioner of your own: bright spots of thermal images, with their places."""

import cv2
import numpy as np

from vlfusion.language.interfaces import Observation
from vlfusion.registry import CAPTIONERS


@CAPTIONERS.register_module()
class HotSpotCaptioner:
    """Bright connected regions of an image, largest first.

    Args:
        above: brightness above which a pixel is hot, as a fraction of the range between the darkest and the brightest.
        least: smallest share of the image that a region covers.
        most: largest number of regions.
    """

    version, images = '1', 1  # another version makes records again; one image is looked at, not a pair

    def __init__(self, above: float = 0.8, least: float = 0.002, most: int = 5):
        self.above, self.least, self.most = above, least, most

    @staticmethod
    def self_contained(config: dict) -> bool:
        """No network, key, file or model is needed, so a checkpoint may ask for this captioner."""
        return True

    def observe(self, scenes: list[tuple[np.ndarray]], modalities: tuple[str]) -> list[list[Observation]]:
        """Return the observations of each image; none if it is flat."""
        return [self._observe(image) for image, in scenes]

    def _observe(self, image: np.ndarray) -> list[Observation]:
        grey = image.astype(np.float32).reshape(*image.shape[:2], -1).mean(axis=2)
        low, high = grey.min(), grey.max()
        if low == high:
            return []
        _, _, regions, _ = cv2.connectedComponentsWithStats((grey >= low + self.above * (high - low)).astype(np.uint8))
        height, width = grey.shape
        observations = []
        for x, y, wide, tall, pixels in sorted(regions[1:].tolist(), key=lambda region: -region[4])[:self.most]:
            if pixels >= self.least * grey.size:
                box = (x / width, y / height, (x + wide) / width, (y + tall) / height)
                observations.append(Observation('a hot spot', box=box, area=pixels / grey.size))
        return observations
