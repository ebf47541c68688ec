"""Detectors of the transformers library: RT-DETR, DETR, D-FINE, YOLOS and others."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.interfaces import Detector, Picture
from vlfusion.downstream.networks import check_size, counted, in_equal_batches, place_classes, predicted
from vlfusion.downstream.pretrained import load_pretrained, processed, ready
from vlfusion.errors import ConfigError, needs
from vlfusion.language.captioners.parts import check_numbers
from vlfusion.registry import DETECTORS


@DETECTORS.register_module()
class TransformersDetector(Detector):
    """Detector of the transformers library, trained there, here, or both.

    Args:
        classes: classes of the labels.
        model: a folder, the id of a model on the Hugging Face hub, such as `PekingU/rtdetr_r18vd`,
            `facebook/detr-resnet-50` or `hustvl/yolos-tiny`, or a config of transformers with its `model_type`, whose
            weights are random.
        names: a dict from the model's own class names to those of the table; by default equal names. It has no effect
            with a new head or a config.
        new_head: True to begin with the weights, but with random layers for the classes of the table, to be trained.
        size: height and width of the picture that the network sees; None for the rule that comes with the model.
        threshold: scores must be above it.
        top_k: the largest number of boxes in a picture.
        revision: branch, tag or commit of a hub model.
        device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one.
        dtype: `float32`, `float16` or `bfloat16`; only `float32` can be trained.
        batch_size: pictures in one batch when boxes are predicted.

    Raises:
        ConfigError: transformers is not installed, the model cannot be loaded or built, no class of it has a place in
            the table, or a setting is out of range.
    """

    def __init__(self, classes: ClassTable, model: str | Mapping, *, names: Mapping[str, str] | None = None,
                 new_head: bool = False, size: Sequence[int] | None = None, threshold: float = 0.001, top_k: int = 100,
                 revision: str | None = None, device: str = 'cpu', dtype: str = 'float32', batch_size: int = 4):
        super().__init__()
        part = type(self).__name__
        check_numbers(part, {'top_k': top_k, 'batch_size': batch_size}, {'threshold': threshold})
        self.size, self.batch_size = check_size(part, size), batch_size
        self.threshold, self.top_k = threshold, top_k
        self.processor, self.network, own = load_pretrained(part, 'AutoModelForObjectDetection', model, classes,
                                                            new_head, revision, device, dtype)
        self.places = {number: number for number in range(len(classes))} if own is None else place_classes(
            part, own, classes, names)
        self.untrained = own is None
        self.trainable = self.untrained and dtype == 'float32'

    @torch.inference_mode()
    def detect(self, pictures: Sequence[Picture]) -> list[Boxes]:
        self.eval()
        return in_equal_batches(self._detect, pictures, self.batch_size)

    def _detect(self, pictures: list[Picture]) -> list[Boxes]:
        outputs = self.network(**processed(self.processor, self.network, pictures, self.size))
        sizes = [picture.shape[:2] for picture in pictures]
        things = self.processor.post_process_object_detection(outputs, threshold=self.threshold, target_sizes=sizes)
        return [predicted(thing, self.places, size, self.top_k) for thing, size in zip(things, sizes, strict=True)]

    def losses(self, pictures: Float[Tensor, 'batch 3 height width'], labels: Sequence[Boxes]) -> dict[str, Tensor]:
        if not self.trainable:
            raise ConfigError(f'This {type(self).__name__} is not trained: it has classes of its own, or half '
                              'precision.', "Set new_head=True and dtype='float32'.")
        with needs(type(self).__name__, 'scipy', remedy='pip install scipy'):  # it pairs predictions with labels
            import scipy.optimize  # noqa: F401
        from torchvision.ops import box_convert
        self.train()
        unit = pictures.new_tensor([pictures.shape[3], pictures.shape[2]] * 2)
        targets = [dict(class_labels=classes.to(pictures.device),
                        boxes=box_convert(corners, 'xyxy', 'cxcywh').to(pictures.device) / unit)
                   for corners, classes in map(counted, labels)]
        return {'loss': self.network(pixel_values=ready(self.processor, pictures), labels=targets).loss}
