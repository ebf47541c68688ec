"""open_clip's tokens and pooled rows are its own, within its longest text."""

import json
import sys

import pytest
import torch

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.encoders import OpenCLIPTextEncoder

open_clip = pytest.importorskip('open_clip', reason="pip install 'vlfusion[vision]'")
TEXTS = ['a bright patch!!', 'This small square image is of the MRI kind, and it is dark in the lower left.', 'Grey']
COUNTS = [6, 21, 3]
TEXT = dict(context_length=77, vocab_size=49408, width=16, heads=2, layers=2)
#: CLIP proper; a tower of its own (`CustomTextCLIP`); and one that reads in both directions, its padding too.
KINDS = {'clip': ({}, {}), 'custom': (dict(custom_text=True), {}),
         'both ways': (dict(custom_text=True), dict(no_causal_mask=True, pool_type='last'))}


@pytest.fixture
def save(tmp_path):
    """Saves a tiny random open_clip model as open_clip lays a folder out."""
    def save(kind='clip', **text):
        torch.manual_seed(0)
        top, more = KINDS[kind]
        config = dict(embed_dim=12, vision_cfg=dict(image_size=16, layers=1, width=16, patch_size=8, head_width=8),
                      text_cfg=TEXT | more | text, **top)
        (tmp_path / 'open_clip_config.json').write_text(json.dumps(dict(model_cfg=config, preprocess_cfg={})))
        model = open_clip.create_model(f'local-dir:{tmp_path}')
        torch.save(model.state_dict(), tmp_path / 'open_clip_pytorch_model.bin')
        return f'local-dir:{tmp_path}', model.eval()
    return save


@pytest.mark.parametrize('kind', KINDS)
def test_tokens_are_the_last_layer_after_its_norm(save, check_encoder, kind):
    name, model = save(kind)
    encoder = OpenCLIPTextEncoder(name, None, batch_size=2)  # the weights' name by place, as open_clip has it
    assert (encoder.dim, encoder.max_tokens) == (16, 77)
    check_encoder(encoder, TEXTS, COUNTS)
    seen = []
    getattr(model, 'text', model).ln_final.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.inference_mode():
        model.encode_text(encoder.tokenizer(TEXTS[:1]))
    torch.testing.assert_close(encoder.encode(TEXTS[:1]).features[0], seen[0][0, :COUNTS[0]])


@pytest.mark.slow
@pytest.mark.parametrize('kind', KINDS)
def test_pooled_is_the_row_that_is_compared_with_images(save, check_encoder, kind):
    name, model = save(kind)
    encoder = OpenCLIPTextEncoder(name, output='pooled', batch_size=2)
    assert encoder.dim == 12
    check_encoder(encoder, TEXTS, [1, 1, 1])
    with torch.inference_mode():
        torch.testing.assert_close(encoder.encode(TEXTS).features[:, 0], model.encode_text(encoder.tokenizer(TEXTS)))


@pytest.mark.slow
@pytest.mark.parametrize('output', ['tokens', 'pooled'])
def test_the_longest_text_fits_and_a_longer_one_is_refused(save, output):
    encoder = OpenCLIPTextEncoder(save()[0], output=output)
    fitting = 'word ' * 75  # and start and end
    assert encoder.encode([fitting]).mask.sum() == (77 if output == 'tokens' else 1)
    with pytest.raises(DataError, match=r"Text 1 \(\"one word .*\"\) has 78 tokens; .* 77.\s.*long='split'"):
        encoder.encode(['short', 'one ' + fitting])


def test_a_long_text_is_split_at_sentences(save, check_encoder):
    name, _ = save(context_length=20)
    tokens, pooled = (OpenCLIPTextEncoder(name, output=output, long='split', batch_size=2)
                      for output in ('tokens', 'pooled'))
    sentences = ['On the left it is dark and on the right it is bright.', 'A small patch is lit!', 'Is it a lamp?',
                 'Nobody knows whose lamp it is or was.']
    pieces = [sentences[0], ' '.join(sentences[1:3]), sentences[3]]
    counts = [len(tokens.tokenizer.encode(piece)) + 2 for piece in pieces]
    assert max(counts) <= 20 < counts[1] + counts[2] - 2  # no piece could hold a sentence more
    text = ' '.join(sentences)
    assert tokens._pieces(text) == pieces
    check_encoder(tokens, [text, 'Grey'], [sum(counts), 3])
    check_encoder(pooled, [text, 'Grey'], [3, 1])
    torch.testing.assert_close(tokens.encode([text]).features[0],
                               torch.cat([tokens.encode([piece]).features[0] for piece in pieces]))
    with pytest.raises(DataError, match=r'Text 1 \("word word.*"\) has 26 tokens.*\s.*longest sentence'):
        tokens.encode(['Fine.', 'word ' * 23 + '. Short.'])


@pytest.fixture
def bert_tokens(save_blip2, tmp_path):
    """The part of a model's config that makes open_clip read BERT's tokens."""
    from transformers import AutoTokenizer
    AutoTokenizer.from_pretrained(save_blip2()).save_pretrained(tmp_path)
    return dict(hf_tokenizer_name=str(tmp_path), context_length=40)


def test_a_tokenizer_of_transformers_is_counted_too(save, bert_tokens, check_encoder):
    encoder = OpenCLIPTextEncoder(save('both ways', **bert_tokens, vocab_size=26)[0])
    check_encoder(encoder, ['A bright patch.', 'dark'], [6, 3])
    assert encoder.encode(['dark ' * 38]).mask.sum() == 40
    with pytest.raises(DataError, match='has 41 tokens'):
        encoder.encode(['dark ' * 39])


def test_rows_that_cannot_be_told_from_padding_are_refused(save, bert_tokens):
    with pytest.raises(ConfigError, match='class token after the padding'):
        OpenCLIPTextEncoder(save('custom', **bert_tokens, vocab_size=26, tokenizer_mode='clips')[0])


def test_tokens_of_a_transformers_tower_are_not_to_be_had(save, bert_tokens, tmp_path):
    from transformers import BertConfig, BertModel
    BertModel(BertConfig(vocab_size=26, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                         intermediate_size=16, max_position_embeddings=40)).save_pretrained(tmp_path / 'bert')
    name, _ = save('custom', **bert_tokens, hf_model_name=str(tmp_path / 'bert'), hf_pooler_type='mean_pooler')
    with pytest.raises(ConfigError, match='text tower is of transformers'):
        OpenCLIPTextEncoder(name)
    encoder = OpenCLIPTextEncoder(name, output='pooled')
    assert encoder.encode(['A bright patch.', 'dark']).features.shape == (2, 1, 12)
    with pytest.raises(DataError, match='has 41 tokens'):
        encoder.encode(['dark ' * 39])


@pytest.mark.slow
@pytest.mark.parametrize(('arguments', 'message'), [
    (dict(output='tokns'), 'Did you mean tokens'), (dict(long='cut'), "long='cut'"),
    (dict(model='ViT-B-99'), 'ViT-B-99'), (dict(model='ViT-B-32'), 'pretrained=None'),
    (dict(model='ViT-B-32', pretrained='nobody'), 'nobody'), (dict(model='local-dir:absent'), 'absent')])
def test_what_cannot_be_is_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        OpenCLIPTextEncoder(**arguments)


def test_weights_that_are_missing_are_not_drawn_at_random(save, tmp_path):
    name, model = save()
    (tmp_path / 'open_clip_pytorch_model.bin').unlink()
    with pytest.raises(ConfigError, match='cannot load'):
        OpenCLIPTextEncoder(name)
    torch.save({key: value for key, value in model.state_dict().items() if 'ln_final' not in key},
               tmp_path / 'open_clip_pytorch_model.bin')
    with pytest.raises(ConfigError, match='ln_final'):
        OpenCLIPTextEncoder(name)


def test_without_open_clip_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'open_clip', None)
    with pytest.raises(ConfigError, match=r"pip install 'vlfusion\[vision\]'"):
        OpenCLIPTextEncoder()
