"""Open-vocabulary detection by transformers' models: boxes of the things that phrases name."""

from collections.abc import Sequence
from inspect import signature
from typing import NamedTuple

import torch
from jaxtyping import Float
from PIL.Image import Image as Picture
from torch import Tensor, nn

from vlfusion.errors import ConfigError, needs
from vlfusion.language.captioners.parts import check_labels, load_transformers


class Things(NamedTuple):
    """Things in one picture, the best first.

    Attributes:
        names: the phrase of each thing, in the spelling of the model. GroundingDINO may join two.
        boxes: `(x0, y0, x1, y1)` as fractions of the picture's width and height.
        scores: confidence of each thing in [0, 1].
    """

    names: list[str]
    boxes: Float[Tensor, 'thing 4']
    scores: Float[Tensor, ' thing']


class Grounding:
    """OWLv2, OWL-ViT or GroundingDINO with the phrases to find.

    If boxes of one name overlap much, only the best is kept.

    Args:
        part: the name of the captioner or detector, for error messages.
        model: a folder, or the id of a model on the Hugging Face hub.
        labels: words or phrases for the things to find.
        threshold: the least score.
        overlap: the intersection over union above which two boxes of one name count as one thing.
        revision: branch, tag or commit of a hub model.
        device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one.
        dtype: `float32`, `float16` or `bfloat16`.

    Raises:
        ConfigError: transformers or torchvision is not installed, the model cannot be loaded, or a label is longer than
            the model reads.
    """

    def __init__(self, part: str, model: str, labels: Sequence[str], threshold: float, overlap: float,
                 revision: str | None, device: str, dtype: str):
        self.labels = check_labels(part, labels)
        with needs(part, 'torchvision', 'language,vision'):
            from torchvision.ops import batched_nms
        self.processor, self.model = load_transformers(part, 'AutoModelForZeroShotObjectDetection', model, revision,
                                                       device, dtype)
        _check_lengths(part, self.labels, self.model, self.processor.tokenizer)
        self.suppress, self.threshold, self.overlap = batched_nms, threshold, overlap

    @torch.inference_mode()
    def find(self, pictures: Sequence[Picture]) -> list[Things]:
        """Return the things in each picture. The pictures must have one size."""
        labels = [self.labels] * len(pictures)
        inputs = self.processor(images=list(pictures), text=labels, return_tensors='pt')
        outputs = self.model(**inputs.to(self.model.device, self.model.dtype))
        finish = self.processor.post_process_grounded_object_detection
        # GroundingDINO forms its label from the words above a threshold of their own.
        words = {'text_threshold': self.threshold} if 'text_threshold' in signature(finish).parameters else {}
        things = finish(outputs, threshold=self.threshold, text_labels=labels, **words,
                        target_sizes=[(picture.height, picture.width) for picture in pictures])
        return [self._things(of_picture, picture) for of_picture, picture in zip(things, pictures, strict=True)]

    def _things(self, things: dict, picture: Picture) -> Things:
        names = [' '.join(name.split()) for name in things['text_labels']]
        scores, size = things['scores'].float().cpu(), torch.tensor([picture.width, picture.height] * 2)
        boxes = (things['boxes'].float().cpu() / size).clamp(0, 1)
        classes = torch.tensor([names.index(name) for name in names], dtype=torch.long)
        best = self.suppress(boxes, scores, classes, self.overlap)  # the best first
        # A box may lie in the padding beside the picture.
        named = torch.tensor([bool(names[index]) for index in best.tolist()], dtype=torch.bool)
        best = best[named & (boxes[best, :2] < boxes[best, 2:]).all(1)]
        return Things([names[index] for index in best.tolist()], boxes[best], scores[best])


def _check_lengths(part: str, labels: Sequence[str], model: nn.Module, tokenizer) -> None:
    """Refuse labels that are too long for the text side. OWL reads each alone, GroundingDINO all as one text."""
    most = getattr(model.config, 'max_text_len', model.config.text_config.max_position_embeddings)
    sentences = labels if model.config.model_type.startswith('owl') else [' '.join(f'{label}.' for label in labels)]
    for sentence in sentences:
        if (count := len(tokenizer(sentence, verbose=False)['input_ids'])) > most:
            raise ConfigError(f'The labels of {part} are too long: "{sentence[:60]}" has {count} tokens, but the model '
                              f'reads at most {most}.', 'Shorten the labels, or give fewer.')
