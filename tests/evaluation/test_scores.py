import csv
import io
import math

import pytest
import torch
from rich.console import Console

from vlfusion.errors import DataError, UnknownNameError
from vlfusion.evaluation.controls import CONTROLS
from vlfusion.evaluation.scores import (
    controls_table,
    means,
    not_scored,
    read_csv,
    score,
    summary_table,
    write_csv,
)
from vlfusion.evaluation.undefined import Undefined
from vlfusion.metrics import EN, SF

rows = [{'name': 'b', 'EN': 7.0, 'SD': 1 / 3}, {'name': 'a', 'EN': 5.0, 'SD': 0.1}, {'name': 'c', 'EN': 6.5, 'SD': 0.2}]


def test_score_is_each_metric_by_name():
    images = 255 * torch.rand(3, 2, 1, 9, 11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scores = score(*images, ['SF', 'EN'])
    assert list(scores) == ['SF', 'EN']
    assert torch.equal(scores['SF'], SF(*images))
    assert torch.equal(scores['EN'], EN(*images))
    with pytest.raises(UnknownNameError, match='Did you mean VIF'):
        score(*images, ['VIFG'])


def test_scores_have_all_digits_whatever_the_images_have():
    images = (255 * torch.rand(3, 2, 1, 9, 11, generator=torch.Generator().manual_seed(0))).round()
    scores = score(*images, ['SF'])
    assert scores['SF'].dtype == torch.float64
    assert torch.equal(scores['SF'], SF(*images.double()))
    assert not torch.equal(scores['SF'], SF(*images).double())


def lines_of(table):
    out = io.StringIO()
    Console(file=out, width=160).print(table)
    return {cells[0]: cells[1:] for line in out.getvalue().splitlines()
            if (cells := [cell.strip() for cell in line.split('│')[1:-1]])}


def test_what_is_not_finite_is_shown_and_counted():
    some = [{'name': 'a', 'protocol': 'film.1', 'EN': 5.0, 'MI': math.nan, 'truth/PSNR': math.inf},
            {'name': 'b', 'protocol': 'film.1', 'EN': 6.0, 'MI': 1.0, 'truth/PSNR': 30.0}]
    assert lines_of(summary_table(some)) == {
        'EN ↑ (bit)': ['5.5000', '0.5000', '5.5000', ''],
        'MI ↑ (nat)': ['nan', 'nan', 'nan', '1 of 2'],  # film's variant is in nat
        'truth/PSNR ↑ (dB)': ['inf', 'nan', 'inf', '1 of 2']}
    assert means(some) == {'EN': 5.5, 'MI': pytest.approx(math.nan, nan_ok=True), 'truth/PSNR': math.inf}


def test_what_was_not_scored_is_empty_with_a_reason():
    some = [{'name': 'a', 'EN': 5.0, 'VIF': None}, {'name': 'b', 'EN': 6.0, 'VIF': None}]
    why = [Undefined(name, 'VIF', None, ('too small',)) for name in 'ab']
    assert lines_of(summary_table(some, why)) == {'EN ↑ (bit)': ['5.5000', '0.5000', '5.5000', ''],
                                                  'VIF ↑': ['', '', '', '2 of 2: too small']}
    assert not_scored(why, 2) == 'Not scored: VIF of all 2 images (too small).' and not_scored([], 2) == ''
    some[0]['VIF'] = 0.5
    assert lines_of(summary_table(some))['VIF ↑'] == ['0.5000', '0.0000', '0.5000', '1 of 2']
    assert lines_of(controls_table(some, [{'name': 'a', 'control': control, 'EN': 1., 'VIF': None}
                                          for control in CONTROLS]))['VIF ↑'] == ['0.5000', *[''] * 5]


def test_controls_stand_beside_the_folder():
    controls = [{'name': name, 'control': control, 'EN': value}
                for name in 'ab' for control, value in zip(CONTROLS, (0.5, 1.0, math.nan, 2.0, 2.5), strict=True)]
    lines = lines_of(controls_table([{'name': 'a', 'EN': 4.0}, {'name': 'b', 'EN': 5.0}], controls))
    assert lines == {'EN ↑ (bit)': ['4.5000', '0.5000', '1.0000', 'nan (2)', '2.0000', '2.5000']}


def test_summary_table():
    out = io.StringIO()
    Console(file=out, width=100).print(summary_table(rows))
    line, = (line for line in out.getvalue().splitlines() if 'EN' in line)
    assert [cell.strip() for cell in line.split('│')[1:-1]] == ['EN ↑ (bit)', '6.1667', '0.8498', '6.5000']
    assert '3 images' in out.getvalue()


def test_csv_is_sorted_and_exact(tmp_path):
    path = tmp_path / 'new' / 'scores.csv'
    write_csv(path, rows)
    assert path.read_text() == f'name,EN,SD\na,5.0,0.1\nb,7.0,{1 / 3!r}\nc,6.5,0.2\n'
    write_csv(path, [{'name': 'x, "y"', 'EN': math.nan}])
    assert list(csv.reader(path.open())) == [['name', 'EN'], ['x, "y"', 'nan']]
    assert [file.name for file in path.parent.iterdir()] == ['scores.csv']


def test_csv_keeps_words_apart_from_numbers(tmp_path):
    some = [{'name': '02', 'control': 'mean', 'protocol': 'film.1', 'MI:tang': 1 / 3, 'truth/PSNR': math.inf},
            {'name': '01', 'control': 'mean', 'protocol': 'film.1', 'MI:tang': 0.5, 'truth/PSNR': 30.0}]
    write_csv(tmp_path / 'scores.csv', some)
    assert (tmp_path / 'scores.csv').read_text().startswith('name,control,protocol,MI:tang,truth/PSNR\n01,')
    assert read_csv(tmp_path / 'scores.csv') == some[::-1]


def test_a_failed_csv_leaves_the_old_one(tmp_path):
    path = tmp_path / 'scores.csv'
    write_csv(path, rows)
    before = path.read_text()
    with pytest.raises(ValueError, match='Qabf'):
        write_csv(path, [*rows, {'name': 'd', 'EN': 1.0, 'SD': 1.0, 'Qabf': 1.0}])
    assert path.read_text() == before
    assert [file.name for file in tmp_path.iterdir()] == ['scores.csv']


def test_no_rows():
    for function in (means, summary_table):
        with pytest.raises(DataError, match='no image'):
            function([])
