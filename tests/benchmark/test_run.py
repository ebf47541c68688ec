"""Whole comparisons on pairs drawn here, by models that are written here and run for real."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from comparing import NAMES, TWO, checkpoint, counted, scores, toy, write_config

from vlfusion.benchmark.plan import load_plan
from vlfusion.benchmark.run import Run
from vlfusion.cli import main
from vlfusion.evaluation import score_folder
from vlfusion.imaging.chroma import mean_chroma
from vlfusion.testing.toys import draw_pairs


@pytest.mark.slow
def test_everything_is_written_and_equals_the_single_steps(compare, toys, tmp_path, capsys):
    out = compare(TWO | {'Broken': toy('ToyBroken'), 'Absent': dict(checkpoint='absent.pth'),
                         'Paper': dict(printed=dict(Toy=dict(EN=7.5)), source='Table 9')}, code=1)
    said = capsys.readouterr()
    absent, broken = said.err.rpartition('2 methods failed:')[2].splitlines()[1:]
    assert absent.startswith('    Toy: Absent: No checkpoint at absent.pth. Check the path')
    assert broken.startswith('    Toy: Broken: ') and 'RuntimeError: no such kernel' in broken
    assert 'Broken failed: ' in said.err and 'No checkpoint at absent.pth' in said.err
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
@pytest.mark.parametrize(('most', 'keys'), [(10 ** 9, dict(max_memory='150k')), (15000, {})],
                         ids=['planned', 'run out'])
def test_blended_windows_are_noted_once(compare, caplog, most, keys):
    draw_pairs(Path('data'), NAMES[:2], size=(150, 160))
    for run in ('fused now', 'known'):
        compare({'Mean': toy('ToyMean', most=most)}, dataset=dict(only='p[01]'), metrics=['EN'], **keys)
        assert caplog.text.count('Toy: Mean: large pairs were fused in blended windows') == 1, run
        caplog.clear()


@pytest.mark.slow
def test_results_are_coloured_by_the_rule_of_the_plan(compare, capsys):
    coloured = {}
    for chroma in ('visible', 'b', 'weighted'):
        compare({'Mean': toy('ToyMean')}, dataset=dict(source_a='vi/s', source_b='ir/s'), chroma=chroma)
        coloured[chroma] = cv2.imread('out/fused/Toy/Mean/p0.png', cv2.IMREAD_UNCHANGED).ndim
    assert coloured == {'visible': 2, 'b': 2, 'weighted': 3}, 'source A alone has colour'
    compare({'Mean': toy('ToyMean')}, code=2, chroma='wieghted')
    assert "'wieghted' is not a known colour rule" in capsys.readouterr().err
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
def test_an_instruction_may_ask_for_more_colour(compare, toys):
    checkpoint(toys, 'ToyVivid', 'vivid.pth', text_source=dict(instruction=dict(files='text/s/{name}.npy')))
    out = compare({'Mean': toy('ToyMean'), 'Vivid': dict(checkpoint='vivid.pth')})
    for name in ('p0', 'p5'):
        own, strong = (cv2.imread(str(out / f'fused/Toy/{method}/{name}.png')) for method in ('Mean', 'Vivid'))
        assert mean_chroma(strong) > 1.3 * mean_chroma(own) > 0
    grey = {method: [row['value'] for row in scores(out, method=method)] for method in ('Mean', 'Vivid')}
    assert grey['Mean'] == grey['Vivid'], 'scores are those of the grey picture'


@pytest.mark.slow
def test_one_model_under_two_protocols_of_its_own(compare, capsys):
    methods = {'A': dict(checkpoint='conv.pth', protocol='vifb'), 'B': dict(checkpoint='conv.pth', protocol='cddfuse')}
    compare(methods, robustness=True)
    counted(capsys)
    compare(methods, robustness=True)
    assert counted(capsys)[:2] == [0, 12]


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
def test_one_model_under_several_instructions(compare, toys, capsys):
    checkpoint(toys, 'ToyTold', 'told.pth', text_source=dict(stream='pair/paragraph'))
    checkpoint(toys, 'ToyText', 'text.pth', text_source=dict(stream='pair/paragraph'))
    plain = dict(checkpoint='told.pth', language=words())
    methods = {'plain': plain, 'bright': plain | dict(instruction='make it brighter'),
               'dark': plain | dict(instruction='keep the dark')}
    out = compare(methods)
    values = {name: tuple(row['value'] for row in scores(out, method=name, metric='EN')) for name in methods}
    assert len(values['plain']) == 6 and len({*values.values()}) == 3
    assert toys.ENCODED.count('make it brighter') == 1
    recorded = json.loads((out / 'manifest.json').read_text())['methods']
    assert {name: facts['instruction'] for name, facts in recorded.items()} == {
        'plain': '', 'bright': 'make it brighter', 'dark': 'keep the dark'}
    compare({'deaf': dict(checkpoint='text.pth', language=words(), instruction='make it brighter')}, code=1)
    assert 'An instruction was given, but the model reads text' in capsys.readouterr().err


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
def test_words_of_a_name_describe_for_all_methods_that_read_text(compare, toys, caplog):
    checkpoint(toys, 'ToyText', 'text.pth', text_source=dict(stream='pair/paragraph'))
    method = dict(checkpoint='text.pth', language=words(online=True))
    Path('mine.py').write_text(f'language = {dict(words(), store="mine", prompt="pair")}')
    first = compare({'own': method, 'Mean': toy('ToyMean')}, '--words', 'measured')
    assert len(list(Path('texts/paragraphs').rglob('*.json'))) == 12, "a recipe writes to the method's own store"
    assert 'own: Words by the recipe measured: MeasuredCaptioner, TemplateLLM; ' in caplog.text
    assert "the model's text encoder ToyEncoder" in caplog.text
    values = [row['value'] for row in scores(first, method='own', metric='EN')]
    other = compare({'own': method}, '--words', 'mine.py')
    assert len(values) == 6 and values != [row['value'] for row in scores(other, method='own', metric='EN')]
    assert len(list(Path('mine/paragraphs').rglob('*.json'))) == 6, 'one for each pair'


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
    run = Run(load_plan('b.py', out='out'))
    run.fuse()
    assert run.counts['known pairs'] == finished and run.counts['fused'] == 12 - finished


@pytest.mark.slow
def test_a_range_reaches_fusion_and_scores(compare):
    """Counts that the range maps to the grey levels of before give the scores of before."""
    methods = {'Mean': toy('ToyMean')}
    before = scores(compare(methods, metrics=['EN', 'VIF']))
    for path in Path('data/ir/s').glob('*.png'):
        cv2.imwrite(str(path), 7000 + cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.uint16))
    assert scores(compare(methods, metrics=['EN', 'VIF'])) != before
    assert scores(compare(methods, metrics=['EN', 'VIF'], dataset=dict(range_a='7000,7255'))) == before


@pytest.mark.slow
def test_words_of_files_that_a_data_set_gives_to_all_methods(compare, toys):
    checkpoint(toys, 'ToyText', 'text.pth', text_source=dict(stream='pair/paragraph'))
    Path('data/words').mkdir()
    names = [Path(name).stem for name in NAMES]
    for name in names:
        Path(f'data/words/{name}.txt').write_text(f'{name} is what they should fuse.')
    methods = {'own': dict(checkpoint='text.pth', language=words()), 'Mean': toy('ToyMean')}
    described = scores(compare(methods), method='own', metric='EN')
    toys.ENCODED.clear()
    out = compare(methods, dataset=dict(text_source=dict(texts='words/{name}.txt')))
    assert set(toys.ENCODED) >= set(f'{name} is what they should fuse.' for name in names)
    assert [row['value'] for row in scores(out, method='own', metric='EN')] != [row['value'] for row in described]
    assert main(['benchmark', 'benchmark.py', '--out', 'out']) == 0
    assert f'{names[0]} is what they should fuse.' in Path('out/report.html').read_text()
