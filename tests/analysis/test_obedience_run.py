"""Obedience of networks whose answer is known: one that does what it is asked, one that listens to nothing."""

from dataclasses import astuple

import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import nn

from vlfusion.analysis.asked_quantities import QUANTITIES
from vlfusion.analysis.obedience import Obedience, compare
from vlfusion.analysis.obedience_run import Listener, instructions, measure_obedience, seed_of_pair
from vlfusion.cli import main
from vlfusion.config import load_config
from vlfusion.data.regions import region_weight
from vlfusion.errors import ConfigError, DataError
from vlfusion.imaging import asked_picture
from vlfusion.imaging.images import read_image
from vlfusion.language.instructions import Vocabulary
from vlfusion.language.interfaces import TextFeatures
from vlfusion.registry import BACKBONES, MODELS, TEXT_ENCODERS
from vlfusion.testing.toys import draw_pairs

pytest.importorskip('scipy.stats', reason="pip install 'vlfusion[benchmark]'")

NAMES = ['p0', 'p1', 'p2']
VOCABULARY = Vocabulary.read()


class Letters:
    """A text encoder whose features are the codes of the letters."""

    version, dim = '1', 2

    def encode(self, texts):
        length = max(map(len, texts)) + 1
        mask = torch.tensor([[place <= len(text) for place in range(length)] for text in texts])
        codes = torch.tensor([[*map(ord, text), *[0] * (length - len(text))] for text in texts])
        return TextFeatures(codes[..., None].float().expand(-1, -1, 2), mask)


class Obeys(nn.Module):
    """A backbone that reads the letters, and returns the asked picture."""

    text_dim, text_optional, several_instructions = dict(instruction=2), ('instruction',), True
    vocabulary = {case.text: case for seed in (0, 1) for index in range(len(NAMES))
                  for case in instructions(VOCABULARY, 'infrared', 'visible', 2, 1, seed_of_pair(seed, index))}

    def forward(self, source_a, source_b, instruction=None, instruction_mask=None):
        plain = torch.maximum(source_a, source_b)
        if instruction is None:
            return plain
        return torch.cat([self.answer(source_a, source_b, plain, case)
                          for case in self.cases(instruction, instruction_mask)])

    def cases(self, instruction, instruction_mask):
        return [self.vocabulary[''.join(chr(int(code)) for code in codes[mask, 0] if code)]
                for codes, mask in zip(instruction, instruction_mask, strict=True)]

    def answer(self, source_a, source_b, plain, case):
        region = torch.from_numpy(region_weight(case.region, plain[0, 0].numpy()))[None, None]
        return asked_picture(source_a, source_b, torch.tensor([astuple(case.ask)]), region, plain)


class Colours(Obeys):
    """The same, with a factor of the saturation."""

    def colour_strength(self, instruction, instruction_mask):
        return torch.tensor([case.ask.colour for case in self.cases(instruction, instruction_mask)])


class OneByOne(Colours):
    """The same, under a single instruction at once."""

    several_instructions = False


class Everywhere(Obeys):
    """It does what is asked, but in the whole picture."""

    def answer(self, source_a, source_b, plain, case):
        return asked_picture(source_a, source_b, torch.tensor([astuple(case.ask)]), torch.ones_like(plain), plain)


class Confuses(Obeys):
    """It takes source A for source B."""

    def answer(self, source_a, source_b, plain, case):
        return super().answer(source_b, source_a, plain, case)


class Deaf(Obeys):
    """It returns the brighter source, whatever is asked."""

    def answer(self, source_a, source_b, plain, case):
        return plain


class Mean(nn.Module):
    """A backbone that reads no text."""

    def forward(self, source_a, source_b):
        return (source_a + source_b) / 2


class TwoTexts(nn.Module):
    """A backbone with two texts, of which none is an instruction."""

    text_dim = dict(text_a=2, text_b=2)


@pytest.fixture(autouse=True)
def parts(monkeypatch):
    monkeypatch.setitem(TEXT_ENCODERS.module_dict, 'Letters', Letters)
    for backbone in (Obeys, Colours, OneByOne, Everywhere, Confuses, Deaf, Mean, TwoTexts):
        monkeypatch.setitem(BACKBONES.module_dict, backbone.__name__, backbone)


@pytest.fixture
def config(tmp_path):
    """A function that gives the config of a backbone on three drawn pairs."""
    draw_pairs(tmp_path / 'data', NAMES, size=(32, 40))
    dataset = dict(type='PairDataset', task='ivf', data_root=str(tmp_path / 'data'), source_a='ir', source_b='vi',
                   pipeline=[dict(type='LoadPair'), dict(type='PackPair')])

    def build(backbone, **options):
        built = Config({
            'task': 'ivf', 'model': dict(type='FusionModel', backbone=dict(type=backbone)),
            'language': dict(store=str(tmp_path / 'store'), encoder=dict(type='Letters')),
            'test_dataloader': dict(dataset=dataset), 'work_dir': str(tmp_path / backbone), **options})
        built.dump(tmp_path / f'{backbone}.py')
        return load_config(tmp_path / f'{backbone}.py')
    return build


@pytest.fixture
def measured(config):
    """A function that measures the obedience of a backbone."""
    def measure(backbone, **options):
        return measure_obedience(config(backbone), **{
            'per_case': 1, 'per_region': 0, 'metrics': ['SD'], 'figure': False, 'vocabulary': VOCABULARY, **options})
    return measure


def test_a_network_that_obeys(measured):
    found = measured('Obeys', per_region=1, limit=1)
    assert found.images == 1 and found.vocabulary == 'fusion.v2' and len(found.cases) == 397
    for name, share in found.groups.items():
        assert share.obeyed == 1 and share.interval == (1, 1) and share.cases > 0, name
    assert all(case['obeyed'] == 1 or case['obeyed'] is None for case in found.cases)
    assert 'obeyed least' not in found.markdown()
    assert 'obeys 100 % (100 % to 100 %) of the instructions about the leading source' in found.sentence
    assert all(change == pytest.approx(target, abs=1e-3) for changes in found.matrix.values()
               for name, (change, target) in changes.items() if name != 'Colour')
    assert found.matrix['brighter']['Level'][0] > 1 > abs(found.matrix['texture_a']['Level'][0])
    assert found.matrix['neutral'] == {
        name: pytest.approx((torch.nan if name == 'Colour' else 0, 0), abs=1e-6, nan_ok=True) for name in QUANTITIES}


def test_a_network_that_listens_to_nothing(measured):
    found = measured('Deaf', per_region=1, limit=1)
    groups = found.groups
    assert groups.pop('neutral').obeyed == 1, 'it did what it normally does'
    assert {share.obeyed for share in groups.values()} == {0}
    assert all(change == 0 for changes in found.matrix.values() for name, (change, _) in changes.items()
               if name != 'Colour')


def test_a_network_that_ignores_the_region(measured):
    groups = measured('Everywhere', per_region=1, limit=1).groups
    assert groups['leading source and brightness'].obeyed == 1 and groups['regions'].obeyed > 0.9
    assert groups['regions, and little elsewhere'].obeyed < 0.3


def test_a_network_that_confuses_the_sources(measured):
    found = measured('Confuses')
    groups, [_, failures] = found.groups, found.markdown().split('| obeyed least |')
    assert failures.count('| lead_') + failures.count('| texture_') == 10 and '| brighter' not in failures
    assert groups['leading source'].obeyed == 0 and groups['brightness'].obeyed == groups['balance'].obeyed == 1
    assert groups['leading source and brightness'].obeyed == pytest.approx(0.5, abs=0.1)


def test_several_at_once_are_as_one_by_one(measured):
    assert measured('OneByOne').cases == measured('Colours').cases


def test_colour_is_measured_where_the_network_has_it(measured):
    plain, coloured = measured('Obeys', limit=1), measured('Colours', limit=1)
    assert 'colour' not in plain.groups and '| n/a |' in plain.markdown()
    assert coloured.groups['colour'].cases == 6 and coloured.groups['colour'].obeyed == 1
    assert coloured.matrix['more_colour']['Colour'][0] > 1 > abs(coloured.matrix['brighter']['Colour'][0])


def test_sentences_depend_on_seed_and_pair(measured):
    def texts(**options):
        return {(case['name'], case['text']) for case in measured('Deaf', limit=2, **options).cases}
    assert texts() == texts() != texts(seed=1)
    assert {text for name, text in texts() if name == 'p0'} != {text for name, text in texts() if name == 'p1'}


def test_files_give_the_result_back(measured, config, tmp_path):
    found = measured('Obeys', per_region=1, limit=1, figure=True, out=tmp_path / 'out')
    again = Obedience.read(tmp_path / 'out')
    assert (tmp_path / 'out/obedience.png').stat().st_size > 1000
    a, b, plain, lead_a, lead_b = (
        read_image(tmp_path / f'out/pictures/{column}/1.png').astype(int)
        for column in ('source_A', 'source_B', 'no_instruction', '1', '2'))
    assert np.abs(plain - np.maximum(a, b)).max() <= 1
    assert np.abs(lead_a - a).mean() < np.abs(plain - a).mean() and np.abs(lead_b - b).mean() < np.abs(plain - b).mean()
    assert again.markdown() == found.markdown() and again.json() == found.json()
    assert (tmp_path / 'out/obedience.md').read_text().endswith(found.markdown())
    assert found.inputs['vocabulary_sha256'] == VOCABULARY.sha256 and found.inputs['stream'] == 'instruction'
    (tmp_path / 'out/obedience.json').write_text('[]')
    with pytest.raises(DataError, match='contains no obedience'):
        Obedience.read(tmp_path / 'out')


def test_the_cost_of_listening(measured, config, tmp_path):
    for other, said in (('Deaf', 'all 3 pictures equal those of'), ('Mean', 'Without an instruction 0 of 3 pictures')):
        config(other)
        found = measured('Obeys', against=str(tmp_path / f'{other}.py'), out=tmp_path / 'out')
        assert said in found.markdown() and ('mean rank' in found.markdown()) == (other == 'Mean')
        assert list(found.scores) == ['none', str(tmp_path / f'{other}.py')]
        assert Obedience.read(tmp_path / 'out').markdown() == found.markdown()


def test_a_comparison_of_results(measured):
    one, other = measured('Obeys'), measured('Deaf')
    lines = compare(dict(one=one, other=other)).splitlines()
    assert lines[0] == '| obeyed | one | other |'
    assert lines[2] == '| leading source and brightness | 100 % (100 % to 100 %) | 0 % (0 % to 0 %) |'
    with pytest.raises(DataError, match='different pairs or vocabularies'):
        compare(dict(one=one, fewer=measured('Deaf', limit=2)))


def test_unsuitable_networks(measured, config):
    with pytest.raises(ConfigError, match='reads no text'):
        measured('Mean')
    with pytest.raises(ConfigError, match='none of them is an instruction'):
        measured('TwoTexts')
    with pytest.raises(ConfigError, match='no text encoder'):
        measure_obedience(config('Deaf', language={}))


def test_the_verb_prints_the_tables(config, tmp_path, capsys):
    assert main(['ablate-text', config('Obeys').filename, '--instructions', '--per-case', '1', '--per-region', '0',
                 '--metrics', 'SD', '--limit', '2', '--seed', '1']) == 0
    assert '| brightness | 100 % | 100 % to 100 % | 12 |' in capsys.readouterr().out
    assert Obedience.read(tmp_path / 'Obeys/obedience').seed == 1


@pytest.mark.slow
def test_film_reads_sentences_by_a_real_encoder(tmp_path):
    language = dict(encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2'))
    torch.manual_seed(0)
    model = MODELS.build(dict(type='FusionModel', backbone=dict(
        type='FILM', text_dim=8, dim=8, heads=2, attention_dim=16, guidance_grid=(4, 8), guidance='spatial',
        instruction_dim=384)))
    nn.init.normal_(model.backbone.correction.numbers[-1].weight[8:12], std=1.)
    sample = dict(name='p', source_a=torch.rand(1, 20, 24), source_b=torch.rand(1, 20, 24), text=torch.rand(3, 8),
                  text_mask=torch.ones(3, dtype=torch.bool))
    listener = Listener(model, language)
    texts = listener.encode(['Show the PET.', 'Brighten the left a bit.'])
    plain, pictures = listener.fuse(sample), listener.fuse(sample, texts)
    assert torch.equal(plain, model.backbone(**{key: value[None] for key, value in sample.items() if key != 'name'}))
    assert pictures.shape == (2, 1, 20, 24) and (pictures - plain).abs().mean((1, 2, 3)).min() > 1e-3
    listener.several = False
    torch.testing.assert_close(listener.fuse(sample, texts), pictures)
    assert listener.saturation(texts).tolist() == [1, 1], 'it begins there'


@pytest.mark.parametrize(('options', 'message'), [
    (['--instructions', '--policies', 'zero'], '--policies has no effect with --instructions'),
    (['--instructions', '--other-texts', 'words'], '--other-texts has no effect with --instructions'),
    (['--against', 'film-mif'], '--against has no effect without --instructions'),
    (['--drawn', '1', '--instructions'], '--instructions has no effect with --drawn')])
def test_options_of_another_measurement_are_refused(options, message, capsys):
    assert main(['ablate-text', 'film/film_mif', *options]) == 2
    assert message in capsys.readouterr().err
