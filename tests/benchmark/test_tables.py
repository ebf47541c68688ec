"""Tables rank the methods, and say what depends on the way of scoring."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from comparing import NAMES, TWO, scores, toy, write_config

from vlfusion.analysis.leaderboard import leaderboard
from vlfusion.benchmark.outputs import summary
from vlfusion.benchmark.plan import load_plan
from vlfusion.benchmark.run import Run
from vlfusion.benchmark.tables import results
from vlfusion.cli import main
from vlfusion.evaluation.rows import write_csv
from vlfusion.testing.toys import draw_pairs


@pytest.mark.slow
def test_what_leaves_the_range_has_no_rank_without_a_policy(compare, tmp_path, capsys):
    write_config(tmp_path / 'b.py', TWO | {'Beyond': toy('ToyBeyond')}, metrics=['EN', 'SF'])
    plan = load_plan('b.py', out='out')
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
def test_a_method_that_fused_in_blended_windows_is_marked(compare):
    draw_pairs(Path('data'), NAMES[:2], size=(150, 160))
    methods = {'Mean': toy('ToyMean'), 'Local': toy('ToyLocal')}
    out = compare(methods, dataset=dict(only='p[0-2]'), metrics=['EN'], max_memory='150k')
    assert main(['benchmark', 'benchmark.py', '--out', 'out']) == 0  # writes the report too
    note = 'Mean fused 2 of 3 pairs in blended windows, which is an approximation.'
    for file in ('leaderboard.md', 'report.html'):
        text = (out / file).read_text()
        assert note in text and 'Local fused' not in text


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
def test_files_beside_stretched_outputs_are_marked(compare):
    methods = {'CopyOfA': dict(fused='data/ir/s'), 'Mean': toy('ToyMean')}
    note = 'Files are scored as they are (CopyOfA), but the protocol film stretches the outputs of models'
    for marked, options in ((True, {}), (False, dict(protocol='plain'))):
        assert (note in (compare(methods, **options) / 'leaderboard.md').read_text()) == marked
    assert note not in (compare({'CopyOfA': methods['CopyOfA']}) / 'leaderboard.md').read_text()


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
