"""Labels that fit an image, chosen from a list by an image-text model of open_clip."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.errors import ConfigError
from vlfusion.language.captioners.parts import best, check_labels, check_numbers, check_template, in_batches
from vlfusion.language.captioners.pixels import rgb
from vlfusion.language.captioners.scenes import checked_scenes
from vlfusion.language.interfaces import Image, Observation
from vlfusion.language.open_clip_models import load_open_clip
from vlfusion.language.precision import torch_device, torch_dtype
from vlfusion.registry import CAPTIONERS

_PRECISIONS = {'float32': 'fp32', 'float16': 'fp16', 'bfloat16': 'bf16'}


@CAPTIONERS.register_module()
class OpenCLIPTagger:
    """Labels that fit each image best, by the zero-shot classification of Radford et al. (CLIP, ICML 2021).

    A score is the softmax, over all labels, of the scaled cosine between the image and a sentence about the label. It
    compares a label with the others; a single label always has the score 1.

    Args:
        labels: words or phrases.
        model: an architecture of open_clip, `hf-hub:` with a model id, or `local-dir:` with a folder.
        pretrained: a tag of open_clip or the path of a checkpoint; not for `hf-hub:` and `local-dir:`.
        template: the sentence about a label; holds `$label`.
        top_k: the largest number of labels.
        threshold: the least score.
        device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one.
        dtype: `float32`, `float16` or `bfloat16`.
        batch_size: how many images it reads at once.

    Raises:
        ConfigError: open_clip is not installed, the model cannot be loaded or has no trained weights, a label is longer
            than the model reads, or a setting is out of range.
    """

    version, images = '1', 1

    def __init__(self, labels: Sequence[str], *, model: str = 'ViT-B-32', pretrained: str | None = None,
                 template: str = 'a photo of $label', top_k: int = 5, threshold: float = 0.1, device: str = 'cpu',
                 dtype: str = 'float32', batch_size: int = 16):
        part = type(self).__name__
        check_numbers(part, {'top_k': top_k, 'batch_size': batch_size}, {'threshold': threshold})
        self.labels = check_labels(part, labels)
        sentence = check_template(part, template, 'label', required=True)
        device, precision = torch_device(device), torch_dtype(part, dtype)
        self.model, self.transform, tokenizer = load_open_clip(part, model, pretrained,
                                                               precision=_PRECISIONS[dtype], device=device)
        self.device, self.dtype = device, precision
        self.top_k, self.threshold, self.batch_size = top_k, threshold, batch_size
        self.text = self._encode([sentence.substitute(label=label) for label in self.labels], tokenizer)

    @torch.inference_mode()
    def observe(self, scenes: Sequence[tuple[Image]], modalities: tuple[str]) -> list[list[Observation]]:
        """Return the best labels of each image with their scores, best first. The model sees the central square.

        Args:
            scenes: single images, as `vlfusion.imaging.images.read_image` returns them.
            modalities: one word, without effect.

        Raises:
            DataError: an image holds floats or has no pixels, or scenes or modalities have another form.
        """
        pictures = [self.transform(rgb(image)) for image, in checked_scenes(self, scenes, modalities)]
        return in_batches(self._tag, pictures, self.batch_size)

    def _tag(self, pictures: Sequence[Float[Tensor, '3 h w']]) -> list[list[Observation]]:
        images = torch.stack(pictures).to(self.device, self.dtype)
        logits = self.model.logit_scale.exp() * self.model.encode_image(images, normalize=True) @ self.text.T
        return best(logits.float().softmax(-1), self.labels, self.top_k, self.threshold)

    @torch.inference_mode()
    def _encode(self, sentences: list[str], tokenizer) -> Float[Tensor, 'label dim']:
        length = tokenizer.context_length
        # Tokenizers of open_clip cut long texts. With more room, the columns beyond the limit then hold tokens.
        roomy = tokenizer(sentences, context_length=4 * length)
        for sentence, cut in zip(sentences, (roomy[:, length:] != roomy[:, -1:]).any(1).tolist(), strict=True):
            if cut:
                raise ConfigError(f'The label "{sentence[:60]} ..." of {type(self).__name__} has more than the '
                                  f'{length} tokens that the model reads.', 'Shorten it.')
        return self.model.encode_text(tokenizer(sentences).to(self.device), normalize=True)
