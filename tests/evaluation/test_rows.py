"""The CSV of scores is sorted, exact and atomic, and files with the short names of earlier versions are read."""

import csv
import json
import math

import pytest

from vlfusion.evaluation.rows import read_csv, write_csv

rows = [{'name': 'b', 'EN': 7.0, 'SD': 1 / 3}, {'name': 'a', 'EN': 5.0, 'SD': 0.1}, {'name': 'c', 'EN': 6.5, 'SD': 0.2}]


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


@pytest.mark.parametrize(('protocol', 'expected'), [
    ('film.1', ['EN', 'MI:film', 'truth/PSNR']), ('vifb.1', ['EN', 'MI:vifb', 'truth/PSNR']),
    ('plain.1', ['EN', 'MI', 'truth/PSNR']), ('mine.1', ['EN', 'MI', 'truth/PSNR'])])
def test_a_short_name_means_the_variant_of_the_protocol(tmp_path, protocol, expected):
    (tmp_path / 'scores.csv').write_text(f'name,protocol,EN,MI,truth/PSNR\n01,{protocol},6.5,2.5,30\n')
    [row] = read_csv(tmp_path / 'scores.csv')
    assert row == {'name': '01', 'protocol': protocol, **dict(zip(expected, (6.5, 2.5, 30.), strict=True))}


def test_the_record_says_the_protocol_of_a_file_that_does_not(tmp_path):
    path = tmp_path / 'scores.csv'
    path.write_text('name,MI\n01,2.5\n')
    assert list(read_csv(path)[0]) == ['name', 'MI']
    path.with_suffix('.json').write_text(json.dumps({'protocol': {'label': 'film.1'}}))
    assert list(read_csv(path)[0]) == ['name', 'MI:film']
    path.with_suffix('.json').write_text('[]')
    assert list(read_csv(path)[0]) == ['name', 'MI']


def test_columns_of_unknown_metrics_and_of_both_spellings_stay(tmp_path):
    (tmp_path / 'scores.csv').write_text('name,protocol,MI,MI:film,mine\n01,film.1,2.5,3.5,1\n')
    assert list(read_csv(tmp_path / 'scores.csv')[0]) == ['name', 'protocol', 'MI', 'MI:film', 'mine']
