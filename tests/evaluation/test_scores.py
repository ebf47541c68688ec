import csv
import io
import math

import pytest
import torch
from rich.console import Console

from vlfusion.errors import DataError, UnknownNameError
from vlfusion.evaluation.scores import means, score, summary_table, write_csv
from vlfusion.metrics import EN, SF

rows = [{'name': 'b', 'EN': 7.0, 'SD': 1 / 3}, {'name': 'a', 'EN': 5.0, 'SD': 0.1}, {'name': 'c', 'EN': 6.5, 'SD': 0.2}]


def test_score_is_each_metric_by_name():
    images = 255 * torch.rand(3, 2, 1, 9, 11, generator=torch.Generator().manual_seed(0))
    scores = score(*images, ['SF', 'EN'])
    assert list(scores) == ['SF', 'EN']
    assert torch.equal(scores['SF'], SF(*images))
    assert torch.equal(scores['EN'], EN(*images))
    with pytest.raises(UnknownNameError, match='Did you mean VIF'):
        score(*images, ['VIFF'])


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
