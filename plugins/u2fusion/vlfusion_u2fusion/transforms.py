"""The augmentation of U2Fusion (Xu et al., TPAMI 2022): a random order of the sources."""

import numpy as np
from mmcv.transforms import BaseTransform

from vlfusion.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SwapSources(BaseTransform):
    """Exchange the two sources at random, inside `BothSources`: here for each pair, in U2Fusion for each batch.

    Args:
        prob: probability of an exchange.
    """

    def __init__(self, prob: float = 0.5):
        self.prob = prob

    def transform(self, results: dict) -> dict:
        if np.random.random() < self.prob:
            results['img'] = results['img'][..., ::-1]
        return results
