"""Regions of an image, found by SAM without labels and named by another captioner."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool
from PIL.Image import Resampling
from torch import nn

from vlfusion.errors import ConfigError
from vlfusion.language.captioners.parts import check_numbers, load_transformers
from vlfusion.language.captioners.pixels import rgb
from vlfusion.language.captioners.scenes import checked_scenes
from vlfusion.language.former import up_to_date
from vlfusion.language.interfaces import Image, Observation
from vlfusion.registry import CAPTIONERS


@CAPTIONERS.register_module()
class SamMasks:
    """Largest regions of each image with box and area, by the automatic masks of SAM (Kirillov et al., ICCV 2023).

    SAM2 works as well. Neither names regions: the box of each region is cropped and shown to the labeller, and the
    labeller's first observation is the text of the region. A region without an observation is dropped.

    Args:
        model: a folder, or the id of a model on the Hugging Face hub, such as `facebook/sam-vit-base` or
            `facebook/sam2.1-hiera-small`.
        labeller: the config of a captioner, such as `dict(type='OpenCLIPTagger', pretrained='openai', labels=[...])`.
        top_k: the largest number of regions; the largest regions are kept.
        min_area: the least area of a region, as a fraction of the image.
        quality: the least overlap with the truth, as SAM predicts it for a mask.
        stability: the least stability of a mask under changes of its threshold.
        points_per_side: grid points along each side at which SAM looks for a mask.
        revision: branch, tag or commit of a hub model.
        device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one.
        dtype: `float32`, `float16` or `bfloat16`.
        batch_size: grid points in one batch; images are processed one by one.

    Raises:
        ConfigError: transformers is not installed, a model cannot be loaded, or a setting is out of range.
    """

    version, images = '2', 1

    def __init__(self, model: str, labeller: Mapping, *, top_k: int = 5, min_area: float = 0.01,
                 quality: float = 0.88, stability: float = 0.95, points_per_side: int = 32,
                 revision: str | None = None, device: str = 'cpu', dtype: str = 'float32', batch_size: int = 64):
        part = type(self).__name__
        check_numbers(part, {'top_k': top_k, 'points_per_side': points_per_side, 'batch_size': batch_size},
                      {'min_area': min_area, 'quality': quality, 'stability': stability})
        if 'type' not in labeller:
            raise ConfigError(f'The labeller of {part} has no type.',
                              "Write labeller=dict(type='OpenCLIPTagger', ...).")
        processor, network = load_transformers(part, 'AutoModelForMaskGeneration', model, revision, device, dtype)
        network.register_forward_hook(_in_float32)
        from transformers import pipeline
        self.generate = pipeline('mask-generation', model=network, image_processor=processor.image_processor,
                                 device=network.device)
        # SAM2 stretches images to squares, but transformers places the points as if images kept their shape, so part
        # of a wide or tall image would get no points. On a square image both agree.
        side = processor.image_processor.size.get('height')
        self.square = (side, side) if side else None
        self.labeller = up_to_date(CAPTIONERS.build(dict(labeller)))
        if self.labeller.images != 1:
            raise ConfigError(f'The labeller of {part} must see single images, but {labeller["type"]} sees pairs.',
                              'Name a captioner of single images.')
        self.top_k, self.min_area = top_k, min_area
        self.settings = {'pred_iou_thresh': quality, 'stability_score_thresh': stability,
                         'points_per_crop': points_per_side, 'points_per_batch': batch_size}

    def observe(self, scenes: Sequence[tuple[Image]], modalities: tuple[str]) -> list[list[Observation]]:
        """Return the largest regions of each image, the largest first, with the scores of the labeller.

        Args:
            scenes: single images, as `vlfusion.imaging.images.read_image` returns them.
            modalities: the modality of the images, for the labeller.

        Raises:
            DataError: an image holds floats or has no pixels, or scenes or modalities have another form.
        """
        return [self._regions(image, modalities) for image, in checked_scenes(self, scenes, modalities)]

    def _regions(self, image: np.ndarray, modalities: tuple[str]) -> list[Observation]:
        picture = rgb(image)
        with torch.inference_mode():
            outputs = self.generate(picture.resize(self.square, Resampling.BILINEAR) if self.square else picture,
                                    **self.settings)
        masks = sorted((mask for mask in map(np.asarray, outputs['masks'])
                        if mask.mean() >= self.min_area and mask.any()),
                       key=lambda mask: -mask.mean())[:self.top_k]
        height, width = image.shape[:2]
        boxes = [_bounds(mask, height, width) for mask in masks]
        crops = [(np.ascontiguousarray(image[top:bottom, left:right]),) for left, top, right, bottom in boxes]
        labels = self.labeller.observe(crops, modalities) if crops else []
        regions = []
        for mask, box, observations in zip(masks, boxes, labels, strict=True):
            if isinstance(observations, Exception):
                raise observations
            if observations:
                left, top, right, bottom = box
                place = (left / width, top / height, right / width, bottom / height)
                regions.append(Observation(observations[0].text, place, float(mask.mean()), observations[0].score))
        return regions


def _in_float32(network: nn.Module, inputs: tuple, outputs: dict) -> None:
    """Convert masks and scores to float32, because the pipeline selects by an operation without half precision."""
    for name in ('pred_masks', 'iou_scores'):
        outputs[name] = outputs[name].float()


def _bounds(mask: Bool[np.ndarray, 'h w'], height: int, width: int) -> tuple[int, int, int, int]:
    """Return the smallest box `(left, top, right, bottom)` of whole pixels around a mask that is not empty.

    Right and bottom are exclusive. Height and width are those of the image; the mask may have another size.
    """
    rows, columns = np.flatnonzero(mask.any(1)).tolist(), np.flatnonzero(mask.any(0)).tolist()
    tall, wide = mask.shape
    return (columns[0] * width // wide, rows[0] * height // tall,
            -(-(columns[-1] + 1) * width // wide), -(-(rows[-1] + 1) * height // tall))
