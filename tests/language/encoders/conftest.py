"""Tiny models of random weights, built and saved through the classes that real ones use."""

from importlib.util import find_spec

import pytest
import torch

WORDS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'bright', 'patch', '.', 'this', 'small', 'square', 'image',
         'is', 'of', 'the', 'kind', ',', 'and', 'it', 'dark', 'in', 'lower', 'left', 'word']


@pytest.fixture(autouse=True)
def needs_transformers():
    if find_spec('transformers') is None:
        pytest.skip("needs transformers: pip install 'vlfusion[language]'")


@pytest.fixture
def save_blip2(tmp_path):
    """Saves a tiny BLIP-2 whose Q-Former is as wide as the published one, with a BERT tokenizer that knows [DEC]."""
    def save(architecture='Blip2ForImageTextRetrieval', folder=tmp_path / 'blip2', reads_text=True, more_words=(),
             positions=60):
        import transformers
        torch.manual_seed(0)
        tokenizer = transformers.BertTokenizer(vocab={word: index for index, word in enumerate([*WORDS, *more_words])})
        tokenizer.add_special_tokens({'bos_token': '[DEC]'})
        tokenizer.save_pretrained(folder)
        tower = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2)
        config = transformers.Blip2Config(
            vision_config=dict(tower, image_size=16, patch_size=8), num_query_tokens=2, image_text_hidden_size=4,
            qformer_config=dict(vocab_size=len(WORDS) + 1, hidden_size=768, intermediate_size=16, num_hidden_layers=2,
                                num_attention_heads=4, max_position_embeddings=positions, encoder_hidden_size=8,
                                use_qformer_text_input=reads_text),
            text_config=dict(model_type='opt', vocab_size=30, hidden_size=8, num_hidden_layers=1, ffn_dim=8,
                             num_attention_heads=2, word_embed_proj_dim=8))
        getattr(transformers, architecture)(config).save_pretrained(folder)
        return str(folder)
    return save


@pytest.fixture
def save(tmp_path):
    """Saves a tiny transformers model with a tokenizer of whole words between `<s>` and `</s>`."""
    def save(model, **options):
        from tokenizers import Tokenizer, models, pre_tokenizers, processors
        from transformers import PreTrainedTokenizerFast
        special = ['<pad>', '</s>', '<unk>', '<s>']
        words = Tokenizer(models.WordLevel({word: index for index, word in enumerate([*special, 'word', 'is', 'dark'])},
                                           unk_token='<unk>'))
        words.pre_tokenizer = pre_tokenizers.Whitespace()
        words.post_processor = processors.TemplateProcessing(single='<s> $A </s>',
                                                             special_tokens=[('<s>', 3), ('</s>', 1)])
        PreTrainedTokenizerFast(tokenizer_object=words, pad_token='<pad>', eos_token='</s>', unk_token='<unk>',
                                bos_token='<s>', **options).save_pretrained(tmp_path)
        model.save_pretrained(tmp_path)
        return str(tmp_path)
    return save


@pytest.fixture
def check_encoder():
    """A function that checks shape, true counts, zeros elsewhere, and that a text gives the same in any batch."""
    def check(encoder, texts, counts):
        together = encoder.encode(texts)
        assert together.features.shape == (len(texts), max(counts), encoder.dim)
        assert together.features.dtype == torch.float32
        assert together.mask.sum(1).tolist() == counts
        assert not together.features[~together.mask].any()
        for text, features, mask in zip(texts, together.features, together.mask, strict=True):
            alone = encoder.encode([text])
            assert alone.mask.all()
            torch.testing.assert_close(features[mask], alone.features[0], atol=1e-5, rtol=1e-5)
        assert encoder.encode([]).features.shape == (0, 0, encoder.dim)
    return check
