"""Whole comparisons on pairs drawn here, by models that are written here and run for real."""

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vlfusion import plugins
from vlfusion.analysis.leaderboard import leaderboard
from vlfusion.benchmark.cache import Cache, code_digest, content_digest, image_digest, modules_of
from vlfusion.benchmark.outputs import summary
from vlfusion.benchmark.plan import load_plan
from vlfusion.benchmark.run import Run
from vlfusion.benchmark.tables import results
from vlfusion.cli import main
from vlfusion.errors import ConfigError, DataError, UnknownNameError
from vlfusion.evaluation import score_folder
from vlfusion.evaluation.rows import write_csv
from vlfusion.imaging.reading.rule import Reading
from vlfusion.models.fusion_model import FusionModel
from vlfusion.registry import BACKBONES, snapshot
from vlfusion.testing.toys import draw_pairs, write_features

for package in ('scipy', 'scikit_posthocs', 'jinja2', 'matplotlib'):
    pytest.importorskip(package, reason="pip install 'vlfusion[benchmark]'")

NAMES = [f's/p{index}' for index in range(6)]
#: Models with and without weights, with text, of chance, beyond [0, 1], and one that fails on a pair.
TOYS = '''
    import time
    import torch
    from torch import nn
    from vlfusion.language.interfaces import TextFeatures
    from vlfusion.registry import BACKBONES, TEXT_ENCODERS

    FUSED = []  # the names of models, as often as they fused

    class Toy(nn.Module):
        def forward(self, source_a, source_b, text=None, text_mask=None):
            FUSED.append(type(self).__name__)
            return self.fuse(source_a, source_b, text)

    @BACKBONES.register_module()
    class ToyMean(Toy):
        def __init__(self, delay=0.0):
            super().__init__()
            self.delay = delay
        def fuse(self, a, b, text):
            time.sleep(self.delay)
            return (a + b) / 2

    @BACKBONES.register_module()
    class ToyConv(Toy):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        def fuse(self, a, b, text):
            return self.conv(torch.maximum(a, b)).sigmoid()

    @BACKBONES.register_module()
    class ToyBeyond(Toy):
        def fuse(self, a, b, text):
            return a + b - 0.2

    @BACKBONES.register_module()
    class ToyDim(Toy):
        def fuse(self, a, b, text):
            return (a > 0.5).float() / 10

    @BACKBONES.register_module()
    class ToyChance(Toy):
        def fuse(self, a, b, text):
            return ((a + b) / 2 + 0.1 * torch.randn_like(a)).clamp(0, 1)

    @BACKBONES.register_module()
    class ToyLocal(Toy):
        halo = 1
        def __init__(self, most=10 ** 9):
            super().__init__()
            self.most = most
        def fuse(self, a, b, text):
            if a[0, 0].numel() > self.most:
                raise torch.OutOfMemoryError('out of memory')
            return nn.functional.avg_pool2d(a, 3, 1, 1, count_include_pad=False) / 2 + b / 2

    @BACKBONES.register_module()
    class ToyBroken(Toy):
        def fuse(self, a, b, text):
            raise RuntimeError('no such kernel')

    ENCODED = []

    @TEXT_ENCODERS.register_module()
    class ToyEncoder:
        version, dim = '1', 8
        @staticmethod
        def self_contained(part):
            return not part.get('online')
        def __init__(self, online=False):
            pass
        def encode(self, texts):
            ENCODED.extend(texts)
            lengths = torch.tensor([float(len(text) + sum(map(ord, text))) for text in texts])
            return TextFeatures((lengths / 1e4).sin()[:, None, None].expand(-1, 1, 8), torch.ones(len(texts), 1).bool())

    @BACKBONES.register_module()
    class ToyText(Toy):
        text_dim = 8
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(0.05))
        def fuse(self, a, b, text):
            return ((a + b) / 2 + self.scale * text.mean()).clamp(0, 1)
'''


def toy(name, **arguments):
    return dict(model=dict(type='FusionModel', backbone=dict(type=name, **arguments)))


TWO = {'Mean': toy('ToyMean'), 'Conv': dict(checkpoint='conv.pth')}


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """The module of toy models, on the path; its names leave the registries afterwards."""
    (tmp_path / 'toy_methods.py').write_text(textwrap.dedent(TOYS))
    monkeypatch.syspath_prepend(tmp_path)
    plugins.load_all(snapshot)  # or their names would go with those of the toys
    undo = snapshot()
    import toy_methods
    yield toy_methods
    undo()
    del sys.modules['toy_methods']


@pytest.fixture
def compare(tmp_path, toys, monkeypatch):
    """Writes a config over six pairs, and returns a function that runs it from the command line."""
    monkeypatch.chdir(tmp_path)
    draw_pairs(tmp_path / 'data', NAMES)
    write_features(tmp_path / 'data/text', NAMES)
    checkpoint(toys, 'ToyConv', 'conv.pth')

    def run(methods=TWO, *options, code=0, **keys):
        keys = dict(metrics=['EN', 'SF'], controls=False, robustness=False) | keys
        write_config(tmp_path / 'benchmark.py', methods, **keys)
        assert main(['benchmark', 'benchmark.py', '--out', 'out', '--no-report', *options]) == code
        return Path('out')

    return run


def write_config(path, methods, dataset=None, **keys):
    dataset = dict(type='PairDataset', task='ivf', data_root='data', source_a='ir/s', source_b='vi/s') | (dataset or {})
    lines = ["custom_imports = dict(imports=['toy_methods'])", f'datasets = dict(Toy={dataset!r})',
             f'methods = {methods!r}', *(f'{key} = {value!r}' for key, value in keys.items())]
    path.write_text('\n'.join(lines))


def checkpoint(toys, backbone, path, **experiment):
    torch.manual_seed(0)
    model = dict(type='FusionModel', backbone=dict(type=backbone))
    state = FusionModel(model['backbone']).state_dict()
    torch.save(dict(state_dict=state, meta=dict(vlfusion=dict(task='ivf', model=model, **experiment))), path)


def scores(out, **wanted):
    with open(out / 'scores.csv', newline='') as file:
        return [row for row in csv.DictReader(file) if all(row[key] == value for key, value in wanted.items())]


def counted(capsys):
    """`Fused 2 pairs (4 known), scored 6 pictures (0 known), ...` as four numbers."""
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith('Fused '))
    return [int(word.strip('(')) for word in line.split(', in ')[0].split() if word.strip('(').isdigit()]


@pytest.mark.slow
def test_everything_is_written_and_equals_the_single_steps(compare, toys, tmp_path, capsys):
    out = compare(TWO | {'Broken': toy('ToyBroken'), 'Absent': dict(checkpoint='absent.pth'),
                         'Paper': dict(printed=dict(Toy=dict(EN=7.5)), source='Table 9')}, code=1)
    said = capsys.readouterr()
    absent, broken = said.err.rpartition('2 methods failed:')[2].splitlines()[1:]
    assert absent.startswith('    Toy: Absent: There is no file absent.pth. Train the method')
    assert broken.startswith('    Toy: Broken: ') and 'RuntimeError: no such kernel' in broken
    assert 'Broken failed: ' in said.err and 'There is no file absent.pth' in said.err
    for row in ('| Broken | failed |', '| Absent | failed |', '| *Paper (Table 9)* | 7.5 |'):
        assert row in said.out
    assert {path.name for path in out.iterdir()} == {
        'cache', 'fused', 'leaderboard.md', 'leaderboards', 'scores.csv', 'scores.json', 'costs.csv', 'costs.json',
        'manifest.json'}
    for table in ('scores', 'costs'):
        record = json.loads((out / f'{table}.json').read_text())
        assert list(record['columns']) == (out / f'{table}.csv').read_text().partition('\n')[0].split(',')
    assert {fact['column'] for fact in json.loads((out / 'scores.json').read_text())['metrics']} == {
        row['metric'] for row in scores(out)}
    for method in ('Mean', 'Conv'):
        again = score_folder(tmp_path / 'out/fused/Toy' / method, 'data/ir/s', 'data/vi/s', metrics=['EN', 'SF'])
        # Pictures are in colour, whose luminance may be off by a level; the scores are those of the grey ones.
        for row, line in zip(again.rows, scores(out, method=method, metric='EN'), strict=True):
            assert row['name'] == line['name'] and float(line['value']) == pytest.approx(row['EN'], abs=0.1)
    held = json.loads((out / 'leaderboards/Toy.json').read_text())
    assert held['images'] == 6 and held['metrics']['EN']['means'].keys() == {'Mean', 'Conv'}
    assert held['failures'].keys() == {'Broken', 'Absent'} and held['references'] == {'Paper (Table 9)': {'EN': 7.5}}
    manifest = json.loads((out / 'manifest.json').read_text())
    assert manifest['packages']['torch'] == version('torch') and manifest['protocol']['label'] == 'film.1'
    assert manifest['counts'] == {'fused': 12, 'scored': 12} and manifest['datasets']['Toy']['images'] == 6
    assert manifest['seconds'].keys() == {'preparing', 'fusing', 'scoring', 'comparing'}


@pytest.mark.slow
def test_costs_are_measured(compare):
    out = compare()
    with open(out / 'costs.csv', newline='') as file:
        rows = {row['method']: row for row in csv.DictReader(file)}
    assert rows['Conv'] | {'seconds': '', 'memory': ''} == {
        'dataset': 'Toy', 'method': 'Conv', 'height': '48', 'width': '56', 'pairs': '6', 'parameters': '9',
        'macs': str(9 * 48 * 56), 'seconds': '', 'memory': '', 'device': 'cpu'}
    assert 0 < float(rows['Conv']['seconds']) < 1 and rows['Mean']['macs'] == ''


@pytest.mark.slow
@pytest.mark.parametrize(('most', 'keys'), [(10 ** 9, dict(max_memory='60k')), (7000, {})], ids=['planned', 'run out'])
def test_a_pair_too_large_for_memory_is_fused_in_tiles(compare, toys, most, keys):
    draw_pairs(Path('data'), NAMES[:2], size=(90, 96))
    two = dict(dataset=dict(only='p[01]'))
    expected = [row['value'] for row in scores(compare({'Local': toy('ToyLocal')}, **two))]
    before = {path.name: path.read_bytes() for path in Path('out/fused/Toy/Local').iterdir()}
    toys.FUSED.clear()
    out = compare({'Local': toy('ToyLocal', most=most)}, **two, **keys)
    assert [row['value'] for row in scores(out)] == expected
    assert {path.name: path.read_bytes() for path in (out / 'fused/Toy/Local').iterdir()} == before
    assert len(toys.FUSED) >= 4, 'two tiles of each pair at least'
    [row] = csv.DictReader((out / 'costs.csv').read_text().splitlines())
    assert row['pairs'] == '2' and float(row['seconds']) > 0


@pytest.mark.slow
def test_blended_windows_are_noted_once(compare, caplog):
    draw_pairs(Path('data'), NAMES[:2], size=(150, 160))
    for run in ('fused now', 'known'):
        compare({'Mean': toy('ToyMean')}, dataset=dict(only='p[01]'), metrics=['EN'], max_memory='150k')
        assert caplog.text.count('Toy: Mean: large pairs were fused in windows that are blended') == 1, run
        caplog.clear()


@pytest.mark.slow
def test_results_are_coloured_by_the_rule_of_the_plan(compare, capsys):
    coloured = {}
    for chroma in ('visible', 'b', 'weighted'):
        compare({'Mean': toy('ToyMean')}, dataset=dict(source_a='vi/s', source_b='ir/s'), chroma=chroma)
        coloured[chroma] = cv2.imread('out/fused/Toy/Mean/p0.png', cv2.IMREAD_UNCHANGED).ndim
    assert coloured == {'visible': 2, 'b': 2, 'weighted': 3}, 'source A alone has colour'
    compare({'Mean': toy('ToyMean')}, code=2, chroma='wieghted')
    assert "'wieghted' is not a known chroma rule" in capsys.readouterr().err
    compare({'Mean': toy('ToyMean')}, code=2, tiles='exakt')
    assert 'Did you mean exact' in capsys.readouterr().err


@pytest.mark.slow
def test_scores_are_those_of_the_grey_picture(compare, tmp_path):
    out = compare({'Mean': toy('ToyMean')})
    for pair in ('p0', 'p5'):
        a = cv2.imread(f'data/ir/s/{pair}.png', 0).astype(np.float32)
        b = np.round(cv2.cvtColor(cv2.imread(f'data/vi/s/{pair}.png').astype(np.float32), cv2.COLOR_BGR2GRAY))
        mean = (a / np.float32(255) + b / np.float32(255)) / 2
        grey = ((mean - mean.min()) / (mean.max() - mean.min()) * 255).astype(np.uint8)
        share = np.bincount(grey.ravel(), minlength=256) / grey.size
        entropy = -(share[share > 0] * np.log2(share[share > 0])).sum()
        [row] = scores(out, name=pair, metric='EN')
        assert float(row['value']) == pytest.approx(entropy, abs=0.01)


@pytest.mark.slow
def test_a_second_run_repeats_nothing(compare, toys, capsys):
    first = (compare(controls=True, robustness=True) / 'leaderboard.md').read_text()
    fused, known, scored, known_scores = counted(capsys)
    assert (fused, known, known_scores) == (12, 0, 0)
    assert len(toys.FUSED) == 13, 'the multiplications of Conv are counted once more, on shapes'
    again = (compare(controls=True, robustness=True) / 'leaderboard.md').read_text()
    fused, known, again_scored, known_scores = counted(capsys)
    assert (fused, known, again_scored) == (0, 12, 0) and known_scores >= scored and len(toys.FUSED) == 13
    assert first == again and first.count('| Mean |') == 3, 'the table, the robustness and the costs'


@pytest.mark.slow
def test_an_edited_image_invalidates_exactly_its_rows(compare, toys, capsys):
    before = {(row['method'], row['name']): row['value'] for row in scores(compare(), metric='EN')}
    counted(capsys)
    cv2.imwrite('data/vi/s/p3.png', 255 - cv2.imread('data/vi/s/p3.png'))
    after = {(row['method'], row['name']): row['value'] for row in scores(compare(), metric='EN')}
    assert counted(capsys) == [2, 10, 2, 10]
    assert {key for key in before if before[key] != after[key]} == {('Mean', 'p3'), ('Conv', 'p3')}


@pytest.mark.slow
def test_a_new_metric_or_method_is_all_that_is_computed(compare, toys, capsys):
    methods = {'Mean': toy('ToyMean')}
    compare(methods)
    counted(capsys)
    compare(methods, '--cfg-options', "metrics=['EN','SF','SD']")
    assert counted(capsys) == [0, 6, 6, 0]
    compare(TWO)
    assert counted(capsys) == [6, 6, 6, 6]
    checkpoint(toys, 'ToyConv', 'conv.pth')
    compare({'Conv': dict(checkpoint='conv.pth')})
    counted(capsys)
    weights = torch.load('conv.pth')
    weights['state_dict']['backbone.conv.weight'] += 0.1
    torch.save(weights, 'conv.pth')
    compare({'Conv': dict(checkpoint='conv.pth')})
    assert counted(capsys)[:2] == [6, 0], 'other weights'
    Path('toy_methods.py').write_text(Path('toy_methods.py').read_text() + '\n# another version\n')
    compare({'Conv': dict(checkpoint='conv.pth')})
    assert counted(capsys) == [6, 0, 0, 6], 'other code that gives the same pictures'


@pytest.mark.slow
def test_a_folder_of_foreign_images(compare, tmp_path, capsys):
    foreign = tmp_path / 'theirs'
    draw_pairs(foreign, [Path(name).name for name in NAMES], 'x', 'fused', seed=5)
    write_config(tmp_path / 'b.py', {'Theirs': dict(fused='theirs/fused'), 'Mean': toy('ToyMean')},
                 metrics=['EN', 'Qabf'])
    assert main(['benchmark', 'b.py', '--out', 'out', '--no-report']) == 0
    known = {row['name']: row for row in score_folder('theirs/fused', 'data/ir/s', 'data/vi/s',
                                                      metrics=['EN', 'Qabf']).rows}
    for row in scores(Path('out'), method='Theirs', metric='Qabf:film'):
        assert float(row['value']) == known[row['name']]['Qabf:film']
    (foreign / 'fused/p2.png').unlink()
    (foreign / 'fused/p4.png').unlink()
    capsys.readouterr()
    assert main(['benchmark', 'b.py', '--out', 'out']) == 2
    said = capsys.readouterr().err
    assert '2 fused pictures are not there' in said and 'p2.* is missing' in said and 'p4.* is missing' in said
    write_config(tmp_path / 'b.py', {'Theirs': dict(fused='theirs/fused/{name}.png')}, dataset=dict(only='p[01]'))
    assert main(['benchmark', 'b.py', '--out', 'out', '--no-report', '--cfg-options', "metrics=['EN']"]) == 0
    cv2.imwrite('theirs/fused/p0.png', np.zeros((4, 4), np.uint8))
    assert main(['benchmark', 'b.py', '--out', 'out', '--no-report']) == 1
    assert 'Theirs failed' in capsys.readouterr().err


@pytest.mark.slow
def test_a_folder_whose_files_share_a_suffix(compare, tmp_path, capsys):
    draw_pairs(tmp_path / 'theirs', [f'{Path(name).name}_fused' for name in NAMES], 'x', 'fused', seed=5)
    out = compare({'Theirs': dict(fused='theirs/fused'), 'Mean': toy('ToyMean')})
    assert 'All names of Theirs (theirs/fused) end in _fused: pairing without it.' in capsys.readouterr().err
    assert [row['name'] for row in scores(out, method='Theirs', metric='EN')] == [f'p{index}' for index in range(6)]


@pytest.mark.slow
def test_what_leaves_the_range_has_no_rank_without_a_policy(compare, tmp_path, capsys):
    write_config(tmp_path / 'b.py', TWO | {'Beyond': toy('ToyBeyond')}, metrics=['EN', 'SF'])
    plan = load_plan('b.py', None, 'out')
    run = Run(plan)
    units = run.fuse()
    run.score(units)
    [found] = results(run, units)
    assert list(found.robustness) == ['film.1 (min-max, truncate)', 'output: clip', 'output: none',
                                      'SF as SF:vifb']
    assert np.isnan(found.robustness['output: none']['Beyond'])
    assert not np.isnan(found.robustness['output: none']['Mean'])
    for method in found.board.methods:
        write_csv(f'{method}.csv', found.rows[method])
    alone = leaderboard({method: f'{method}.csv' for method in found.board.methods}).mean_ranks()
    assert found.board.mean_ranks() == alone == found.robustness['film.1 (min-max, truncate)']
    assert 'control: noisy mean' in found.board.references and 'control: mean' in found.rows
    assert '| method | film.1 (min-max, truncate) | output: clip |' in summary(found)


@pytest.mark.slow
def test_a_first_place_that_hangs_on_the_output_policy_is_marked(compare, monkeypatch, capsys):
    methods = {'Mean': toy('ToyMean'), 'Dim': toy('ToyDim')}
    text = (compare(methods, metrics=['SD'], robustness=True) / 'leaderboard.md').read_text()
    note = 'Dim stands first under the output policy of film.1 (min-max, truncate) alone: it takes place 2 under output'
    assert '| mean rank (places) |' in text and '| 1.00 (1–2) |' in text and note in text
    text = (compare({'Mean': toy('ToyMean')}, metrics=['SD'], robustness=True) / 'leaderboard.md').read_text()
    assert 'alone' not in text and '| 1.00 (1) |' in text
    capsys.readouterr()
    monkeypatch.setenv('FORCE_COLOR', '1')
    monkeypatch.setenv('COLUMNS', '120')
    compare(methods, metrics=['SD'], robustness=True)
    printed = capsys.readouterr().out
    assert '| Mean |' not in printed and 'Dim stands first' in printed and 'Costs' in printed


@pytest.mark.slow
def test_a_score_that_is_not_finite_takes_the_method_out_of_that_metric(compare, tmp_path):
    compare(TWO | {'CopyOfA': dict(fused='data/ir/s')}, metrics=['EN', 'SCD'], controls=['copy of A'],
            robustness=True)
    text = Path('out/leaderboard.md').read_text()
    row = next(line for line in text.splitlines() if line.startswith('| CopyOfA |'))
    assert row.endswith('| n/a | n/a |') and '| *control: copy of A* |' in text
    [first, *_] = scores(Path('out'), method='CopyOfA', metric='SCD')
    assert first['value'] == 'nan' and 'the fused image equals source A' in first['reason']
    cv2.imwrite('data/vi/s/p2.png', np.zeros((48, 56, 3), np.uint8))
    compare(TWO, metrics=['EN', 'CC'], robustness=True)
    assert '| Mean | ' in (text := Path('out/leaderboard.md').read_text()) and text.count('| n/a | n/a |') >= 2


@pytest.mark.slow
def test_colour_is_that_of_the_task(compare, tmp_path):
    draw_pairs(tmp_path / 'data', [name.replace('s/', 'c/') for name in NAMES], 'vi', 'ir', seed=7)  # colour in A too
    found = {}
    for task in ('ivf', 'mef'):
        for out in ('shared', task):
            dataset = dict(task=task, source_a='ir/c', source_b='vi/s')
            write_config(tmp_path / 'b.py', {'Mean': toy('ToyMean')}, dataset=dataset, metrics=['EN'], protocol='vifb',
                         robustness=False)
            assert main(['benchmark', 'b.py', '--out', out, '--no-report']) == 0
            found[task, out == 'shared'] = [row['value'] for row in scores(Path(out), method='Mean', metric='EN')]
    assert found['ivf', True] == found['ivf', False] != found['mef', False] == found['mef', True]
    known = score_folder('mef/fused/Toy/Mean', 'data/ir/c', 'data/vi/s', metrics=['EN'], protocol='vifb')
    assert [float(value) for value in found['mef', True]] == [row['EN'] for row in known.rows]


@pytest.mark.slow
def test_what_is_written_is_a_copy(compare, capsys):
    out = compare({'Mean': toy('ToyMean')})
    before = (out / 'scores.csv').read_text()
    counted(capsys)
    cv2.imwrite(str(out / 'fused/Toy/Mean/p1.png'), np.zeros((48, 56), np.uint8))
    assert (compare({'Mean': toy('ToyMean')}) / 'scores.csv').read_text() == before
    assert counted(capsys) == [0, 6, 0, 6] and cv2.imread(str(out / 'fused/Toy/Mean/p1.png')).any()
    shutil.rmtree(out / 'cache/pictures')
    compare({'Mean': toy('ToyMean')})
    assert counted(capsys) == [6, 0, 0, 6], 'pictures that are gone are made again'


@pytest.mark.slow
def test_names_keep_their_files_apart(compare):
    methods = {'Mean': toy('ToyMean'), 'Mean*': toy('ToyBeyond'), '..': dict(checkpoint='conv.pth')}
    out = compare(methods, protocol='plain')
    assert {path.name for path in (out / 'fused/Toy').iterdir()} == {'Mean', 'Mean_2', 'unnamed'}
    one, other = (cv2.imread(str(out / f'fused/Toy/{name}/p0.png')) for name in ('Mean', 'Mean_2'))
    assert (one != other).any()
    out = compare({'Mean': toy('ToyMean')}, protocol='plain')
    assert {path.name for path in (out / 'fused/Toy').rglob('*.png')} == {f'p{index}.png' for index in range(6)}
    assert not list((out / 'fused/Toy/Mean_2').glob('*')), 'what this run did not write is gone'


@pytest.mark.slow
def test_one_model_under_two_protocols_of_its_own(compare, capsys):
    methods = {'A': dict(checkpoint='conv.pth', protocol='vifb'), 'B': dict(checkpoint='conv.pth', protocol='cddfuse')}
    compare(methods, robustness=True)
    counted(capsys)
    compare(methods, robustness=True)
    assert counted(capsys)[:2] == [0, 12]


def test_code_beside_a_single_module_counts(toys, tmp_path, monkeypatch):
    (tmp_path / 'toy_layers.py').write_text('VALUE = 1\n')
    import toy_layers
    monkeypatch.setitem(sys.modules, 'toy_layers', toy_layers)
    modules = modules_of(toys.ToyMean)
    assert modules[0] is toys and toy_layers in modules and sys not in modules
    before = code_digest(*modules)
    assert code_digest(*modules_of(toys.ToyMean)) == before
    (tmp_path / 'toy_layers.py').write_text('VALUE = 22\n')
    assert code_digest(*modules) != before
    assert modules_of(FusionModel) == [sys.modules[FusionModel.__module__]]


@pytest.mark.slow
def test_a_plugin_counts_before_it_is_loaded(tmp_path):
    script = '''
from vlfusion.benchmark.methods import Repeat, method_of
one, two = (method_of(name, dict(model=dict(type='FusionModel', backbone=dict(type=f'vlfusion_classical.{name}'))), [])
            for name in ('Average', 'Maximum'))
before = two.identity(Repeat(None, 0))
one.load(Repeat(None, 0))
print(before == two.identity(Repeat(None, 0)) != one.identity(Repeat(None, 0)))
'''
    done = subprocess.run([sys.executable, '-c', script], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ['True']


@pytest.mark.slow
def test_secrets_reach_no_file(compare, toys, tmp_path):
    language = dict(store='s', llm=dict(type='X', api_key='sk-SECRET', base_url='https://me:SECRET@host/v1?key=SECRET'))
    compare({'Mean': toy('ToyMean'), 'Conv': dict(checkpoint='conv.pth', language=language)}, '--no-report')
    written = [path.read_text() for path in Path('out').rglob('*') if path.suffix in ('.json', '.md', '.csv', '.tex')]
    assert 'https://host/v1' in ''.join(written) and 'SECRET' not in ''.join(written)


def test_pictures_that_a_run_compares_are_none_that_it_replaces_or_takes_away(compare, capsys):
    pictures = compare({'Mean': toy('ToyMean')}) / 'fused/Toy/Mean'
    before = {path: path.read_bytes() for path in pictures.iterdir()}
    for methods in ({'Old': dict(fused=str(pictures)), 'Mean': toy('ToyMax')}, {'Old': dict(fused=str(pictures))}):
        write_config(Path('b.py'), methods)
        assert main(['benchmark', 'b.py', '--out', 'out', '--no-report']) == 2
        assert 'p0.png' in capsys.readouterr().err
    assert before and before == {path: path.read_bytes() for path in pictures.iterdir()}


def test_the_manifest_of_a_stranger_takes_no_file_away(compare):
    Path('out').mkdir()
    Path('out/notes.txt').touch()
    Path('out/manifest.json').write_text(json.dumps({'files': ['notes.txt', 'fused/old.png']}))
    compare({'Mean': toy('ToyMean')})
    assert Path('out/notes.txt').exists()


def test_a_launcher_that_is_none(compare, capsys):
    write_config(Path('b.py'), TWO)
    for launcher in ('pytorch', 'slurm'):
        assert main(['benchmark', 'b.py', '--out', 'out', '--launcher', launcher]) == 2
        assert f'--launcher {launcher} needs the variable' in capsys.readouterr().err


@pytest.mark.slow
def test_the_report_is_written(compare, tmp_path):
    (tmp_path / 'data/words').mkdir()
    (tmp_path / 'data/words/p3.txt').write_text('A wall under a lamp.')
    write_config(tmp_path / 'b.py', TWO | {'Broken': toy('ToyBroken')}, metrics=['EN', 'SCD'],
                 dataset=dict(texts={'both': 'words/{name}.txt'}))
    assert main(['benchmark', 'b.py', '--out', 'out']) == 1
    page = Path('out/report.html').read_text()
    assert 'A wall under a lamp.' in page and 'no such kernel' in page and 'control: noisy mean' in page
    assert main(['benchmark', 'b.py', '--out', 'out', '--no-report']) == 1
    assert not Path('out/report.html').exists(), 'one of an earlier run would belong to other tables'


@pytest.mark.slow
def test_seeds_and_several_trainings_are_averaged(compare, toys, tmp_path):
    out = compare({'Chance': toy('ToyChance'), 'Mean': toy('ToyMean')}, seeds=[0, 1])
    each = [float(row['value']) for row in scores(out, method='Chance', name='p1', metric='EN')]
    assert len(each) == 2 and each[0] != each[1]
    held = json.loads((out / 'leaderboards/Toy.json').read_text())['metrics']['EN']['means']['Chance']
    every = [float(row['value']) for row in scores(out, method='Chance', metric='EN')]
    assert held == pytest.approx(np.mean(every)) and len(every) == 12
    other = torch.load('conv.pth')
    other['state_dict']['backbone.conv.weight'] *= -1
    torch.save(other, 'other.pth')
    out = compare({'Conv': dict(checkpoint=['conv.pth', 'other.pth'])})
    assert {row['repeat'] for row in scores(out)} == {'conv.pth, seed 0', 'other.pth, seed 0'}


@pytest.mark.slow
def test_text_and_its_policies(compare, toys, tmp_path):
    checkpoint(toys, 'ToyText', 'text.pth', text_source=dict(files='text/s/{name}.npy'))
    own, swapped = dict(checkpoint='text.pth'), dict(checkpoint='text.pth', text_policy='swapped')
    out = compare({'own': own, 'swapped': swapped, 'twice': own})
    found = {method: [row['value'] for row in scores(out, method=method, metric='EN')]
             for method in ('own', 'swapped', 'twice')}
    assert found['own'] == found['twice'] != found['swapped']


def words(**encoder):
    """A language section of parts that need nothing from outside, but for an encoder that is `online`."""
    return dict(store='texts', captioners=[dict(type='MeasuredCaptioner')], llm=dict(type='TemplateLLM'),
                prompt='paragraph', encoder=dict(type='ToyEncoder', **encoder))


@pytest.mark.slow
def test_images_are_described_for_a_model_that_reads_text(compare, toys, capsys):
    checkpoint(toys, 'ToyText', 'text.pth', text_source=dict(stream='pair/paragraph'))
    method = dict(checkpoint='text.pth', language=words())
    out = compare({'own': method, 'swapped': method | dict(text_policy='swapped'),
                   'empty': method | dict(text_policy='empty')})
    found = {name: [row['value'] for row in scores(out, method=name, metric='EN')]
             for name in ('own', 'swapped', 'empty')}
    assert len(found['own']) == 6 and len({tuple(values) for values in found.values()}) == 3
    assert len(list(Path('texts/paragraphs').rglob('*.json'))) == 12
    toys.ENCODED.clear()
    compare({'own': method})
    assert not toys.ENCODED, 'described before'
    assert main(['benchmark', 'benchmark.py', '--out', 'out']) == 0
    assert 'source A, infrared' in Path('out/report.html').read_text()


@pytest.mark.slow
def test_parts_that_need_something_from_outside_are_asked_for(compare, toys, capsys):
    checkpoint(toys, 'ToyText', 'text.pth', text_source=dict(stream='pair/paragraph'))
    method = dict(checkpoint='text.pth', language=words(online=True))
    compare({'own': method, 'Mean': toy('ToyMean')}, code=1)
    said = capsys.readouterr().err
    assert '1 method failed:\n    Toy: own: 6 of 6 pairs have no usable text feature' in said
    assert 'Add --describe' in said
    assert not Path('texts').exists() and not toys.ENCODED
    out = compare({'own': method, 'Mean': toy('ToyMean')}, '--describe')
    assert len(scores(out, method='own', metric='EN')) == 6


@pytest.mark.slow
def test_by_subset(compare, tmp_path):
    draw_pairs(tmp_path / 'data/two', ['q0', 'q1'], seed=3)
    subsets = {'one': dict(source_a='ir/s', source_b='vi/s'), 'two': dict(source_a='two/ir', source_b='two/vi')}
    compare(dataset=dict(source_a=None, source_b=None, subsets=subsets, by_subset=True))
    held = {name: json.loads(Path(f'out/leaderboards/{name}.json').read_text())
            for name in ('Toy', 'Toy_one', 'Toy_two')}
    assert [board['images'] for board in held.values()] == [8, 6, 2]
    one, two = (held[name]['metrics']['EN']['means']['Mean'] for name in ('Toy_one', 'Toy_two'))
    assert held['Toy']['metrics']['EN']['means']['Mean'] == pytest.approx((6 * one + 2 * two) / 8)
    assert Path('out/fused/Toy/Mean/two/q1.png').is_file()


@pytest.mark.slow
def test_a_kill_loses_no_finished_row(compare, tmp_path):
    methods = {'Slow': toy('ToyMean', delay=0.4), 'Conv': dict(checkpoint='conv.pth')}
    write_config(tmp_path / 'b.py', methods, metrics=['EN'], controls=False)
    environment = os.environ | {'PYTHONPATH': f'{tmp_path}'}
    script = Path(__file__).parents[2] / 'tools/benchmark.py'
    command = [sys.executable, str(script), 'b.py', '--out', 'out', '--no-report']
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    records = Path('out/cache/fused')
    deadline = time.monotonic() + 120
    while len(list(records.rglob('*.json'))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = len(list(records.rglob('*.json')))
    assert 3 <= finished < 12
    run = Run(load_plan('b.py', None, 'out'))
    run.fuse()
    assert run.counts['known pairs'] == finished and run.counts['fused'] == 12 - finished


def start(launcher, *command, tmp_path):
    """Two processes as torchrun starts them, or as srun does: each with Slurm's variables."""
    environment = os.environ | {'PYTHONPATH': f'{tmp_path}'}
    if launcher == 'pytorch':
        run = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2']
        return [subprocess.Popen([*run, *command, '--launcher', launcher], env=environment)]
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        environment |= {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(free.getsockname()[1]), 'SLURM_NTASKS': '2'}
    return [subprocess.Popen([sys.executable, *command, '--launcher', launcher],
                             env=environment | {'SLURM_PROCID': str(rank), 'SLURM_LOCALID': str(rank)})
            for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize('launcher', ['pytorch', 'slurm'])
def test_processes_share_the_work(compare, tmp_path, launcher):
    methods = TWO | {'Broken': toy('ToyBroken')}
    write_config(tmp_path / 'b.py', methods, metrics=['EN', 'SF'])
    script = Path(__file__).parents[2] / 'tools/benchmark.py'
    processes = start(launcher, str(script), 'b.py', '--out', 'two', '--no-report', tmp_path=tmp_path)
    assert [process.wait(timeout=300) for process in processes] == [1] * len(processes), 'Broken failed'
    assert main(['benchmark', 'b.py', '--out', 'one', '--no-report']) == 1
    two, one = (Path(out, 'scores.csv').read_text() for out in ('two', 'one'))
    assert two == one
    held = json.loads(Path('two/manifest.json').read_text())
    assert held['processes'] == 2 and held['counts']['fused'] == 12 and 'Toy: Broken' in held['failures']


@pytest.mark.slow
def test_the_latex_compiles(compare, tmp_path):
    compare({'Mean_1': toy('ToyMean'), 'Conv': dict(checkpoint='conv.pth'), 'Broken & Co': toy('ToyBroken'),
             'Paper': dict(printed=dict(Toy=dict(EN=7.5)), source='Table 9')}, code=1)
    latex = Path('out/leaderboards/Toy.tex').read_text()
    assert r'Mean\_1' in latex and r'Broken \& Co & \multicolumn{3}{l}{failed}' in latex
    if not shutil.which('pdflatex'):
        pytest.skip('no pdflatex')
    document = '\\documentclass{article}\\usepackage{booktabs}\\begin{document}%s\\end{document}'
    Path('x.tex').write_text(document % latex)
    subprocess.run(['pdflatex', '-interaction=batchmode', '-halt-on-error', 'x.tex'], check=True, capture_output=True)


@pytest.mark.parametrize(('change', 'error', 'said'), [
    (dict(metricz=['EN']), ConfigError, "sets 'metricz'.*Did you mean metrics"),
    (dict(metrics=['EM']), UnknownNameError, 'Did you mean'),
    (dict(controls=['min']), ConfigError, "no control 'min'"),
    (dict(correction='bonf'), ConfigError, "no correction 'bonf'"),
    (dict(methods={}), ConfigError, 'has no methods'),
    (dict(methods=dict(X=dict(fusd='a'))), ConfigError, "has no 'fusd'.*Did you mean fused"),
    (dict(methods=dict(X=dict())), ConfigError, 'none of checkpoint'),
    (dict(methods={'control: mean': toy('ToyMean')}), ConfigError, 'as a control image is'),
    (dict(methods=dict(X=dict(fused={}))), ConfigError, 'has no folder'),
    (dict(methods=dict(X=toy('ToyMean') | dict(config='a.py'))), ConfigError, 'a model, and a checkpoint or a config'),
    (dict(methods=dict(X=dict(printed=dict(Toy=dict(En=7.5))))), UnknownNameError, 'Did you mean EN'),
    (dict(methods=dict(X=dict(printed=dict(Toy='film/FILM')))), ConfigError, 'names no row of a paper'),
    (dict(metrics='EN'), ConfigError, "metrics='EN'.*a list of str"),
    (dict(metrics=[]), ConfigError, 'has no metric'),
    (dict(seeds=3), ConfigError, 'seeds=3.*a list of int'), (dict(seeds=['a']), ConfigError, "seeds=.'a'.*list of int"),
    (dict(seeds=[-1]), ConfigError, 'seeds.0. is -1'), (dict(seeds=[]), ConfigError, 'seeds is empty'),
    (dict(alpha='0.05'), ConfigError, "alpha='0.05'.*float"), (dict(alpha=7), ConfigError, 'alpha is 7'),
    (dict(title=3), ConfigError, 'title=3.*Give str'),
    (dict(protocol=dict(film=1)), ConfigError, 'protocol='), (dict(methods=['X']), ConfigError, 'methods='),
    (dict(methods=dict(X='a.pth')), ConfigError, "X is 'a.pth'"), (dict(datasets=['X']), ConfigError, 'datasets='),
    (dict(methods=dict(X=dict(checkpoint=3))), ConfigError, 'checkpoint=3'),
    (dict(dataset=dict(limit=-1)), ConfigError, 'datasets.Toy.limit is -1'),
    (dict(dataset=dict(limit='two')), ConfigError, "limit='two'.*int or None"),
    (dict(dataset=dict(by_subset='yes')), ConfigError, 'by_subset='),
    (dict(dataset=dict(texts=dict(a='no/{name}.txt'))), DataError, 'has no text a of any pair'),
    (dict(methods=dict(X=dict(printed=dict(TNO=dict(EN=1))))), ConfigError, "row for 'TNO'"),
    (dict(methods=dict(X=dict(fused=dict(TNO='a')))), ConfigError, "names the data set 'TNO'"),
    (dict(dataset=dict(only='x*')), DataError, 'no pair that is called'),
])
def test_configs_that_cannot_be(compare, tmp_path, change, error, said):
    keys = dict(methods={'Mean': toy('ToyMean')}) | change
    write_config(tmp_path / 'b.py', keys.pop('methods'), **keys)
    with pytest.raises(error, match=f'(?s){said}'):
        Run(load_plan('b.py', None, 'out')).check()


def test_a_damaged_record_counts_as_none(tmp_path):
    cache = Cache(tmp_path)
    cache.write('scores', 'abc', {'EN': [7.0, '']})
    assert cache.read('scores', 'abc') == {'EN': [7.0, '']}
    (tmp_path / 'scores/ab/abc.json').write_text('{"EN": [7.')
    assert cache.read('scores', 'abc') is None and cache.read('scores', 'abd') is None


@pytest.mark.parametrize('name', ['benchmark/ivf', 'benchmark/mif', 'benchmark/mef', 'benchmark/mff'])
def test_the_configs_name_data_sets_and_methods_that_there_are(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # any folder will do
    plan = load_plan(name)
    plugins.load_all(snapshot)
    released = {f'{name.partition(".")[0].removeprefix("vlfusion_")}_{which}': weights.task
                for name in BACKBONES.names()
                for which, weights in getattr(BACKBONES.get(name), 'released', {}).items()}
    for method in plan.methods:
        for checkpoint in method.checkpoints:
            assert released[Path(checkpoint).stem] == Path(name).stem, checkpoint
        if method.model:
            assert BACKBONES.get(method.model['backbone']['type'])
    assert len(plan.methods) >= 14 and all(plan.printed.values()), 'each has a row of a paper below'


def test_a_source_that_is_read_by_a_rule_is_another_source(tmp_path):
    (tmp_path / 'a.png').write_bytes(b'an image')
    digests = [image_digest(tmp_path / 'a.png', Reading.of(given)) for given in ('minmax', 'percentile:1,99')]
    assert image_digest(tmp_path / 'a.png') == content_digest(tmp_path / 'a.png') not in digests
    assert digests[0] != digests[1] and digests[0] == image_digest(tmp_path / 'a.png', Reading.of('minmax'))


@pytest.mark.slow
def test_a_range_reaches_fusion_and_scores(compare):
    """Counts that the range maps to the grey levels of before give the scores of before."""
    methods = {'Mean': toy('ToyMean')}
    before = scores(compare(methods, metrics=['EN', 'VIF']))
    for path in Path('data/ir/s').glob('*.png'):
        cv2.imwrite(str(path), 7000 + cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.uint16))
    assert scores(compare(methods, metrics=['EN', 'VIF'])) != before
    assert scores(compare(methods, metrics=['EN', 'VIF'], dataset=dict(range_a='7000,7255'))) == before
