"""Detectors of torchvision: Faster R-CNN, FCOS, RetinaNet, SSD and SSDlite."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.interfaces import Detector, Picture
from vlfusion.downstream.networks import (
    as_tensors,
    check_size,
    counted,
    device_of,
    in_equal_batches,
    place_classes,
    predicted,
)
from vlfusion.downstream.torchvision_weights import build_torchvision, own_classes
from vlfusion.errors import ConfigError, needs
from vlfusion.guards.foreign import foreign
from vlfusion.language.captioners.parts import check_numbers
from vlfusion.language.precision import torch_device
from vlfusion.registry import DETECTORS


@DETECTORS.register_module()
class TorchvisionDetector(Detector):
    """Detector of torchvision by its name there, trained by torchvision, here, or both.

    A small FCOS that learns from nothing on a processor:

        dict(type='TorchvisionDetector', model='fcos', backbone='test_resnet', levels=(1, 2, 3), channels=64, convs=1,
             size=(64, 64))

    Args:
        classes: classes of the labels.
        model: name of the model in torchvision, such as `fasterrcnn_resnet50_fpn`, `fcos_resnet50_fpn`,
            `retinanet_resnet50_fpn`, `ssd300_vgg16` or `ssdlite320_mobilenet_v3_large`. `fcos` alone is FCOS (Tian et
            al., ICCV 2019) on a backbone of timm.
        weights: name of torchvision's weights, such as `COCO_V1`, which the first use loads; None begins at random.
        names: a dict from class names of the weights to those of the table; by default equal names. It has no effect
            without weights, or with a new head.
        new_head: True to begin with the weights, but with random layers for the classes of the table, to be trained.
        size: height and width of the picture that the network sees; None for torchvision's own rule.
        threshold: the least score.
        overlap: the intersection over union above which two boxes of one class count as one; None for the model's own.
        top_k: the largest number of boxes in a picture.
        backbone: name of a backbone in timm, for `fcos`. Its weights are random.
        levels: feature maps of the backbone to search, for `fcos`; map 0 has half the size of the picture.
        channels, convs: width and depth of the head, for `fcos`.
        device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one.
        batch_size: pictures in one batch when boxes are predicted.

    Raises:
        ConfigError: torchvision or timm is not installed, the model or its weights are not known or cannot be loaded,
            no class of the weights has a place in the table, or a setting is out of range.
    """

    trainable = True

    def __init__(self, classes: ClassTable, model: str, *, weights: str | None = None,
                 names: Mapping[str, str] | None = None, new_head: bool = False, size: Sequence[int] | None = None,
                 threshold: float = 0.001, overlap: float | None = None, top_k: int = 100,
                 backbone: str | None = None, levels: Sequence[int] = (2, 3, 4), channels: int = 256, convs: int = 4,
                 device: str = 'cpu', batch_size: int = 4):
        super().__init__()
        part = type(self).__name__
        check_numbers(part, {'top_k': top_k, 'batch_size': batch_size, 'channels': channels, 'convs': convs},
                      {'threshold': threshold, **({} if overlap is None else {'overlap': overlap})})
        size = check_size(part, size)
        # Regions are scored by classes of their own, in a second step, so Faster R-CNN names its settings otherwise.
        prefix = 'box_' if model.startswith('fasterrcnn') else ''
        options = {f'{prefix}score_thresh': threshold, f'{prefix}detections_per_img': top_k,
                   **({} if overlap is None else {f'{prefix}nms_thresh': overlap})}
        own = own_classes(part, 'detection', model, weights) if weights and model != 'fcos' else None
        self.untrained = own is None or new_head
        if self.untrained:
            own = ['__background__', *classes.names]  # class 0 of torchvision is no thing
            self.places = {number + 1: number for number in range(len(classes))}
        else:
            self.places = place_classes(part, dict(enumerate(own)), classes, names)
        if model == 'fcos':
            if backbone is None or weights is not None:
                raise ConfigError(f'{part} builds fcos on a backbone of timm, and without weights.',
                                  "Set backbone='resnet18', or model='fcos_resnet50_fpn' for torchvision's weights.")
            self.network = _fcos(part, backbone, levels, channels, convs, len(own), options)
        elif backbone is not None:
            raise ConfigError(f'{model} of {part} has a backbone of its own, not {backbone!r}.',
                              "Leave out backbone, or set model='fcos'.")
        else:
            self.network = build_torchvision(part, 'detection', model, weights, len(own), options)
        if size:
            self.network.transform.fixed_size = (size[1], size[0])
        self.top_k, self.batch_size = top_k, batch_size
        self.eval().to(torch_device(device))

    @torch.inference_mode()
    def detect(self, pictures: Sequence[Picture]) -> list[Boxes]:
        self.eval()
        return in_equal_batches(self._detect, pictures, self.batch_size)

    def _detect(self, pictures: list[Picture]) -> list[Boxes]:
        things = self.network(list(as_tensors(pictures, device_of(self))))
        return [predicted(thing, self.places, picture.shape[:2], self.top_k)
                for thing, picture in zip(things, pictures, strict=True)]

    def losses(self, pictures: Float[Tensor, 'batch 3 height width'], labels: Sequence[Boxes]) -> dict[str, Tensor]:
        self.train()
        numbers = {place: number for number, place in reversed(self.places.items())}
        targets = []
        for corners, classes in map(counted, labels):
            own = torch.tensor([numbers.get(number, 0) for number in classes.tolist()], dtype=torch.long)
            targets.append(dict(boxes=corners[own > 0].to(pictures.device), labels=own[own > 0].to(pictures.device)))
        losses = self.network(list(pictures), targets)
        return {name if 'loss' in name else f'loss_{name}': loss for name, loss in losses.items()}


class _Pyramid(nn.Module):
    """Feature maps of a backbone of timm, all of one width (Lin et al., CVPR 2017)."""

    def __init__(self, backbone: str, levels: Sequence[int], channels: int):
        super().__init__()
        from timm import create_model
        from torchvision.ops import FeaturePyramidNetwork
        self.body = create_model(backbone, pretrained=False, features_only=True, out_indices=tuple(levels))
        self.strides = self.body.feature_info.reduction()
        self.fpn = FeaturePyramidNetwork(self.body.feature_info.channels(), channels)
        self.out_channels = channels

    def forward(self, pictures: Float[Tensor, 'batch 3 height width']) -> OrderedDict[str, Tensor]:
        return self.fpn(OrderedDict((str(level), maps) for level, maps in enumerate(self.body(pictures))))


def _fcos(part: str, backbone: str, levels: Sequence[int], channels: int, convs: int, count: int,
          options: Mapping[str, float]) -> nn.Module:
    """Build FCOS with anchors as large as the stride of their map, as in the paper."""
    with needs(part, 'timm with torchvision', 'vision'):
        import timm  # noqa: F401
        from torchvision.models.detection.anchor_utils import AnchorGenerator
        from torchvision.models.detection.fcos import FCOS, FCOSHead
    with foreign(f'The backbone {backbone!r} of {part} cannot be built', ConfigError,
                 'Name a model of timm.list_models(), and levels that it has.'):
        pyramid = _Pyramid(backbone, levels, channels)
    anchors = AnchorGenerator(tuple((stride,) for stride in pyramid.strides), ((1.0,),) * len(pyramid.strides))
    return FCOS(pyramid, count, anchor_generator=anchors, head=FCOSHead(channels, 1, count, convs), **options)
