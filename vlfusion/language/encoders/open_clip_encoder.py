"""Text features of open_clip's image-text models."""

import re
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vlfusion.errors import ConfigError, did_you_mean
from vlfusion.language.encoders.transformers_encoder import refuse_longer, stacked
from vlfusion.language.interfaces import TextFeatures
from vlfusion.language.open_clip_models import load_open_clip
from vlfusion.language.precision import torch_device
from vlfusion.registry import TEXT_ENCODERS


@TEXT_ENCODERS.register_module()
class OpenCLIPTextEncoder:
    """Text tower of an open_clip model, in float32 and without dropout.

    Args:
        model: a name of open_clip such as `ViT-B-32`, `hf-hub:org/name`, or `local-dir:folder`.
        pretrained: the weights of a named model: a tag such as `laion2b_s34b_b79k`, or a file.
        output: `tokens` for one row per token, the last layer after its norm; `pooled` for the one row that the model
            compares with images, not normalised.
        long: the treatment of a text longer than the context (77 tokens for most models). `refuse` raises an error.
            `split` cuts it at ends of sentences into pieces that fit, reads each by itself and joins their rows.
        device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one.
        batch_size: texts or pieces in one batch.

    Attributes:
        dim: features per row.
        max_tokens: the context: the longest piece that the model reads, special tokens included.

    Raises:
        ConfigError: open_clip is not installed, the model or its weights cannot be loaded, or the model gives no
            features of tokens.
    """

    version = '1'

    def __init__(self, model: str = 'ViT-B-32', pretrained: str | None = None, *,
                 output: str = 'tokens', long: str = 'refuse',
                 device: str = 'cpu', batch_size: int = 32):
        for name, value, choices in (('output', output, ('tokens', 'pooled')), ('long', long, ('refuse', 'split'))):
            if value not in choices:
                raise ConfigError(f'OpenCLIPTextEncoder has no {name}={value!r}.', did_you_mean(str(value), choices))
        device = torch_device(device)
        self.model, _, self.tokenizer = load_open_clip('OpenCLIPTextEncoder', model, pretrained, device=device)
        if output == 'tokens' and not hasattr(getattr(self.model, 'text', self.model), 'forward_intermediates'):
            raise ConfigError(f'open_clip gives no token features of {model!r}: its text tower is of transformers.',
                              "Use output='pooled', or load that tower with TransformersTextEncoder.")
        if getattr(self.tokenizer, 'tokenizer_mode', ''):
            raise ConfigError(f'The tokenizer of {model!r} puts its class token after the padding, so tokens and '
                              'padding cannot be told apart.', 'Use another model.')
        self.output, self.long, self.device, self.batch_size = output, long, device, batch_size
        self.max_tokens: int = self.tokenizer.context_length
        with torch.inference_mode():
            self.dim: int = self._rows(self.tokenizer(['text'])).shape[-1]

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """Return the features of each text: a row per token, start and end included, or a row per piece.

        Raises:
            DataError: a text is longer than the context, or, with `long='split'`, a sentence is.
        """
        pieces = [self._pieces(text) for text in texts] if self.long == 'split' else [[text] for text in texts]
        longest = [max(map(self._count, of_text)) for of_text in pieces]
        refuse_longer(texts, longest, self.max_tokens,
                      "Shorten the text or use long='split'." if self.long == 'refuse' else
                      'The count is that of its longest sentence: write shorter sentences.')
        flat, rows = [piece for of_text in pieces for piece in of_text], []
        for start in range(0, len(flat), self.batch_size):
            batch = flat[start:start + self.batch_size]
            # Padded to the whole context, as in training: towers without a causal mask read the padding too.
            for piece, features in zip(batch, self._rows(self.tokenizer(batch)), strict=True):
                rows.append(features[:self._count(piece)] if self.output == 'tokens' else features)
        remaining = iter(rows)
        return stacked([torch.cat([next(remaining) for _ in of_text]) for of_text in pieces], self.dim)

    def _rows(self, ids: Int[Tensor, 'batch context']) -> Float[Tensor, 'batch row dim']:
        ids = ids.to(self.device)
        if self.output == 'pooled':
            return self.model.encode_text(ids)[:, None].float().cpu()
        layers = self.model.forward_intermediates(text=ids, text_indices=1, normalize_intermediates=True,
                                                  intermediates_only=True)['text_intermediates']
        return layers[-1].float().cpu()

    def _count(self, text: str) -> int:
        """Count the tokens of the whole text. Padded ids cannot be counted, because `!` has the id of padding."""
        if hasattr(self.tokenizer, 'tokenizer'):
            return len(self.tokenizer.tokenizer(self.tokenizer.clean_fn(text), verbose=False)['input_ids'])
        return len(self.tokenizer.encode(text)) + 2

    def _pieces(self, text: str) -> list[str]:
        """Split a text into pieces, each with as many whole sentences as fit."""
        pieces = []
        for sentence in re.split(r'(?<=[.!?])\s+', text.strip()):
            if pieces and self._count(f'{pieces[-1]} {sentence}') <= self.max_tokens:
                pieces[-1] += f' {sentence}'
            else:
                pieces.append(sentence)
        return pieces
