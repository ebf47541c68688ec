"""Captioners of transformers give what the documented calls give."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from language.captioners.conftest import scenes

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.captioners.pixels import rgb
from vlfusion.language.captioners.transformers_captioner import (
    ChatVLMCaptioner,
    ChatVLMPairCaptioner,
    TransformersCaptioner,
)
from vlfusion.language.interfaces import Captioner

pytest.importorskip('transformers')

KINDS = ['blip', 'blip2', 'blip2_t5', 'git']
PARTS = [*((TransformersCaptioner, kind, prompt) for kind in KINDS for prompt in ('', 'a photo of a $modality')),
         *((ChatVLMCaptioner, kind, 'what does this $modality image show') for kind in ('llava', 'qwen'))]


@pytest.fixture(params=PARTS, ids=lambda part: f'{part[1]}{"-prompt" if part[2] else ""}')
def part(request):
    """A captioner class with the arguments that build it."""
    cls, kind, prompt = request.param
    return cls, dict(model=request.getfixturevalue(kind), prompt=prompt, max_new_tokens=6)


def texts(observed):
    return [[seen.text for seen in of_one] for of_one in observed]


def test_one_observation_per_image_of_every_kind_and_a_batch_gives_what_its_singles_give(part, pictures):
    cls, arguments = part
    captioner = cls(**arguments, batch_size=2)
    assert isinstance(captioner, Captioner)
    together = captioner.observe(scenes(pictures), ('MRI',))
    assert len(together) == len(pictures)
    assert all(len(of_one) == 1 and of_one[0].box is of_one[0].score is None for of_one in together)
    assert together == [captioner.observe([(picture,)], ('MRI',))[0] for picture in pictures]
    assert len({str(one) for one in texts(together)}) > 1  # the image matters


def test_the_prompt_and_the_special_tokens_are_not_part_of_what_is_seen(part, pictures):
    cls, arguments = part
    captioner = cls(**arguments)
    for (text,) in texts(captioner.observe(scenes(pictures), ('MRI',))):
        assert not re.search(r'<\w+>|\[(CLS|SEP|PAD)\]', text)
        assert not text.lower().startswith('a photo of a mri') and 'what does this' not in text


@pytest.mark.parametrize('kind', KINDS)
def test_a_plain_caption_is_what_the_documented_call_gives(kind, request, pictures):
    from transformers import AutoModelForImageTextToText, AutoProcessor
    folder = request.getfixturevalue(kind)
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    assert type(model).__name__ in ('BlipForConditionalGeneration', 'Blip2ForConditionalGeneration', 'GitForCausalLM')
    processor = AutoProcessor.from_pretrained(folder)
    inputs = processor(images=rgb(pictures[1]), return_tensors='pt')
    with torch.inference_mode():
        ids = model.generate(**inputs, max_new_tokens=6, do_sample=False)
    expected = processor.batch_decode(ids, skip_special_tokens=True)[0].strip()
    assert texts(TransformersCaptioner(model=folder, max_new_tokens=6).observe(scenes(pictures[1:2]), ('',))) == [[
        ' '.join(expected.split())]]


@pytest.mark.parametrize('kind', KINDS)
def test_the_prompt_and_its_modality_are_read(kind, request, pictures):
    captioner = TransformersCaptioner(model=request.getfixturevalue(kind), prompt='a $modality', max_new_tokens=8)
    said = {modality: str(texts(captioner.observe(scenes(pictures[:4]), (modality,))))
            for modality in ('infrared', 'MRI', 'tree with two parked cars', '')}
    assert len(set(said.values())) > 1


def test_the_answer_goes_on_where_the_chat_prompt_ends(llava, pictures):
    from transformers import AutoModelForImageTextToText, AutoProcessor
    processor, model = AutoProcessor.from_pretrained(llava), AutoModelForImageTextToText.from_pretrained(llava).eval()
    inputs = processor(images=rgb(pictures[0]), text='USER: <image>what does this MRI image show ASSISTANT:',
                       return_tensors='pt')
    with torch.inference_mode():
        ids = model.generate(**inputs, max_new_tokens=6, do_sample=False)[:, inputs['input_ids'].shape[1]:]
    expected = ' '.join(processor.batch_decode(ids, skip_special_tokens=True)[0].split())
    captioner = ChatVLMCaptioner(model=llava, prompt='what does this $modality image show', max_new_tokens=6)
    assert texts(captioner.observe(scenes(pictures[:1]), ('MRI',))) == [[expected]]


@pytest.mark.parametrize('kind', ['llava', 'qwen'])
def test_two_images_in_one_prompt(kind, request, pictures):
    folder = request.getfixturevalue(kind)
    pairs = [(pictures[0], pictures[1]), (pictures[1], pictures[0]), (pictures[2], pictures[0])]
    captioner = ChatVLMPairCaptioner(folder, prompt='what does $modality_a show and $modality_b', max_new_tokens=6)
    together = texts(captioner.observe(pairs, ('MRI', 'PET')))
    assert together == [texts(captioner.observe([pair], ('MRI', 'PET')))[0] for pair in pairs]
    inputs = captioner._ask([(rgb(pictures[0]), rgb(pictures[1]))], 'a')
    image = captioner.model.config.image_token_id
    first, second = (captioner._ask([(rgb(picture),)], 'a') for picture in pictures[:2])
    assert (inputs['input_ids'] == image).sum() == sum((one['input_ids'] == image).sum() for one in (first, second))
    assert captioner.images == 2
    with pytest.raises(ConfigError, match=r'\$modality_a and \$modality_b'):
        ChatVLMPairCaptioner(folder, prompt='what does this $modality image show')


def test_beams_and_lengths_are_settings(blip2, pictures):
    beams = TransformersCaptioner(model=blip2, num_beams=3, max_new_tokens=4)
    assert len(beams.observe(scenes(pictures), ('',))) == len(pictures)
    short = TransformersCaptioner(model=blip2, max_new_tokens=1).observe(scenes(pictures[:1]), ('',))
    longer = TransformersCaptioner(model=blip2, max_new_tokens=12).observe(scenes(pictures[:1]), ('',))
    assert len(longer[0][0].text) > len(short[0][0].text)


def test_half_precision(blip2, pictures):
    captioner = TransformersCaptioner(model=blip2, dtype='bfloat16', max_new_tokens=4)
    assert captioner.model.dtype == torch.bfloat16
    assert len(captioner.observe(scenes(pictures), ('MRI',))) == len(pictures)


def test_no_images(blip2):
    assert TransformersCaptioner(model=blip2).observe([], ('MRI',)) == []


@pytest.mark.parametrize('picture, message', [
    (np.full((9, 9), np.nan, np.float32), 'float32 with NaN'),
    (np.zeros((9, 9)), 'holds float64'),
    (np.zeros((9, 9, 4), np.uint8), r'\(9, 9, 4\)'),
    (np.zeros((0, 9), np.uint8), r'\(0, 9\)')])
def test_what_is_no_image_is_refused(blip2, picture, message):
    with pytest.raises(DataError, match=message):
        TransformersCaptioner(model=blip2).observe([(picture,)], ('MRI',))


def test_colours_and_sixteen_bits_become_rgb(pictures):
    blue = np.zeros((2, 3, 3), np.uint8)
    blue[..., 0] = 255
    assert rgb(blue).getpixel((0, 0)) == (0, 0, 255) and rgb(blue).size == (3, 2)
    assert rgb(np.full((1, 1), 65535, np.uint16)).getpixel((0, 0)) == (255, 255, 255)
    assert rgb(np.full((1, 1), 129, np.uint16)).getpixel((0, 0)) == (1, 1, 1)
    assert (np.asarray(rgb(pictures[1].astype(np.uint16) * 257)) == np.asarray(rgb(pictures[1]))).all()


@pytest.mark.parametrize('cls', [TransformersCaptioner, ChatVLMCaptioner])
def test_a_model_that_is_not_there_is_named(cls, tmp_path):
    with pytest.raises(ConfigError, match=rf'{cls.__name__} cannot load the model .*{re.escape(str(tmp_path))}'):
        cls(model=str(tmp_path))
    with pytest.raises(ConfigError, match='cannot load the model .nobody/nothing'):
        cls(model='nobody/nothing')


@pytest.mark.slow
def test_a_model_of_another_kind_is_named(tmp_path):
    from transformers import BertConfig, BertModel
    BertModel(BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
                         intermediate_size=8)).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match='cannot load the model'):
        TransformersCaptioner(model=str(tmp_path))


def test_a_damaged_checkpoint_is_named(blip2, tmp_path):
    folder = Path(shutil.copytree(blip2, tmp_path / 'cut'))
    weights = folder / 'model.safetensors'
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(ConfigError, match=r'cannot load the model .*cut'):
        TransformersCaptioner(model=str(folder))


def test_a_checkpoint_without_some_weights_is_refused(blip2, tmp_path):
    from safetensors.torch import load_file, save_file
    folder = Path(shutil.copytree(blip2, tmp_path / 'partial'))
    weights = load_file(folder / 'model.safetensors')
    save_file({name: value for name, value in weights.items() if 'qformer' not in name}, folder / 'model.safetensors',
              metadata={'format': 'pt'})
    with pytest.raises(ConfigError, match=r'lacks \d+ weights of a Blip2ForConditionalGeneration, such as .*qformer'):
        TransformersCaptioner(model=str(folder))


def test_a_chat_model_without_a_template_is_refused(llava, tmp_path):
    folder = Path(shutil.copytree(llava, tmp_path / 'mute'))
    (folder / 'chat_template.jinja').unlink()
    with pytest.raises(ConfigError, match='has no chat template'):
        ChatVLMCaptioner(model=str(folder))


@pytest.mark.parametrize('setting, message', [
    (dict(dtype='float8'), 'no dtype'), (dict(device='cuda:99'), 'cannot load'), (dict(batch_size=0), 'batch_size'),
    (dict(num_beams=0), 'num_beams'), (dict(max_new_tokens=0), 'max_new_tokens'),
    (dict(prompt='$what is this'), r'\$what is this'), (dict(prompt='5 $ or less'), r'5 \$')])
def test_settings_that_cannot_be_are_refused(blip2, setting, message):
    with pytest.raises(ConfigError, match=message):
        TransformersCaptioner(model=blip2, **setting)


def test_an_empty_question_is_refused(llava):
    with pytest.raises(ConfigError, match='empty'):
        ChatVLMCaptioner(model=llava, prompt=' ')


def test_without_transformers_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'transformers', None)
    with pytest.raises(ConfigError, match=r"pip install 'vlfusion\[language"):
        TransformersCaptioner(model='nobody/nothing')


def test_a_config_of_plain_data_is_all_it_takes(blip2):
    from vlfusion.registry import CAPTIONERS
    config = json.loads(json.dumps(dict(type='TransformersCaptioner', model=blip2, device='cpu', dtype='float32')))
    assert isinstance(CAPTIONERS.build(config), TransformersCaptioner)
