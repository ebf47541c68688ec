"""Text features of sentence-transformers models."""

from collections.abc import Mapping, Sequence

from vlfusion.errors import ConfigError, did_you_mean, needs
from vlfusion.language.encoders.transformers_encoder import PACKAGED, packaged, refuse_longer, stacked
from vlfusion.language.interfaces import TextFeatures
from vlfusion.language.precision import torch_dtype
from vlfusion.registry import TEXT_ENCODERS


@TEXT_ENCODERS.register_module()
class SentenceTransformersEncoder:
    """A sentence-transformers model, without dropout.

    Args:
        model: a name in `PACKAGED` of the TransformersTextEncoder, a folder, or the id of a model on the Hugging Face
            hub.
        revision: branch, tag or commit of a hub model.
        output: `tokens` for one row for every token; `pooled` for the one row of the whole text, as the model pools it.
        prompt: what stands before every text, such as `passage: `; its tokens are among the rows.
        device: where it runs, such as `cpu` or `cuda`.
        dtype: `float32`, `float16` or `bfloat16`; the features are float32 in any case.
        batch_size: how many texts it reads at once.

    Attributes:
        dim: features per row.
        max_tokens: the longest text it can read, special tokens included, as the model says; often less than
            its positions (256 of 512 for all-MiniLM-L6-v2).

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
            self.model = SentenceTransformer(source, revision=revision, device=device, local_files_only=local,
                                             model_kwargs={'dtype': precision}).eval()
        except Exception as error:  # the library's loaders fail in many ways
            raise ConfigError(f'The sentence-transformers model {model!r} cannot be loaded: {error}',
                              f'Give a folder, a model id of the hub, or one of {", ".join(PACKAGED)}.') from error
        if self.model.transformers_model is None:
            raise ConfigError(f'{model!r} does not read tokens through transformers.', 'Use another model.')
        self.output, self.prompt, self.batch_size = output, prompt, batch_size
        self.dim: int = (self.model.transformers_model.config.hidden_size if output == 'tokens'
                         else self.model.get_embedding_dimension())
        self.max_tokens: int = self.model.max_seq_length or self.model.tokenizer.model_max_length

    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """The features of each text. A text gives the same in any batch.

        Raises:
            DataError: a text is longer than the model can read; it is never cut.
        """
        counts = [len(self.model.tokenizer(self.prompt + text, verbose=False)['input_ids']) for text in texts]
        refuse_longer(texts, counts, self.max_tokens)
        encoded = self.model.encode(list(texts), prompt=self.prompt, batch_size=self.batch_size, output_value=None,
                                    convert_to_numpy=False, show_progress_bar=False)
        if self.output == 'tokens':
            rows = [one['token_embeddings'][one['attention_mask'].bool()].float().cpu() for one in encoded]
        else:
            rows = [one['sentence_embedding'][None].float().cpu() for one in encoded]
        return stacked(rows, self.dim)
