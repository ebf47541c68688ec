"""Segmenters of torchvision: DeepLabV3, LR-ASPP and FCN."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate

from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.interfaces import IGNORED, Mask, Picture, Segmenter
from vlfusion.downstream.networks import (
    as_tensors,
    check_size,
    device_of,
    in_equal_batches,
    normalised,
    place_masks,
)
from vlfusion.downstream.torchvision_weights import build_torchvision, own_classes
from vlfusion.errors import ConfigError
from vlfusion.language.captioners.parts import check_numbers
from vlfusion.language.precision import torch_device
from vlfusion.registry import SEGMENTERS


@SEGMENTERS.register_module()
class TorchvisionSegmenter(Segmenter):
    """Segmenter of torchvision by its name there, trained by torchvision, here, or both.

    Args:
        classes: classes of the labels.
        model: name of the model in torchvision: `deeplabv3_mobilenet_v3_large`, `deeplabv3_resnet50`, `fcn_resnet50`,
            `lraspp_mobilenet_v3_large` and others.
        weights: name of torchvision's weights, such as `COCO_WITH_VOC_LABELS_V1`, which the first use loads; None
            begins at random.
        names: a dict from class names of the weights to those of the table; by default equal names. Pixels of other
            classes become void. It has no effect without weights, or with a new head.
        new_head: True to begin with the weights, but with random layers for the classes of the table, to be trained.
        size: height and width of the picture that the network sees; None for the picture's own.
        device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one.
        batch_size: pictures in one batch when masks are predicted.

    Raises:
        ConfigError: torchvision is not installed, the model or its weights are not known or cannot be loaded, no class
            of the weights has a place in the table, the table lacks a void class for the others, or a setting is out of
            range.
    """

    def __init__(self, classes: ClassTable, model: str, *, weights: str | None = None,
                 names: Mapping[str, str] | None = None, new_head: bool = False, size: Sequence[int] | None = None,
                 device: str = 'cpu', batch_size: int = 4):
        super().__init__()
        part = type(self).__name__
        check_numbers(part, {'batch_size': batch_size})
        self.size, self.batch_size, self.dtype = check_size(part, size), batch_size, classes.dtype
        own = own_classes(part, 'segmentation', model, weights) if weights else None
        self.places = None if own is None or new_head else place_masks(part, dict(enumerate(own)), classes, names)
        count = len(classes) if self.places is None else len(self.places)
        self.network = build_torchvision(part, 'segmentation', model, weights, count)
        self.trainable = self.untrained = self.places is None
        self.eval().to(torch_device(device))

    @torch.inference_mode()
    def segment(self, pictures: Sequence[Picture]) -> list[Mask]:
        self.eval()
        return in_equal_batches(self._segment, pictures, self.batch_size)

    def _segment(self, pictures: list[Picture]) -> list[Mask]:
        batch = as_tensors(pictures, device_of(self))
        seen = batch if self.size is None else interpolate(batch, self.size, mode='bilinear', antialias=True)
        logits = interpolate(self.network(normalised(seen))['out'], batch.shape[2:], mode='bilinear')
        masks = logits.argmax(1).cpu().numpy()
        return list(masks.astype(self.dtype) if self.places is None else self.places[masks])

    def losses(self, pictures: Float[Tensor, 'batch 3 height width'],
               labels: Int[Tensor, 'batch height width']) -> dict[str, Tensor]:
        if not self.trainable:
            raise ConfigError(f'{type(self).__name__} has the classes of its weights, which are not trained further.',
                              'Set new_head=True to train it for the classes of the labels.')
        if len(pictures) < 2:
            raise ConfigError(f'{type(self).__name__} normalises over the pictures of a batch, but got only one.',
                              'Set batch_size to 2 or more.')
        self.train()
        outputs = self.network(normalised(pictures))
        count = (labels != IGNORED).sum().clamp(min=1)
        # The mean of no pixel would be NaN. The auxiliary classifier of FCN and DeepLabV3 has half the weight, as in
        # torchvision's own training.
        return {f'loss_{name}': (0.5 if name == 'aux' else 1) / count * cross_entropy(
            logits, labels, ignore_index=IGNORED, reduction='sum') for name, logits in outputs.items()}
