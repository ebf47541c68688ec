"""Text features of sentence-transformers models."""

from collections.abc import Mapping, Sequence

from vlfusion.errors import ConfigError, did_you_mean, needs
from vlfusion.language.encoders.transformers_encoder import PACKAGED, packaged, refuse_longer, stacked
from vlfusion.language.interfaces import TextFeatures
from vlfusion.language.precision import torch_device, torch_dtype
from vlfusion.registry import TEXT_ENCODERS


@TEXT_ENCODERS.register_module()
class SentenceTransformersEncoder:
    """Text encoder of sentence-transformers, without dropout.

    Args:
        model: a name in `encoders.transformers_encoder.PACKAGED`, a folder, or the id of a model on the Hugging Face
            hub.
        revision: branch, tag or commit of a hub model.
        output: `tokens` for one row per token; `pooled` for one row per text, as the model pools it.
        prompt: words before every text, such as `passage: `; their tokens are among the rows.
        device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one.
        dtype: `float32`, `float16` or `bfloat16`; the features are always float32.
        batch_size: texts in one batch.

    Attributes:
        dim: features per row.
        max_tokens: the longest text that the model reads, special tokens included. The limit is the model's own and
            often below its number of positions (256 of 512 for all-MiniLM-L6-v2).

    Raises:
        ConfigError: sentence-transformers or the packaged model is not installed, or the model cannot be loaded.
    """

    version = '1'

    @staticmethod
    def self_contained(config: Mapping) -> bool:
        return config.get('model', 'all-MiniLM-L6-v2') in PACKAGED

    def __init__(self, model: str = 'all-MiniLM-L6-v2', *, revision: str | None = None,
                 output: str = 'tokens', prompt: str = '', device: str = 'cpu', dtype: str = 'float32',
                 batch_size: int = 32):
        precision = torch_dtype(type(self).__name__, dtype)
        if output not in ('tokens', 'pooled'):
            raise ConfigError(f'SentenceTransformersEncoder has no output={output!r}.',
                              did_you_mean(str(output), ('tokens', 'pooled')))
        with needs('SentenceTransformersEncoder', 'sentence-transformers', 'language'):
            from sentence_transformers import SentenceTransformer
        source, local = (str(packaged(model)), True) if model in PACKAGED else (model, False)
        try:
            self.model = SentenceTransformer(source, revision=revision, device=torch_device(device),
                                             local_files_only=local, model_kwargs={'dtype': precision}).eval()
        except Exception as error:  # loaders of the library fail in many ways
            raise ConfigError(f'The sentence-transformers model {model!r} cannot be loaded: {error}',
                              f'Give a folder, a model id of the hub, or one of {", ".join(PACKAGED)}.') from error
        if self.model.transformers_model is None:
            raise ConfigError(f'{model!r} does not read tokens through transformers.', 'Use another model.')
        self.output, self.prompt, self.batch_size = output, prompt, batch_size
        self.dim: int = (self.model.transformers_model.config.hidden_size if output == 'tokens'
                         else self.model.get_embedding_dimension())
        self.max_tokens: int = self.model.max_seq_length or self.model.tokenizer.model_max_length

    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """Return the features of each text, which do not depend on the batch.

        Raises:
            DataError: a text is longer than the model reads; texts are never cut.
        """
        counts = [len(self.model.tokenizer(self.prompt + text, verbose=False)['input_ids']) for text in texts]
        refuse_longer(texts, counts, self.max_tokens)
        encoded = self.model.encode(list(texts), prompt=self.prompt, batch_size=self.batch_size, output_value=None,
                                    convert_to_numpy=False, show_progress_bar=False)
        if self.output == 'tokens':
            rows = [text['token_embeddings'][text['attention_mask'].bool()].float().cpu() for text in encoded]
        else:
            rows = [text['sentence_embedding'][None].float().cpu() for text in encoded]
        return stacked(rows, self.dim)
