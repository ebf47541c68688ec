"""The regions of an image, cut out by SAM without being told what to look for, and named by another captioner."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool

from vlfusion.errors import ConfigError
from vlfusion.language.captioners.parts import check_numbers, load_transformers
from vlfusion.language.captioners.pixels import rgb
from vlfusion.language.interfaces import Image, Observation
from vlfusion.registry import CAPTIONERS


@CAPTIONERS.register_module()
class SamMasks:
    """The largest regions of each image with box and area, by SAM's automatic masks (Kirillov et al., ICCV 2023).

    SAM gives no names: each region's box is cut out of the image, shown to the labeller, and the first thing that it
    says is the region's text. A region of which it says nothing is left out.

    Args:
        model: a folder, or the id of a model on the Hugging Face hub, such as `facebook/sam-vit-base`.
        labeller: the config of a captioner, such as `dict(type='OpenCLIPTagger', pretrained='openai', labels=[...])`.
        top_k: at most so many regions, the largest.
        min_area: the least area of a region, as a fraction of the image.
        quality: the least overlap with the truth that SAM predicts for a mask.
        stability: the least stability of a mask under changes of its threshold.
        points_per_side: SAM asks at so many points along each side.
        revision: branch, tag or commit of a hub model.
        device: where it runs, such as `cpu` or `cuda`.
        dtype: `float32`, `float16` or `bfloat16`.
        batch_size: how many points are asked at once; images go one by one.

    Raises:
        ConfigError: transformers is not installed, a model cannot be loaded, or a setting is out of range.
    """

    version = '1'

    def __init__(self, model: str, labeller: Mapping, top_k: int = 5, min_area: float = 0.01, quality: float = 0.88,
                 stability: float = 0.95, points_per_side: int = 32, revision: str | None = None, device: str = 'cpu',
                 dtype: str = 'float32', batch_size: int = 64):
        part = type(self).__name__
        check_numbers(part, {'top_k': top_k, 'points_per_side': points_per_side, 'batch_size': batch_size},
                      {'min_area': min_area, 'quality': quality, 'stability': stability})
        if 'type' not in labeller:
            raise ConfigError(f'The labeller of {part} has no type.',
                              "Write labeller=dict(type='OpenCLIPTagger', ...).")
        processor, network = load_transformers(part, 'AutoModelForMaskGeneration', model, revision, device, dtype)
        from transformers import pipeline
        self.generate = pipeline('mask-generation', model=network, image_processor=processor.image_processor,
                                 device=network.device)
        self.labeller = CAPTIONERS.build(dict(labeller))
        self.top_k, self.min_area = top_k, min_area
        self.settings = {'pred_iou_thresh': quality, 'stability_score_thresh': stability,
                         'points_per_crop': points_per_side, 'points_per_batch': batch_size}

    def observe(self, images: Sequence[Image], modality: str) -> list[list[Observation]]:
        """The largest regions of each image, the largest first, with the scores of the labeller.

        Args:
            images: as `vlfusion.images.read_image` returns them.
            modality: what the labeller is told.

        Raises:
            DataError: an image is of floats or has no pixels.
        """
        return [self._regions(image, modality) for image in images]

    def _regions(self, image: np.ndarray, modality: str) -> list[Observation]:
        with torch.inference_mode():
            found = self.generate(rgb(image), **self.settings)['masks']
        masks = sorted((mask for mask in map(np.asarray, found) if mask.mean() >= self.min_area and mask.any()),
                       key=lambda mask: -mask.mean())[:self.top_k]
        boxes = [_bounds(mask) for mask in masks]
        crops = [np.ascontiguousarray(image[top:bottom, left:right]) for left, top, right, bottom in boxes]
        height, width = image.shape[:2]
        regions = []
        for mask, box, said in zip(masks, boxes, self.labeller.observe(crops, modality) if crops else [], strict=True):
            if said:
                left, top, right, bottom = box
                place = (left / width, top / height, right / width, bottom / height)
                regions.append(Observation(said[0].text, place, float(mask.mean()), said[0].score))
        return regions


def _bounds(mask: Bool[np.ndarray, 'h w']) -> tuple[int, int, int, int]:
    """The smallest box `(left, top, right, bottom)` around a mask that is not empty, right and bottom exclusive."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
