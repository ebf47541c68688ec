"""Sentence features are those of their library, within the longest text."""

import sys

import pytest
import torch

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.encoders import SentenceTransformersEncoder, TransformersTextEncoder

pytest.importorskip('sentence_transformers', reason="pip install 'vlfusion[language]'")
TEXTS = ['A bright patch.', 'This small square image is of the MRI kind, and it is dark in the lower left.', 'Grey']


@pytest.fixture(scope='module')
def tokens(encoder):
    return SentenceTransformersEncoder(batch_size=2)


@pytest.fixture(scope='module')
def pooled(encoder):
    return SentenceTransformersEncoder(output='pooled', batch_size=2)


def test_tokens_are_those_of_transformers(tokens, encoder, check_encoder):
    assert (tokens.dim, tokens.max_tokens) == (384, 256)
    expected = encoder.encode(TEXTS)
    check_encoder(tokens, TEXTS, expected.mask.sum(1).tolist())
    torch.testing.assert_close(tokens.encode(TEXTS).features, expected.features, atol=1e-5, rtol=0)


def test_pooled_is_one_row_as_the_library_gives_it(pooled, check_encoder):
    check_encoder(pooled, TEXTS, [1, 1, 1])
    expected = pooled.model.encode(TEXTS, convert_to_tensor=True)
    torch.testing.assert_close(pooled.encode(TEXTS).features[:, 0], expected, atol=1e-5, rtol=0)


def test_the_longest_text_fits_and_a_longer_one_is_refused(tokens, pooled):
    fitting = 'word ' * 254  # and [CLS] and [SEP]
    assert tokens.encode([fitting]).mask.sum() == 256
    for one in (tokens, pooled):
        with pytest.raises(DataError, match=r'Text 1 \("One word word .*"\) has 257 tokens.*at most 256'):
            one.encode(['Short.', 'One ' + fitting])


def test_a_prompt_counts(encoder):
    prompted = SentenceTransformersEncoder(prompt='passage: ')
    expected = encoder.encode(['passage: ' + text for text in TEXTS])
    torch.testing.assert_close(prompted.encode(TEXTS).features, expected.features, atol=1e-5, rtol=0)
    with pytest.raises(DataError, match='258 tokens'):
        prompted.encode(['word ' * 254])


def test_a_folder_of_bert_alone_is_read_too(save_blip2, tmp_path):
    """Without a list of modules the library pools by the mean."""
    from transformers import AutoTokenizer, BertConfig, BertModel
    tokenizer = AutoTokenizer.from_pretrained(save_blip2())
    folder = tmp_path / 'bert'
    tokenizer.save_pretrained(folder)
    BertModel(BertConfig(vocab_size=26, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                         intermediate_size=16, max_position_embeddings=40)).save_pretrained(folder)
    rows = TransformersTextEncoder(str(folder)).encode(TEXTS[:1]).features
    torch.testing.assert_close(SentenceTransformersEncoder(str(folder)).encode(TEXTS[:1]).features, rows)
    pooled = SentenceTransformersEncoder(str(folder), output='pooled')
    torch.testing.assert_close(pooled.encode(TEXTS[:1]).features[:, 0], rows.mean(1))
    with pytest.raises(DataError, match='at most 40'):
        pooled.encode(['word ' * 40])


def test_what_cannot_be_is_named(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match='Did you mean pooled'):
        SentenceTransformersEncoder(output='poold')
    with pytest.raises(ConfigError, match=f'{tmp_path}.* cannot be loaded'):
        SentenceTransformersEncoder(str(tmp_path))
    monkeypatch.setitem(sys.modules, 'sentence_transformers', None)
    with pytest.raises(ConfigError, match=r"pip install 'vlfusion\[language\]'"):
        SentenceTransformersEncoder()
