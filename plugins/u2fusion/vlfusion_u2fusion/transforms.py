"""The augmentation of U2Fusion: which source comes first is left to chance."""

import numpy as np
from mmcv.transforms import BaseTransform

from vlfusion.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SwapSources(BaseTransform):
    """Exchange the two sources, inside `BothSources`. U2Fusion draws it for each batch, this for each pair.

    Args:
        prob: how often.
    """

    def __init__(self, prob: float = 0.5):
        self.prob = prob

    def transform(self, results: dict) -> dict:
        if np.random.random() < self.prob:
            results['img'] = results['img'][..., ::-1]
        return results
