"""Samples with several instructions and what they ask for."""

from dataclasses import astuple, replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import default_collate

from vlfusion.data import PairDataset
from vlfusion.data.from_config import texts_to_encode
from vlfusion.data.instructed import Instructions
from vlfusion.data.regions import region_weight
from vlfusion.data.sampler import Draw
from vlfusion.errors import ConfigError, DataError, UnknownNameError
from vlfusion.language.fixed import encode_fixed
from vlfusion.language.instructions import Ask
from vlfusion.language.interfaces import TextFeatures
from vlfusion.registry import TEXT_ENCODERS
from vlfusion.testing.toys import draw_pairs

WHOLE = [dict(type='LoadPair'), dict(type='PackPair')]
CROPPED = [dict(type='LoadPair'), dict(type='BothSources', transforms=[
    dict(type='RandomCrop', size=(8, 8)), dict(type='RandomFlip', prob=0.5)]), dict(type='PackPair')]
OPTIONS = dict(vocabulary='fusion.v2', count=3, pool=20)


class Letters(nn.Module):
    """A text encoder of one token for each letter, and one for the end."""

    version, dim = '1', 8

    def encode(self, texts):
        length = max(map(len, texts)) + 1
        mask = torch.tensor([[place <= len(text) for place in range(length)] for text in texts])
        codes = torch.tensor([[*map(ord, text), *[0] * (length - len(text))] for text in texts])
        return TextFeatures((codes[..., None] * torch.arange(1., 9)).sin(), mask)


@pytest.fixture
def language(tmp_path, monkeypatch):
    monkeypatch.setitem(TEXT_ENCODERS.module_dict, 'Letters', Letters)
    return dict(store=str(tmp_path / 'store'), encoder=dict(type='Letters'))


@pytest.fixture
def build(tmp_path, language):
    """A function that builds a data set whose instructions are encoded."""
    draw_pairs(tmp_path, ['1', '2', '3'], size=(12, 16))

    def build(encode=True, pipeline=WHOLE, **changes):
        options = OPTIONS | changes
        pairs = PairDataset('ivf', tmp_path, 'ir', 'vi').pairs
        if encode:
            encode_fixed(language, Instructions(language, **options).texts(pairs))
        return PairDataset('ivf', tmp_path, 'ir', 'vi', language=language, instructions=options, pipeline=pipeline)
    return build


def test_a_sample_has_the_empty_instruction_and_those_that_were_drawn(build, language):
    dataset = build()
    sample, pool = dataset[0], dataset.instructions.pool(dataset.pairs[0])
    length = max(len(instruction.text) for instruction in pool) + 1
    assert dataset.text_dims == dict(instruction=8) and len(pool) == 20
    assert sample['instruction'].shape == (4, length, 8) and sample['instruction_mask'].shape == (4, length)
    assert not sample['instruction_mask'][0].any() and not sample['instruction'][0].any()
    np.testing.assert_allclose(sample['ask'][0], astuple(Ask()))
    assert (sample['region'][0] == 1).all()
    brightest = torch.maximum(sample['source_a'], sample['source_b'])[0].numpy()
    for i in range(1, 4):
        count = int(sample['instruction_mask'][i].sum())
        [said] = [instruction for instruction in pool
                  if len(instruction.text) + 1 == count and np.allclose(
                      Letters().encode([instruction.text]).features[0], sample['instruction'][i, :count])]
        np.testing.assert_allclose(sample['ask'][i], astuple(said.ask), rtol=1e-6)
        np.testing.assert_array_equal(sample['region'][i], region_weight(said.region, brightest))


def test_samples_make_a_batch(build):
    dataset = build(pipeline=CROPPED)
    batch = default_collate([dataset[0], dataset[1]])
    assert batch['ask'].shape == (2, 4, 8) and batch['region'].shape == (2, 4, 8, 8)
    assert batch['instruction'].shape[:2] == batch['instruction_mask'].shape[:2] == (2, 4)


def test_instructions_are_drawn_for_each_sample_and_by_its_seed_alone(build):
    dataset = build(pipeline=CROPPED)
    drawn = [dataset[Draw(0, seed)] for seed in (1, 2, 1)]
    assert torch.equal(drawn[0]['instruction'], drawn[2]['instruction'])
    assert torch.equal(drawn[0]['region'], drawn[2]['region'])
    assert not torch.equal(drawn[0]['instruction'], drawn[1]['instruction'])


def test_options_choose_what_is_drawn(build):
    dataset = build(intents=['brighter', 'darker'], regions=['left'], joined=0)
    pool = dataset.instructions.pool(dataset.pairs[0])
    assert {instruction.intent for instruction in pool} == {'brighter', 'darker'}
    assert {instruction.region for instruction in pool} == {'left'}
    told, held_out = (Instructions(dict(store='x'), pool=60, count=1, held_out=held_out).texts(dataset.pairs)
                      for held_out in (False, True))
    assert not {text.lower() for text in told} & {text.lower() for text in held_out}, 'held out from training'


def test_words_name_the_modalities_of_the_pair(build):
    dataset = build(intents=['lead_b'], pool=40)
    pair, other = dataset.pairs[0], replace(dataset.pairs[0], modality_a='MRI', modality_b='PET')
    texts = [' '.join(instruction.text for instruction in dataset.instructions.pool(each)) for each in (pair, other)]
    assert 'infrared' in texts[0] and 'infrared' not in texts[1]
    assert 'PET' in texts[1] and 'PET' not in texts[0]


def test_some_tokens_are_dropped_and_the_first_stays(build):
    whole, some = (build(dropped=dropped)[0]['instruction_mask'] for dropped in (0, 0.5))
    assert not (some & ~whole).any() and torch.equal(some[:, 0], whole[:, 0])
    assert 0.3 < some.sum() / whole.sum() < 0.7


def test_an_empty_text_may_have_features_of_its_own(build):
    """A backbone whose only text is the instruction needs a token of every one."""
    dataset = build(stream='text', encode_empty=True)
    sample = dataset[0]
    assert dataset.text_dims == dict(text=8) and 'instruction' not in sample
    assert sample['text_mask'][0].sum() == 1, "the encoder's token of the end"
    assert dataset.instructions.texts(dataset.pairs)[0] == ''


def test_texts_that_are_not_encoded_are_counted_and_a_command_encodes_them(build):
    with pytest.raises(DataError, match=r'(?s)20 of 20 instructions are not encoded yet.*vlfusion describe CONFIG'):
        build(encode=False)


def test_describing_a_config_encodes_the_sentences_of_its_instructions(build, language, tmp_path):
    from mmengine.config import Config
    part = dict(type='PairDataset', task='ivf', data_root=str(tmp_path), source_a='ir', source_b='vi',
                language=language, instructions=OPTIONS, pipeline=WHOLE)
    config = Config(dict(task='ivf', data_root=str(tmp_path), language=language, train_dataloader=dict(dataset=part)))
    texts = texts_to_encode(config)['instruction']
    assert len(texts) == 20 == len(set(texts))
    encode_fixed(language, texts)
    assert build(encode=False)[0]['ask'].shape == (4, 8)


def test_instructions_may_have_an_encoder_of_their_own(build, language, tmp_path, monkeypatch):
    from mmengine.config import Config

    from vlfusion import describe

    class Wide(Letters):
        def encode(self, texts):
            encoded = super().encode(texts)
            return TextFeatures(encoded.features.repeat(1, 1, 2), encoded.mask)
    monkeypatch.setitem(TEXT_ENCODERS.module_dict, 'Wide', Wide)
    language['instruction_encoder'] = dict(type='Wide')
    part = dict(type='PairDataset', task='ivf', data_root=str(tmp_path), source_a='ir', source_b='vi',
                instructions=OPTIONS, pipeline=WHOLE, text_source=dict(fixed='Fuse.'))
    done = describe(Config(dict(task='ivf', data_root=str(tmp_path), language=language,
                                train_dataloader=dict(dataset={**part, 'language': language}))))
    assert len(done.fixed) == len(done.new_fixed) == 21
    sample = PairDataset(**{key: value for key, value in part.items() if key != 'type'}, language=language)[0]
    assert sample['text'].shape[1] == 8 and sample['instruction'].shape[2] == 16


@pytest.mark.parametrize(('changes', 'error', 'message'), [
    (dict(count=0), ConfigError, 'count >= 1'), (dict(pool=2), ConfigError, 'pool >= count'),
    (dict(vocabulary='fusion.v9'), UnknownNameError, "no vocabulary 'fusion.v9'"),
    (dict(intents=['brigther']), UnknownNameError, 'Did you mean brighter'),
    (dict(stream='source_a'), ConfigError, "No text can be called 'source_a'")])
def test_options_that_cannot_be(build, changes, error, message):
    with pytest.raises(error, match=f'(?s){message}'):
        build(**changes)
