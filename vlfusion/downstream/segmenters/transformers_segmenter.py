"""Segmenters of the transformers library: SegFormer, UPerNet, DPT, BEiT, Mask2Former, MaskFormer."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.interfaces import IGNORED, Mask, Picture, Segmenter
from vlfusion.downstream.networks import check_size, in_equal_batches, place_masks
from vlfusion.downstream.pretrained import load_pretrained, model_type, processed, ready
from vlfusion.errors import ConfigError
from vlfusion.language.captioners.parts import check_numbers
from vlfusion.registry import SEGMENTERS

#: Models that predict masks of things with a class each, and which this class also trains.
BY_MASKS = ('mask2former', 'maskformer')


@SEGMENTERS.register_module()
class TransformersSegmenter(Segmenter):
    """Semantic segmenter of the transformers library, trained there, here, or both.

    A tiny SegFormer that learns from nothing on a processor:

        dict(type='TransformersSegmenter', size=(64, 64), model=dict(
            model_type='segformer', depths=(1, 1, 1, 1), hidden_sizes=(16, 32, 64, 64), decoder_hidden_size=64,
            num_attention_heads=(1, 2, 4, 4)))

    Args:
        classes: classes of the labels.
        model: a folder, the id of a model on the Hugging Face hub, such as `nvidia/mit-b1` with a new head or
            `nvidia/segformer-b0-finetuned-ade-512-512`, or a config of transformers with its `model_type`, whose
            weights are random.
        names: a dict from the model's own class names to those of the table; by default equal names. Pixels of other
            classes become void. It has no effect with a new head or a config.
        new_head: True to begin with the weights, but with random layers for the classes of the table, to be trained.
        size: height and width of the picture that the network sees; None for the rule that comes with the model.
        revision: branch, tag or commit of a hub model.
        device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one.
        dtype: `float32`, `float16` or `bfloat16`; only `float32` can be trained.
        batch_size: pictures in one batch when masks are predicted.

    Raises:
        ConfigError: transformers is not installed, the model cannot be loaded or built, no class of it has a place in
            the table, the table lacks a void class for the others, or a setting is out of range.
    """

    def __init__(self, classes: ClassTable, model: str | Mapping, *, names: Mapping[str, str] | None = None,
                 new_head: bool = False, size: Sequence[int] | None = None, revision: str | None = None,
                 device: str = 'cpu', dtype: str = 'float32', batch_size: int = 4):
        super().__init__()
        part = type(self).__name__
        check_numbers(part, {'batch_size': batch_size})
        self.size, self.batch_size, self.dtype = check_size(part, size), batch_size, classes.dtype
        kind = model_type(part, model, revision)
        self.by_masks = kind in BY_MASKS
        auto = 'AutoModelForUniversalSegmentation' if self.by_masks else 'AutoModelForSemanticSegmentation'
        self.processor, self.network, own = load_pretrained(part, auto, model, classes, new_head, revision, device,
                                                            dtype)
        self.places = None if own is None else place_masks(part, own, classes, names)
        self.untrained = own is None
        self.trainable = self.untrained and dtype == 'float32'

    @torch.inference_mode()
    def segment(self, pictures: Sequence[Picture]) -> list[Mask]:
        self.eval()
        return in_equal_batches(self._segment, pictures, self.batch_size)

    def _segment(self, pictures: list[Picture]) -> list[Mask]:
        outputs = self.network(**processed(self.processor, self.network, pictures, self.size))
        masks = self.processor.post_process_semantic_segmentation(
            outputs, target_sizes=[picture.shape[:2] for picture in pictures])
        masks = [mask.cpu().numpy() for mask in masks]
        return [mask.astype(self.dtype) if self.places is None else self.places[mask] for mask in masks]

    def losses(self, pictures: Float[Tensor, 'batch 3 height width'],
               labels: Int[Tensor, 'batch height width']) -> dict[str, Tensor]:
        if not self.trainable:
            raise ConfigError(f'This {type(self).__name__} is not trained: it has classes of its own, or half '
                              'precision.', "Set new_head=True and dtype='float32'.")
        self.train()
        pictures = ready(self.processor, pictures)
        if self.by_masks:
            present = [label[label != IGNORED].unique() for label in labels]
            masks = [(label == classes.view(-1, 1, 1)).float() for label, classes in zip(labels, present, strict=True)]
            return {'loss': self.network(pixel_values=pictures, mask_labels=masks, class_labels=present).loss}
        if (labels == IGNORED).all():  # the mean of no pixel would be NaN
            return {'loss': self.network(pixel_values=pictures).logits.sum() * 0}
        config = self.network.config
        ignored = getattr(config, 'semantic_loss_ignore_index', getattr(config, 'loss_ignore_index', IGNORED))
        return {'loss': self.network(pixel_values=pictures, labels=labels.where(labels != IGNORED, ignored)).loss}
