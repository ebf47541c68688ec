"""Text features of BLIP-2, which FILM reads."""

import re
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import torch

from vlfusion.errors import ConfigError, did_you_mean
from vlfusion.language.encoders.transformers_encoder import TransformersTextEncoder
from vlfusion.language.interfaces import TextFeatures
from vlfusion.registry import TEXT_ENCODERS


def blip_caption(text: str) -> str:
    """Clean a text as the evaluation processor `blip_caption` of LAVIS does, and **cut it to 50 words**.

    Letters become lower case, each of `.!"()*#:;~` becomes a space, and runs of spaces become one.

    >>> blip_caption('A  dog. It runs (fast), really!')
    'a dog it runs fast , really'

    Source: salesforce/LAVIS, `BlipCaptionProcessor.pre_caption`.
    """
    text = re.sub(r'\s{2,}', ' ', re.sub(r'[.!"()*#:;~]', ' ', text.lower()))
    return ' '.join(text.rstrip('\n').strip(' ').split(' ')[:50])


#: The clean-ups of `Blip2TextEncoder`, by name.
CLEAN: dict[str | None, Callable[[str], str]] = {'blip_caption': blip_caption, None: str}


@TEXT_ENCODERS.register_module()
class Blip2TextEncoder(TransformersTextEncoder):
    """Last hidden state of BLIP-2's Q-Former reading text alone, in float32: `(token, 768)` with published weights.

    The Q-Former gets no image and no query tokens here, so its text layers run and its cross-attention is skipped. The
    result differs from the normalised 256-d `text_embeds`. Captioning checkpoints such as blip2-opt-2.7b hold no text
    encoder and are refused. It is not known whether FILM cleaned its texts.

    Args:
        model: a folder, or the id of a model on the Hugging Face hub.
        revision: branch, tag or commit of a hub model.
        clean: `blip_caption`, which cuts a text to its first 50 words, or None for the text as it is.
        device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one.
        batch_size: texts in one batch.

    Attributes:
        dim: features per token.
        max_tokens: the longest text it can read, special tokens included; 512 with the published weights.

    Raises:
        ConfigError: transformers is not installed, the model cannot be loaded or holds no text encoder, or `clean` is
            unknown.

    Source: Li et al., BLIP-2, ICML 2023; LAVIS' `extract_features(..., mode='text')`, `text_embeds`.
    """

    version = '1'

    def __init__(self, model: str = 'Salesforce/blip2-itm-vit-g', *, revision: str | None = None,
                 clean: str | None = None, device: str = 'cpu', batch_size: int = 32):
        if clean not in CLEAN:
            raise ConfigError(f'Blip2TextEncoder has no clean-up {clean!r}.',
                              did_you_mean(str(clean), map(str, CLEAN)))
        self.clean = CLEAN[clean]
        super().__init__(model, revision=revision, device=device, batch_size=batch_size)

    @staticmethod
    def _load(source: str | PathLike, output_loading_info: bool, dtype: torch.dtype, **options) -> tuple[Any, dict]:
        from transformers import Blip2Config, Blip2TextModelWithProjection
        config = Blip2Config.from_pretrained(source, **options)
        if not config.qformer_config.use_qformer_text_input:
            raise ValueError('its Q-Former reads no text (use_qformer_text_input is False).')
        return Blip2TextModelWithProjection.from_pretrained(
            source, config=config, output_loading_info=output_loading_info, dtype=dtype, **options)

    @property
    def _config(self) -> Any:
        return self.model.config.qformer_config

    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """Return the features of every token of each cleaned text, `[CLS]` and `[SEP]` included.

        Raises:
            DataError: a cleaned text is longer than the model can read. Only `clean` may cut a text.
        """
        return super().encode([self.clean(text) for text in texts])
