"""Tables show what is not finite, what was not scored, and the controls beside the folder."""

import io
import math

import pytest
from rich.console import Console

from vlfusion.errors import DataError
from vlfusion.evaluation.controls import CONTROLS
from vlfusion.evaluation.tables import controls_table, not_scored, summary_table
from vlfusion.metrics.undefined import Undefined


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
    rows = [{'name': 'b', 'EN': 7.0, 'SD': 1 / 3}, {'name': 'a', 'EN': 5.0, 'SD': 0.1},
            {'name': 'c', 'EN': 6.5, 'SD': 0.2}]
    out = io.StringIO()
    Console(file=out, width=100).print(summary_table(rows))
    line, = (line for line in out.getvalue().splitlines() if 'EN' in line)
    assert [cell.strip() for cell in line.split('│')[1:-1]] == ['EN ↑ (bit)', '6.1667', '0.8498', '6.5000']
    assert '3 images' in out.getvalue()


def test_no_rows():
    with pytest.raises(DataError, match='no image'):
        summary_table([])
