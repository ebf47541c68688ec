"""Cells of tables hold text from outside and run nothing."""

import csv
import io

import pytest

from vlfusion.errors import DataError
from vlfusion.guards.cells import csv_cell, from_csv_cell, markdown_cell, markdown_table, read_table, write_table


@pytest.mark.parametrize('sign', ['=', '+', '-', '@', '\t', '\r'])
@pytest.mark.parametrize('head', ['', "'", "''"])
def test_a_name_is_no_formula_and_comes_back(sign, head, tmp_path):
    name = f'{head}{sign}HYPERLINK("http://x")'
    with (tmp_path / 'x.csv').open('w', newline='', encoding='utf-8') as file:
        write_table(file, ('name', 'EN'), [{'name': name, 'EN': -1.5}])
    [_, (cell, number)] = csv.reader(io.StringIO((tmp_path / 'x.csv').read_bytes().decode(), newline=''))
    assert cell[0] == "'" and number == '-1.5'
    assert read_table(tmp_path / 'x.csv', ('name',), '') == [{'name': name, 'EN': -1.5}]


@pytest.mark.parametrize('name', ["it's", "'x'", 'a=b', '1-2', '', "'"])
def test_other_names_are_written_as_they_are(name):
    assert csv_cell(name) == from_csv_cell(name) == name


@pytest.mark.parametrize(('content', 'problem'), [
    (b'', 'columns of .* are none'), (b'EN,SD\n1,2\n', "are 'EN', 'SD'; expected a column name"),
    (b'name;EN\na;1\n', 'expected a column name'), (b'name,EN,EN\na,1,2\n', 'no column twice'),
    (b'name,EN\na,x\n', "EN in line 2 of .* is 'x'; expected a number"),
    (b'name,EN\na,1\nb, \n', "EN in line 3 of .* is ' '"), (b'name,EN\na\n', 'Line 2 of .* has 1 cells; expected 2'),
    (b'name,EN\na,1,2\n', 'has 3 cells'), (b'name,EN\n\xe9,1\n', 'cannot be read'),
    (b'name,EN\n' + b'x' * 200000 + b',1\n', 'cannot be read'),
])
def test_a_table_of_another_form(content, problem, tmp_path):
    (tmp_path / 'x.csv').write_bytes(content)
    with pytest.raises(DataError, match=problem) as caught:
        read_table(tmp_path / 'x.csv', ('name',), 'Score it again.')
    assert 'x.csv' in caught.value.problem and len(str(caught.value).splitlines()) == 2


def test_a_table_that_a_spreadsheet_saved(tmp_path):
    (tmp_path / 'x.csv').write_bytes(b'\xef\xbb\xbfname,EN\r\na,1\r\n\r\nb,\r\n')
    assert read_table(tmp_path / 'x.csv', ('name',), '') == [{'name': 'a', 'EN': 1.0}, {'name': 'b', 'EN': None}]


def test_markdown_takes_no_orders_from_a_cell():
    nasty = 'a | b\n<script>*x*</script> [y](http://z) `q` _i_'
    assert markdown_cell(nasty) == r'a \| b &lt;script>\*x\*&lt;/script> \[y\](http://z) \`q\` \_i\_'
    assert markdown_cell('snake_case MI:tang, CT-MRI/12 (v2)') == 'snake_case MI:tang, CT-MRI/12 (v2)'
    assert markdown_table(['a', 'b'], [['1', '2']]).splitlines() == ['| a | b |', '| --- | ---: |', '| 1 | 2 |']
