"""The ablation of the text finds an effect where a text has one, and none where it has none."""

import csv
import json

import cv2
import numpy as np
import pytest
import torch

from vlfusion.analysis.ablation import Ablation, ablate
from vlfusion.cli import main
from vlfusion.data import PairDataset
from vlfusion.errors import DataError
from vlfusion.language.interfaces import TextFeatures
from vlfusion.registry import BACKBONES, MODELS, TEXT_ENCODERS
from vlfusion.testing.toys import draw_pairs, write_features

stats = pytest.importorskip('scipy.stats', reason="pip install 'vlfusion[benchmark]'")
multitest = pytest.importorskip('statsmodels.stats.multitest', reason="pip install 'vlfusion[benchmark]'")

NAMES, SIZE = [f'p{i}' for i in range(5)], (16, 20)
METRICS = ['EN', 'SD']
LANGUAGE = dict(store='store', encoder=dict(type='Letters'))


class Letters:
    """A text encoder of one token for each letter, and one for the end."""

    version, dim = '1', 8

    def encode(self, texts):
        length = max(map(len, texts)) + 1
        mask = torch.tensor([[place <= len(text) for place in range(length)] for text in texts])
        codes = torch.tensor([[*map(ord, text), *[0] * (length - len(text))] for text in texts])
        return TextFeatures((codes[..., None] * torch.arange(1., 9)).sin(), mask)


class Mean(torch.nn.Module):
    """A backbone that reads no text."""

    def forward(self, source_a, source_b):
        return (source_a + source_b) / 2


@pytest.fixture(autouse=True)
def parts(monkeypatch):
    monkeypatch.setitem(TEXT_ENCODERS.module_dict, 'Letters', Letters)
    monkeypatch.setitem(BACKBONES.module_dict, 'Mean', Mean)


@pytest.fixture
def saved(toy, tmp_path):
    """A function that writes a tiny config and the checkpoint of an untrained FILM, changed by `change`."""
    draw_pairs(toy.data, NAMES, size=SIZE)

    def save(guidance='channel', change=lambda film: None, **options):
        config = toy(**{'model.backbone.guidance': guidance, 'model.backbone.dim': 8,
                        'model.backbone.attention_dim': 64, **options})
        torch.manual_seed(0)
        model = MODELS.build(dict(type='FusionModel', backbone=dict(config.model.backbone)))
        change(model.backbone)
        experiment = dict(task='ivf', model=dict(type='FusionModel', backbone=config.model.backbone.to_dict()))
        torch.save(dict(state_dict=model.state_dict(), meta=dict(vlfusion=experiment)), tmp_path / 'model.pth')
        config.dump(tmp_path / 'config.py')
        return str(tmp_path / 'config.py'), str(tmp_path / 'model.pth')
    return save


@pytest.fixture
def run(saved, tmp_path, capsys):
    """A function that runs `vlfusion ablate-text` and gives what it wrote and printed."""
    def ablated(*arguments, **kwargs):
        out = tmp_path / 'out'
        code = main(['ablate-text', *saved(**kwargs), '--metrics', *METRICS, '--out', str(out), *map(str, arguments)])
        printed = capsys.readouterr()
        return (Ablation.read(out), printed.out) if code == 0 else (None, printed.err)
    return ablated


def louder(film):
    with torch.no_grad():
        film.text_projection.weight *= 20
        if film.correction is not None:  # it begins at zero
            torch.nn.init.normal_(film.correction.numbers[-1].weight)


def deaf(film):
    torch.nn.init.zeros_(film.text_projection.weight)
    torch.nn.init.zeros_(film.text_projection.bias)


@pytest.mark.slow
def test_scores_are_those_of_vlfusion_test(run, saved, tmp_path):
    found, _ = run('--policies', 'swapped', 'noise')
    for policy in ('own', 'swapped', 'noise'):
        out = tmp_path / policy
        assert main(['test', *saved(), '--out', str(out), '--cfg-options', f'text_policy={policy}',
                     f'test_evaluator.names=[{",".join(METRICS)}]']) == 0
        assert (out / 'metrics.csv').read_bytes() == (tmp_path / f'out/scores/{policy}.csv').read_bytes(), policy
    assert list(found.changes) == ['swapped', 'noise'] and list(found.scores) == ['own', 'swapped', 'noise']


@pytest.mark.slow
@pytest.mark.parametrize('guidance', ['released', 'channel', 'spatial'])
def test_a_model_that_listens(run, guidance, tmp_path):
    found, printed = run(guidance=guidance, change=louder)
    assert found.images == 5 and found.dataset == 'data' and found.protocol == 'film.1'
    assert list(found.changes) == ['zero', 'swapped', 'shuffled', 'noise']
    assert found.sensitivity == found.changes['swapped'].mean > 0
    low, high = found.interval
    assert 0 < low < found.sensitivity < high < found.changes['swapped'].maximum
    assert 0 <= found.changes['swapped'].pixels <= 1
    assert found.changes['shuffled'].maximum < 1e-2 < 100 * found.changes['noise'].maximum, 'it pools its tokens'
    assert 'grey levels on average (95 % interval' in printed and 'no language section' in printed
    assert '--other-task CONFIG' in printed and 'too few to show a difference' in printed
    assert '5 pairs are too few to tell' in found.sentence
    for policy, path in found.maps.items():
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert picture.shape == SIZE and picture.max() in (254, 255) and found.scales[policy].pair is None


@pytest.mark.slow
def test_pixels_by_hand(run, saved):
    found, _ = run('--policies', 'swapped', '--pair-maps', change=louder, guidance='channel')
    from vlfusion.config import load_config
    config_path, checkpoint = saved(change=louder)
    config = load_config(config_path)
    config.model.pop('losses')
    model = MODELS.build(config.model).eval()
    model.load_state_dict(torch.load(checkpoint)['state_dict'])
    outputs = {}
    for policy in ('own', 'swapped'):
        part = {**config.test_dataloader.dataset, 'text_policy': policy}
        part.pop('type')
        samples = PairDataset(**part)
        with torch.no_grad():
            outputs[policy] = [255 * model(**{key: samples[i][key][None] for key in (
                'source_a', 'source_b', 'text', 'text_mask')})[0, 0].double().numpy() for i in range(5)]
    changes = [np.abs(one - other) for one, other in zip(outputs['own'], outputs['swapped'], strict=True)]
    assert found.sensitivity == pytest.approx(np.mean(changes), rel=1e-12)
    assert found.changes['swapped'].maximum == np.max(changes)
    expected = stats.bootstrap(([one.mean() for one in changes],), np.mean, n_resamples=2000, method='percentile',
                               rng=np.random.default_rng(0)).confidence_interval
    assert found.interval == pytest.approx(tuple(expected), rel=1e-12)
    picture = cv2.imread(str(found.maps['swapped']), cv2.IMREAD_UNCHANGED)
    mean = np.mean(changes, 0)
    assert np.abs(picture / found.scales['swapped'].factor - mean).max() <= 0.51 / found.scales['swapped'].factor
    assert found.scales['swapped'].factor == pytest.approx(255 / mean.max(), rel=0.01)
    for move, change in zip(found.moves, changes, strict=True):
        one = cv2.imread(str(found.maps['swapped'].parent / f'swapped/{move["name"]}.png'), cv2.IMREAD_UNCHANGED)
        assert np.abs(one / move['factor'] - change).max() <= 0.51 / move['factor']


@pytest.mark.slow
@pytest.mark.parametrize('guidance', ['released', 'channel', 'spatial'])
def test_a_deaf_model(run, guidance, toy):
    for name in NAMES:  # texts of one length, for the mean over another number of tokens is rounded otherwise
        np.save(toy.data / f'text/{name}.npy', np.random.default_rng(int(name[1:])).normal(size=(4, 8)))
    found, printed = run('--policies', 'zero', guidance=guidance, change=deaf)
    assert list(found.changes) == ['zero', 'swapped']
    for policy, change in found.changes.items():
        assert (change.mean, change.interval, change.maximum, change.pixels) == (0, (0, 0), 0, 0), policy
        for effect in found.effects[policy].values():
            assert (effect.difference, effect.interval, effect.p) == (0, (0, 0), 1)
        assert not cv2.imread(str(found.maps[policy])).any() and found.scales[policy].factor == 1
    assert 'bit-equal' in printed and '**' not in printed


@pytest.mark.slow
def test_statistics_are_those_of_scipy(run, tmp_path):
    names = [f'p{i}' for i in range(8)]
    draw_pairs(tmp_path / 'data', names, size=SIZE)
    write_features(tmp_path / 'data/text', names)
    found, printed = run('--alpha', '0.5', '--protocol', 'plain', '--policies', 'zero', 'noise', change=louder)
    assert found.images == 8 and 'cannot show' not in printed and 'too few' not in printed
    tables = {policy: list(csv.DictReader((tmp_path / f'out/scores/{policy}.csv').open()))
              for policy in ('own', *found.effects)}
    significant = 0
    for name in METRICS:
        values = {policy: np.array([float(row[name]) for row in rows]) for policy, rows in tables.items()}
        own = values.pop('own')
        raw = [stats.wilcoxon(other, own, zero_method='zsplit').pvalue for other in values.values()]
        adjusted = multitest.multipletests(raw, method='holm')[1]
        for (policy, other), p in zip(values.items(), adjusted, strict=True):
            effect = found.effects[policy][name]
            assert effect.own == pytest.approx(own.mean()) and effect.p == pytest.approx(p)
            assert effect.difference == pytest.approx((other - own).mean())
            expected = stats.bootstrap((other - own,), np.mean, n_resamples=2000, confidence_level=0.5,
                                       method='percentile', rng=np.random.default_rng(0)).confidence_interval
            assert effect.interval == pytest.approx(tuple(expected))
            assert (name in found.significant[policy]) == (p < 0.5)
            significant += p < 0.5
    assert significant and printed.count('**') == 2 * significant and '50 % interval' in printed


@pytest.mark.slow
def test_a_pair_that_changes_most_is_shown_where_sizes_differ(run, toy):
    draw_pairs(toy.data, ['p3'], size=(12, 24))
    found, printed = run('--policies', 'noise', change=louder)
    most = max((move for move in found.moves if move['policy'] == 'noise'), key=lambda move: move['mean'])
    assert found.scales['noise'].pair == most['name'] and f'({most["name"]})' in printed
    assert cv2.imread(str(found.maps['noise'])).shape[:2] == ((12, 24) if most['name'] == 'p3' else SIZE)


@pytest.mark.slow
def test_texts_that_are_the_own_after_all_are_told(run, toy, tmp_path):
    text = np.load(toy.data / 'text/p0.npy')[:, :1]
    for index in range(5):
        np.save(toy.data / f'text/p{index}.npy', text)
    found, printed = run('--policies', 'swapped', 'shuffled', 'noise')
    assert 'Under swapped 5 of 5 pairs got a text that equals their own' in printed and 'Under noise' not in printed
    assert found.sensitivity == 0


@pytest.mark.slow
def test_another_tasks_text(run, toy, tmp_path, saved):
    config, _ = saved()
    draw_pairs(tmp_path / 'other', ['q0', 'q1'], seed=1)
    write_features(tmp_path / 'other/text', ['q0', 'q1'], seed=1)
    leaf = tmp_path / 'other.py'
    leaf.write_text(f"""
task = 'mif'
test_dataloader = dict(dataset=dict(type='PairDataset', data_root=r'{tmp_path}/other', source_a='ir', source_b='vi',
                                    text_source=dict(files='text/{{name}}.npy')))
""")
    found, printed = run('--other-task', leaf, '--limit', 4)
    assert list(found.changes) == ['zero', 'swapped', 'other', 'shuffled', 'noise'] and found.images == 4
    assert found.changes['other'].mean > 0 and 'other: a text of other (mif)' in printed
    assert '--other-task' not in printed and found.inputs['other_task'] == str(leaf)
    for options, message in ((['test_dataloader.dataset.text_source=None'], 'other has none'),
                             (['test_dataloader.dataset.text_source.files=none/{name}.npy'], '`vlfusion describe'),
                             ([f'test_dataloader.dataset.data_root={toy.data}'], 'both have the pair'),
                             (['test_dataloader=None'], 'has no pairs')):
        assert message in run('--other-task', leaf, '--other-options', *options)[1]
    write_features(tmp_path / 'other/text', ['q0', 'q1'], dim=6)
    assert 'width 8, but other has features of width 6' in run('--other-task', leaf)[1]


@pytest.mark.slow
def test_empty_and_fixed_texts_are_encoded_where_they_are_missing(run, tmp_path):
    language = dict(LANGUAGE, store=str(tmp_path / 'store'))
    found, printed = run('--fixed', 'Mind the gap.', language=language)
    assert list(found.changes) == ['empty', 'fixed', 'swapped', 'shuffled', 'noise']
    assert 'fixed: "Mind the gap."' in printed and 'no language section' not in printed
    records = [json.loads(path.read_text()) for path in (tmp_path / 'store/features').rglob('*.json')]
    assert sorted(record['text'] for record in records) == ['', 'Mind the gap.']
    other = tmp_path / 'other.py'
    other.write_text("task = 'mif'\nlanguage = dict(encoder=dict(type='Letters', dim=9))\n"
                     "test_dataloader = dict(dataset=dict(type='PairDataset', data_root='.'))\n")
    assert 'another text encoder' in run('--other-task', other, language=language)[1]


@pytest.mark.slow
def test_texts_in_files_are_compared_with_each_other(run, tmp_path):
    for folder in ('ideal', 'common', 'copy'):
        (tmp_path / folder).mkdir()
        for name in NAMES:
            words = 'ideal' if folder == 'copy' else folder
            (tmp_path / folder / f'{name}.txt').write_text(f'{words} of {name}')
    options = dict(language=dict(LANGUAGE, store=str(tmp_path / 'store')), change=louder)
    command = ['--policies', 'swapped', '--texts', tmp_path / 'ideal', '--other-texts', tmp_path / 'common',
               tmp_path / 'copy']
    found, printed = run(*command, **options)
    assert list(found.changes) == list(found.maps) == ['swapped', 'common', 'copy']
    assert found.changes['common'].mean > 0 == found.changes['copy'].maximum
    assert 'Under copy 5 of 5 pairs got a text that equals their own' in printed
    assert f'common: texts of {tmp_path}/common' in printed and f'{tmp_path}/ideal/' in found.inputs['text_source']
    with (tmp_path / 'out/words.csv').open() as file:
        words = {(row['name'], row['policy']): (row['about'], row['text']) for row in csv.DictReader(file)}
    assert words['p0', 'own'] == ('ideal', 'ideal of p0') and words['p0', 'common'] == ('common', 'common of p0')
    assert words['p0', 'swapped'][1] in {f'ideal of {name}' for name in NAMES[1:]} and len(words) == 20
    (tmp_path / 'common/p3.txt').unlink()
    assert 'p3: there is no text' in run(*command, **options)[1]
    assert 'Texts cannot be called' in run('--texts', tmp_path / 'ideal', '--other-texts', tmp_path / 'own',
                                           **options)[1]


@pytest.mark.slow
def test_a_score_that_is_not_finite_is_told(run, toy):
    for source in ('ir', 'vi'):
        cv2.imwrite(str(toy.data / source / 'p2.png'), np.full(SIZE, 90, np.uint8))
    found, printed = run('--metrics', 'EN', 'CC', change=louder)
    effect = found.effects['noise']['CC']
    assert np.isnan(effect.p) and np.isnan(effect.difference) and 'not finite' in printed
    assert 'Under noise, p2: CC is nan' in printed and found.effects['noise']['EN'].p <= 1


@pytest.mark.slow
def test_what_is_written_is_read(run, saved, toy, tmp_path):
    _, checkpoint = saved()
    data = dict(type='PairDataset', task='ivf', data_root=toy.data, source_a='ir', source_b='vi',
                text_source=dict(files='text/{name}.npy'), pipeline=[dict(type='LoadPair'), dict(type='PackPair')])
    data.pop('type')
    model = MODELS.build(dict(type='FusionModel', backbone=dict(
        type='FILM', text_dim=8, dim=8, guidance='channel', attention_dim=64)))
    model.load_state_dict(torch.load(checkpoint)['state_dict'])
    datasets = {policy: PairDataset(**data, text_policy=policy) for policy in ('own', 'swapped')}
    made = ablate(model.train(), datasets, tmp_path / 'first', metrics=METRICS, limit=3, title='x')
    assert not model.training
    made.write(tmp_path / 'second')
    found = Ablation.read(tmp_path / 'second')
    assert found.maps['swapped'] == tmp_path / 'second/maps/swapped.png'
    assert found.maps['swapped'].read_bytes() == made.maps['swapped'].read_bytes()
    for name in ('title', 'images', 'sensitivity', 'interval', 'changes', 'effects', 'scales', 'notes', 'scores',
                 'moves', 'sentence'):
        np.testing.assert_equal(getattr(found, name), getattr(made, name))
    assert found.json() == made.json() and found.markdown() == made.markdown()
    assert (tmp_path / 'second/ablation.md').read_text().startswith('# Did the text do anything? x\n')
    assert [row['name'] for row in found.scores['own']] == ['p0', 'p1', 'p3'], 'spread over the data set'
    with pytest.raises(DataError, match='contains no ablation'):
        Ablation.read(tmp_path)
    with pytest.raises(DataError, match='same pairs in the same order'):
        ablate(model, datasets | {'noise': PairDataset(**data, names=['p1', 'p2', 'p3'], text_policy='noise')},
               tmp_path / 'third', metrics=METRICS)


@pytest.mark.slow
def test_mistakes_are_answered(run, saved, toy, tmp_path, capsys):
    assert 'needs at least two pairs, but there is 1' in run('--limit', 1)[1]
    assert 'needs the config of another task' in run('--policies', 'other')[1]
    assert 'no language section' in run('--policies', 'empty')[1]
    assert 'is empty' in run('--fixed', ' ')[1]
    assert 'Unknown protocol' in run('--protocol', 'flim')[1]
    assert 'features of width 8' in run(**{'model.backbone.text_dim': 12})[1]
    assert 'no test_dataloader' in run(test_dataloader=None)[1]
    assert 'cannot give a pair another text' in run(
        **{'test_dataloader.dataset': dict(_delete_=True, type='Hdf5PairDataset', task='ivf', path='x.h5')})[1]
    config, _ = saved()
    assert main(['ablate-text', config, '--out', str(tmp_path / 'out')]) == 2
    assert 'weights, which a config does not hold' in capsys.readouterr().err
    torch.save({}, tmp_path / 'other.pth')
    assert main(['ablate-text', config, str(tmp_path / 'other.pth')]) == 2
    assert 'is not a checkpoint of vlfusion' in capsys.readouterr().err
    textless = {'model.backbone': dict(_delete_=True, type='Mean')}
    assert 'Mean reads no text, so text has no effect on it' in run(**textless)[1]
