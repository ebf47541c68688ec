"""A stand-in for association maps, which need networks that find what a sentence names."""

from mmcv.transforms import BaseTransform

from vlfusion.registry import TRANSFORMS


@TRANSFORMS.register_module()
class AssociateBright(BaseTransform):
    """Make a map `association` of the pixels that are bright in source A: 1 there, 0 elsewhere.

    In infrared images these are warm things, such as pedestrians. It says nothing about the sentence, so it is for data
    sets without maps. Put it after `LoadPair`.

    Args:
        deviations: number of standard deviations above the mean of an image from which a pixel is bright.
    """

    def __init__(self, deviations: float = 1.0):
        self.deviations = deviations

    def transform(self, results: dict) -> dict:
        image = results['img_a']
        bright = image > image.mean() + self.deviations * image.std()
        return results | dict(map_association=bright.astype(image.dtype),
                              maps={**results.get('maps', {}), 'association': results['path_a']})
