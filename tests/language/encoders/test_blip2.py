"""BLIP-2's text features are those of its library."""

import json
import re
import sys

import pytest
import torch

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.encoders import Blip2TextEncoder
from vlfusion.language.encoders.blip2 import blip_caption

TEXTS = ['A bright patch.', 'This small square image is of the MRI kind, and it is dark in the lower left.', 'Grey']


@pytest.mark.parametrize('architecture', ['Blip2ForImageTextRetrieval', 'Blip2TextModelWithProjection'])
def test_features_are_those_of_the_library(save_blip2, check_encoder, architecture):
    from transformers import AutoTokenizer, Blip2TextModelWithProjection
    folder = save_blip2(architecture)
    encoder = Blip2TextEncoder(folder)
    assert (encoder.dim, encoder.max_tokens) == (768, 60)
    check_encoder(encoder, TEXTS, [6, 21, 3])
    model = Blip2TextModelWithProjection.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for text in TEXTS:
        inputs = tokenizer(text, return_tensors='pt')
        inputs.pop('token_type_ids', None)
        with torch.inference_mode():
            expected = model(**inputs)
        assert inputs['input_ids'][0, 0] == tokenizer.cls_token_id
        assert torch.equal(encoder.encode([text]).features, expected.last_hidden_state)
        assert expected.text_embeds.shape[-1] == 4  # the projection, which is not what FILM reads


def test_the_clean_up_is_by_name(save_blip2):
    folder = save_blip2()
    plain, clean = Blip2TextEncoder(folder), Blip2TextEncoder(folder, clean='blip_caption')
    assert plain.encode(TEXTS[:1]).mask.sum() == 6 and clean.encode(TEXTS[:1]).mask.sum() == 5
    assert torch.equal(clean.encode(TEXTS[1:2]).features, plain.encode([blip_caption(TEXTS[1])]).features)
    with pytest.raises(ConfigError, match='Did you mean blip_caption'):
        Blip2TextEncoder(folder, clean='blip_captoin')


def test_the_clean_up():
    assert blip_caption('"One"  (two): three; four~\n#five*') == 'one two three four five'
    assert blip_caption('word ' * 70) == ' '.join(['word'] * 50)
    assert blip_caption('A man, 20 years-old') == 'a man, 20 years-old'


def test_the_longest_text_fits_and_a_longer_one_is_refused(save_blip2):
    encoder = Blip2TextEncoder(save_blip2())
    fitting = 'word ' * 58  # and [CLS] and [SEP]
    assert encoder.encode([fitting]).mask.sum() == 60
    with pytest.raises(DataError, match=r'Text 1 \("This word word .*"\) has 61 tokens.*at most 60'):
        encoder.encode(['A patch.', 'This ' + fitting])
    assert Blip2TextEncoder(save_blip2(), clean='blip_caption').encode(['word ' * 99]).mask.sum() == 52


def test_a_checkpoint_without_a_text_encoder_is_refused(save_blip2):
    """Captioning checkpoints; transformers alone would draw the missing weights at random and warn."""
    with pytest.raises(ConfigError, match=r'lacks \d+ weights of a Blip2TextModelWithProjection:\s.*embeddings'):
        Blip2TextEncoder(save_blip2('Blip2ForConditionalGeneration'))
    with pytest.raises(ConfigError, match='reads no text'):
        Blip2TextEncoder(save_blip2('Blip2ForConditionalGeneration', reads_text=False))


def test_a_word_that_the_model_does_not_know_is_refused(save_blip2):
    """Not the tokenizer that has it: published ones have an unused token for images."""
    encoder = Blip2TextEncoder(save_blip2(more_words=('one', 'two', 'three')))
    assert encoder.encode(TEXTS).features.shape == (3, 21, 768)
    with pytest.raises(DataError, match=r"made 'two' token 26 of a text, but the model knows 26 tokens"):
        encoder.encode(['A patch.', 'two'])


def test_what_cannot_be_loaded_is_named(save_blip2, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path / 'absent'))):
        Blip2TextEncoder(str(tmp_path / 'absent'))
    folder = save_blip2()
    weights = tmp_path / 'blip2/model.safetensors'
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ConfigError, match='cannot be loaded'):
        Blip2TextEncoder(folder)
    (tmp_path / 'blip2/config.json').write_text(json.dumps({'model_type': 'bert'}))
    with pytest.raises(ConfigError):
        Blip2TextEncoder(folder)
    monkeypatch.setitem(sys.modules, 'transformers', None)
    with pytest.raises(ConfigError, match=r"Blip2TextEncoder needs.*\s.*pip install 'vlfusion\[language\]'"):
        Blip2TextEncoder(folder)
