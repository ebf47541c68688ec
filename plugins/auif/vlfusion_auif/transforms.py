"""The augmentation with which AUIF-Net (Zhao et al., IEEE TCSVT 2021) was trained."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from vlfusion.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomResizedCrop(BaseTransform):
    """Crop a window of random area, shape and position and resize it to a square. Used inside `BothSources`.

    The area is 8 to 100 % of the image, the ratio of width to height 3/4 to 4/3, as in Szegedy et al. (CVPR 2015). If
    no window fits in ten draws, the largest square in the middle is taken.

    Args:
        size: side of the result in pixels.
        area: smallest and largest share of the image's area.
    """

    def __init__(self, size: int, area: tuple[float, float] = (0.08, 1.0)):
        self.size, self.area = size, tuple(area)

    def transform(self, results: dict) -> dict:
        image = results['img']
        top, left, height, width = self._window(*image.shape[:2])
        window = image[top:top + height, left:left + width]
        shrinks = min(height, width) > self.size
        results['img'] = cv2.resize(window, (self.size, self.size),
                                    interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        return results

    def _window(self, image_height: int, image_width: int) -> tuple[int, int, int, int]:
        for _ in range(10):
            area = image_height * image_width * np.random.uniform(*self.area)
            ratio = np.exp(np.random.uniform(np.log(3 / 4), np.log(4 / 3)))
            height, width = round(np.sqrt(area / ratio)), round(np.sqrt(area * ratio))
            if 0 < height <= image_height and 0 < width <= image_width:
                return (np.random.randint(image_height - height + 1), np.random.randint(image_width - width + 1),
                        height, width)
        side = min(image_height, image_width)
        return (image_height - side) // 2, (image_width - side) // 2, side, side
