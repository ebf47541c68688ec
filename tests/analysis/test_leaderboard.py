"""Leaderboards mark winners and ties, in every form that is written."""

import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from vlfusion.analysis.leaderboard import board_of, leaderboard
from vlfusion.cli import main
from vlfusion.errors import ConfigError, DataError, UnknownNameError
from vlfusion.evaluation.rows import read_csv, write_csv
from vlfusion.metrics.columns import heading

pytest.importorskip('scipy', reason="pip install 'vlfusion[benchmark]'")


@pytest.fixture
def files(tmp_path):
    """Under EN `best_1` wins; under CE, which is better lower, `b` and `c` are alike and better."""
    difficulty = np.random.default_rng(0).normal(7, 0.5, 15)
    found = {}
    sign = {'best_1': 0, 'b': 1, 'c': -1}
    for name, en, ce in (('best_1', 1., 2.), ('b', 0., 1.), ('c', 0., 1.)):
        rows = [{'name': f'{index:02}', 'protocol': 'film.1',
                 'EN': difficulty[index] + en + sign[name] * 0.1 * (-1) ** index * (1 + index % 4),
                 'CE': ce + sign[name] * 0.1 * (-1) ** index * (1 + index % 4)} for index in range(15)]
        found[name] = tmp_path / f'{name}.csv'
        write_csv(found[name], rows[::-1])
    return found


def test_bold_is_what_wins_and_ties_are_marked(files):
    board = leaderboard(files)
    assert board.comparisons['EN'].ranks == {'best_1': 1, 'b': 2, 'c': 2}
    assert board.comparisons['CE'].ranks == {'best_1': 3, 'b': 1, 'c': 1}
    lines = board.markdown().splitlines()
    assert lines[0] == '| method | EN ↑ | CE ↓ | mean rank |'
    assert board.methods == ['b', 'c', 'best_1']
    cells = {line.split(' | ')[0].strip('| '): line.split(' | ')[1:3] for line in lines[2:]}
    assert cells['best_1'][0].startswith('**') and '(1)**' in cells['best_1'][0]
    assert cells['b'][1].endswith('(1) =') and cells['c'][1].endswith('(1) =') and '*' not in ''.join(cells['b'])


def test_a_metric_without_a_better_side_ranks_nothing(files):
    for path in files.values():
        write_csv(path, [row | {'Level': 3.} for row in read_csv(path)])
    assert [*leaderboard(files).comparisons] == ['EN', 'CE']
    with pytest.raises(ConfigError, match='Level cannot rank methods: neither higher nor lower'):
        leaderboard(files, metrics=['EN', 'Level'])
    for path in files.values():
        write_csv(path, [{key: row[key] for key in ('name', 'protocol', 'Level')} for row in read_csv(path)])
    with pytest.raises(DataError, match='No metric of these files can rank'):
        leaderboard(files)
    assert heading('Level') == 'Level (grey level)'


def test_every_form_is_written(files, tmp_path, capsys):
    out = [str(tmp_path / f'table.{ending}') for ending in ('md', 'tex', 'json')]
    assert main(['leaderboard', *map(str, files.values()), '--metrics', 'CE', '--out', *out]) == 0
    printed = capsys.readouterr().out
    assert (tmp_path / 'table.md').read_text() in printed and '15 images, protocol film.1, alpha 0.05' in printed
    held = json.loads((tmp_path / 'table.json').read_text())
    assert held['metrics'].keys() == {'CE'} and held['metrics']['CE']['ranks'] == {'best_1': 3, 'b': 1, 'c': 1}
    low, high = held['metrics']['CE']['intervals']['b']
    assert low < held['metrics']['CE']['means']['b'] < high
    latex = (tmp_path / 'table.tex').read_text()
    assert r'best\_1' in latex and r'CE $\downarrow$' in latex and latex.count('$^{=}$') == 2


def test_a_terminal_gets_a_table_with_the_doubt_beside_the_place(files, monkeypatch, capsys):
    monkeypatch.setenv('FORCE_COLOR', '1')
    monkeypatch.setenv('COLUMNS', '100')
    assert main(['leaderboard', f'[b]x[/b]={files["best_1"]}', str(files['b']), str(files['c'])]) == 0
    printed = re.sub(r'\x1b\[[\d;]*m', '', capsys.readouterr().out)
    rows = {cells[-4 if len(cells) > 4 else 0]: cells for line in printed.splitlines()
            if len(cells := re.split(r' {2,}', line.strip())) >= 4}
    assert '| method |' not in printed and 'Bold beats every other method' in printed
    assert rows['b'][0] == '1 1–3' and rows['c'][0] == '1 1–3' and rows['[b]x[/b]'][0] == '3 1–3'
    monkeypatch.setenv('COLUMNS', '30')  # no column is cut: there are two tables
    assert main(['leaderboard', *map(str, files.values())]) == 0
    printed = capsys.readouterr().out
    assert printed.count('place') > 2 and '…' not in printed


def test_places_take_other_ways_of_scoring_in(files):
    board = leaderboard(files, ['EN'])
    assert board.places() == {'best_1': (1, 1, 1), 'b': (2, 2, 3), 'c': (2, 2, 3)}
    board = replace(board, elsewhere={'best_1': [1, 3], 'b': [2, 2], 'c': [1, 0]}, note='Mind the policy.')
    assert board.places() == {'best_1': (1, 1, 3), 'b': (2, 2, 3), 'c': (2, 1, 3)}
    text = board.markdown()
    assert '| mean rank (places) |' in text and '| 1.00 (1–3) |' in text and 'Mind the policy.' in text
    assert 'other ways of scoring' in text and 'other ways of scoring' not in leaderboard(files).markdown()
    assert json.loads(board.json())['places']['best_1'] == [1, 1, 3]


def test_decimal_points_stand_below_each_other(files):
    references = {'printed': {'EN': 6.5, 'CE': 12.}, 'control: mean': {'EN': 7.123456}}
    board = replace(leaderboard(files), references=references)
    columns = [[row.split('&')[index].strip() for row in board.latex().splitlines() if '&' in row][1:]
               for index in (1, 2)]
    decimals = [{len(re.search(r'\d+\.(\d+)', cell)[1]) for cell in column if '(' in cell} for column in columns]
    assert decimals == [{3}, {2}]
    assert columns[0][-2:] == [r'6.5\phantom{00}', '7.123'] and columns[1][-2:] == [r'12\phantom{.00}', '']
    assert '| *printed* | 6.5 | 12 |' in board.markdown()


def test_the_latex_compiles(files, tmp_path):
    if not shutil.which('pdflatex'):
        latex = leaderboard(files).latex()  # without TeX: every row has as many cells as the table has columns
        rows = [line for line in latex.splitlines() if line.endswith(r'\\')]
        assert len(rows) == 4 and all(row.count('&') == 3 for row in rows) and '{lrrr}' in latex
        return
    document = '\\documentclass{article}\\usepackage{booktabs}\\begin{document}%s\\end{document}'
    (tmp_path / 'x.tex').write_text(document % leaderboard(files).latex())
    subprocess.run(['pdflatex', '-interaction=batchmode', '-halt-on-error', 'x.tex'], cwd=tmp_path, check=True)


def test_the_correction_is_a_choice(files, tmp_path, capsys):
    levels = {}
    for correction in ('holm', 'finner'):
        out = tmp_path / f'{correction}.json'
        assert main(['leaderboard', *map(str, files.values()), '--correction', correction, '--out', str(out)]) == 0
        levels[correction] = [pair['p'] for pair in json.loads(out.read_text())['metrics']['EN']['pairs']]
    assert levels['finner'] != levels['holm']
    assert main(['leaderboard', *map(str, files.values()), '--correction', 'none']) == 2
    assert "no correction 'none'" in capsys.readouterr().err


def test_names_of_methods(files, capsys):
    assert main(['leaderboard', f'ours={files["b"]}', str(files['c'])]) == 0
    assert '| ours |' in capsys.readouterr().out
    assert main(['leaderboard', str(files['b']), f'b={files["c"]}']) == 2
    assert "Two methods have the name 'b'" in capsys.readouterr().err
    assert main(['leaderboard', str(files['b']), 'absent.csv']) == 2
    assert 'There is no file absent.csv' in capsys.readouterr().err


def test_files_of_control_images_are_left_out(files, tmp_path, capsys):
    controls = tmp_path / 'b.controls.csv'
    write_csv(controls, [{'name': '00', 'control': control, 'protocol': 'film.1', 'EN': 7.} for control in 'ab'])
    assert main(['leaderboard', *map(str, files.values()), str(controls)]) == 0
    said = capsys.readouterr().out
    assert f'left out, because they hold control images: {controls}.' in said and '| b.controls |' not in said
    for given in (str(controls), f'mine={controls}'):
        assert main(['leaderboard', given]) == 2
        assert 'holds scores of control images' in capsys.readouterr().err


def test_methods_that_were_not_scored_alike_are_refused(files, tmp_path):
    rows = [{'name': f'{index:02}', 'protocol': 'plain.1', 'EN': 1.0 * index} for index in range(14)]
    write_csv(tmp_path / 'other.csv', rows)
    with pytest.raises(DataError, match=r'(?s)several protocols: film.1, plain.1.*other lacks 1 of 15 images: 14'):
        leaderboard(files | {'other': tmp_path / 'other.csv'})
    with pytest.raises(DataError, match='no method to compare'):
        leaderboard({})
    with pytest.raises(UnknownNameError, match="metric 'VIF'"):
        leaderboard(files, ['VIF'])
    with pytest.raises(ConfigError, match='cannot be written'):
        leaderboard(files).write(tmp_path / 'x.pdf')


def test_a_metric_may_be_named_without_its_variant(tmp_path, capsys):
    # One file has the short names of earlier versions.
    for name, column in (('old', 'MI'), ('new', 'MI:film')):
        lines = [f'{index:02},film.1,{index + len(name)}' for index in range(8)]
        (tmp_path / f'{name}.csv').write_text('\n'.join([f'name,protocol,{column}', *lines, '']))
    files = {name: tmp_path / f'{name}.csv' for name in ('old', 'new')}
    assert list(leaderboard(files).comparisons) == list(leaderboard(files, ['MI']).comparisons) == ['MI:film']
    assert main(['leaderboard', *map(str, files.values()), '--metrics', 'MI:film']) == 0
    assert '| method | MI:film ↑ |' in capsys.readouterr().out
    with pytest.raises(UnknownNameError, match="metric 'MI:tang'"):
        leaderboard(files, ['MI:tang'])


def test_what_is_not_finite_is_a_string_in_json(tmp_path):
    for name, value in (('a', 'nan'), ('b', '3')):
        (tmp_path / f'{name}.csv').write_text('name,protocol,EN,SD\n' + ''.join(
            f'{index},plain.1,{index},{value if index == 1 else 2}\n' for index in range(6)))
    held = json.loads(leaderboard({name: tmp_path / f'{name}.csv' for name in 'ab'}).json())
    assert held['mean_ranks'] == {'a': 'NaN', 'b': 1.0} and held['metrics']['SD']['means'].keys() == {'b'}


def test_too_few_images_for_so_many_methods(files, tmp_path, capsys):
    assert leaderboard(files).warning == ''
    for name in files:
        write_csv(files[name], [{'name': str(index), 'protocol': 'film.1', 'EN': index + 10. * ord(name[0])}
                                for index in range(6)])
    board = leaderboard(files)
    assert set(board.comparisons['EN'].ranks.values()) == {1}, '3 comparisons of p = 2 / 2^6 each'
    assert main(['leaderboard', *map(str, files.values())]) == 0
    assert 'Note: 6 images cannot show a difference in 3 comparisons' in capsys.readouterr().out


@pytest.mark.parametrize(('content', 'problem'), [
    ('image,EN\n1,2\n', 'expected a column name'), ('name,EN\n1,x\n', "EN in line 2 of .* is 'x'"),
    ('name,EN\n1\n', '1 cells'), ('name,EN\n1,2,3\n', '3 cells'), ('', 'none')])
def test_scores_of_another_form(files, content, problem, tmp_path, capsys):
    (tmp_path / 'odd.csv').write_text(content)
    assert main(['leaderboard', str(files['b']), str(tmp_path / 'odd.csv')]) == 2
    assert re.search(problem, error := capsys.readouterr().err) and 'odd.csv' in error


def test_slices_of_volumes_count_as_cases():
    generator = np.random.default_rng(3)
    names = [f'sub-{case}/slice_{index:04d}' for case in range(3) for index in range(40)]
    rows = {method: [{'name': name, 'protocol': 'film.1', 'EN': float(generator.normal(level, 0.1))} for name in names]
            for method, level in (('A', 7), ('B', 5))}
    board = board_of(rows)
    assert (board.images, board.cases, board.comparisons['EN'].ranks) == (120, 3, {'A': 1, 'B': 1})
    assert board.warning.startswith('3 cases cannot show a difference in 1 comparison')
    assert json.loads(board.json())['cases'] == 3
    renamed = {method: [{**row, 'name': row['name'].replace('/slice_', '-')} for row in of]
               for method, of in rows.items()}
    assert board_of(renamed).comparisons['EN'].ranks == {'A': 1, 'B': 2} and board_of(renamed).cases == 120
