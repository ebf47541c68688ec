"""Numbers that no option can have are refused before any work, by every verb."""

import pytest

from vlfusion.cli import main

CONTACT = ('contact-sheet', '--source-a', 'a', '--source-b', 'b', '--out', 'c.png')


@pytest.mark.parametrize(('command', 'values'), [
    (('leaderboard', 'a.csv', '--alpha'), ('0', '1', '7', '-1', 'nan', 'x')),
    (('ablate-text', 'c.py', 'x.pth', '--alpha'), ('0', 'nan')),
    (('ablate-text', 'c.py', 'x.pth', '--limit'), ('0', '-1', '1.5')),
    (('describe', 'c.py', '--limit'), ('0', '-1')),
    (('fuse', 'x.pth', 'a', 'b', '-o', 'c', '--batch-size'), ('0', '-1')),
    (('fuse', 'x.pth', 'a', 'b', '-o', 'c', '--tile-size'), ('0', '-1')),
    (('evaluate', 'f', '--source-a', 'a', '--source-b', 'b', '--out', 'x.csv', '--workers'), ('0', '-1')),
    (('export', 'x.pth', '--format', 'onnx', '--out', 'x.onnx', '--tolerance'), ('0', '-1', 'nan', 'inf')),
    (('compare', 'a', 'b', '--most'), ('-1', 'x')),
    ((*CONTACT, '--width'), ('0', '-1', 'nan', 'inf')), ((*CONTACT, '--dpi'), ('0', '-300')),
    (('prepare-data', 'sample', '--count'), ('0', '-1')), (('prepare-data', 'sample', '--size'), ('0', '-5')),
    (('check-plugin', 'x', '--size', '20'), ('0', '-1')),
    (('text', 'audit', 'c.py', '--max-words'), ('0', '-1')), (('text', 'audit', 'c.py', '--max-tokens'), ('0',)),
    (('text', 'audit', 'c.py', '--min-words'), ('-1',)),
])
def test_numbers_out_of_range(command, values, capsys):
    for value in values:
        with pytest.raises(SystemExit) as ended:
            main([*command, value])
        error = capsys.readouterr().err
        assert ended.value.code == 2
        assert f"argument {command[-1] if command[-1] != '20' else '--size'}: " in error and 'is not a' in error


def test_a_protocol_is_checked_before_weights_are_converted(tmp_path, capsys):
    assert main(['convert-weights', 'FILM', 'absent.pth', str(tmp_path / 'x.pth'), '--protocol', 'zzz']) == 2
    assert "Unknown protocol 'zzz'" in capsys.readouterr().err


@pytest.mark.parametrize('size', ['0', '0GiB', '-1', '9' * 400, 'nan', 'lots'])
def test_an_amount_of_memory(size, tmp_path, capsys):
    for name in ('a', 'b'):
        (tmp_path / name).write_bytes(b'')
    assert main(['fuse', 'x.pth', str(tmp_path / 'a'), str(tmp_path / 'b'), '-o', 'c.png', '--max-memory', size]) == 2
    assert 'not an amount of memory' in capsys.readouterr().err


def test_a_figure_of_a_mile(tmp_path, capsys):
    assert main([*CONTACT, '--width', '1e9']) == 2
    assert 'inches wide' in capsys.readouterr().err
