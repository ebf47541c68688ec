"""Files that are whole or absent: full disks, killed processes, long and strange names."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from platformdirs import user_cache_dir

from vlfusion import files
from vlfusion.errors import DataError
from vlfusion.files import (
    cache_folder,
    check_for_windows,
    file_digest,
    make_folder,
    whole,
    whole_file,
    whole_folder,
    writable_cache_folder,
    write_whole,
)


def _writers(path):
    """Every way to write, as functions without arguments, each of more than 4096 bytes."""
    def by_path():
        with whole(path) as temporary:
            temporary.write_bytes(bytes(9999))

    def by_text():
        with whole_file(path) as file:
            file.write('x' * 9999)

    def as_folder():
        with whole_folder(path) as folder:
            (folder / 'a').mkdir()
            (folder / 'a/b').write_bytes(bytes(9999))
    return [by_path, by_text, lambda: write_whole(path, bytes(9999)), as_folder]


@pytest.mark.parametrize('which', range(4))
def test_what_is_written_is_there_and_nothing_else(tmp_path, which):
    _writers(tmp_path / 'new/x')[which]()
    [path] = (tmp_path / 'new').iterdir()
    assert path.name == 'x'
    assert (path if path.is_file() else path / 'a/b').stat().st_size == 9999


@pytest.mark.parametrize('which', range(4))
def test_a_full_disk_leaves_nothing_and_is_told_of_by_name(tmp_path, full_disk, which):
    with pytest.raises(OSError) as caught:
        _writers(tmp_path / 'x')[which]()
    assert str(caught.value.filename).startswith(str(tmp_path / 'x')) and caught.value.errno == errno.EFBIG
    assert str(caught.value).endswith(f"'{caught.value.filename}'")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('which', range(3))
def test_a_full_disk_leaves_the_old_file(tmp_path, full_disk, which):
    (tmp_path / 'x').write_text('old')
    with pytest.raises(OSError):
        _writers(tmp_path / 'x')[which]()
    assert [path.name for path in tmp_path.iterdir()] == ['x'] and (tmp_path / 'x').read_text() == 'old'


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt])
def test_what_goes_wrong_while_writing_leaves_nothing(tmp_path, error):
    for enter in (whole, whole_file, whole_folder):
        with pytest.raises(error), enter(tmp_path / 'x'):
            raise error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('which', range(4))
def test_a_file_where_a_folder_is_needed_is_named(tmp_path, which):
    (tmp_path / 'file').touch()
    with pytest.raises(NotADirectoryError) as caught:
        _writers(tmp_path / 'file/a/x')[which]()
    assert str(caught.value.filename).startswith(str(tmp_path / 'file'))


@pytest.mark.parametrize('which', range(3))
def test_a_folder_is_not_replaced_by_a_file(tmp_path, which):
    (tmp_path / 'x').mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        _writers(tmp_path / 'x')[which]()
    assert caught.value.filename == str(tmp_path / 'x') and list(tmp_path.iterdir()) == [tmp_path / 'x']


@pytest.mark.parametrize('name', ['n' * 251 + '.png', '融' * 82 + '.png', 'n' * 255])
def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path, name):
    write_whole(tmp_path / name, b'x')
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_name_that_is_too_long_is_told_of(tmp_path):
    with pytest.raises(OSError) as caught:
        write_whole(tmp_path / ('n' * 256), b'x')
    assert caught.value.errno == errno.ENAMETOOLONG and caught.value.filename == str(tmp_path / ('n' * 256))
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_is_filled_and_a_full_one_replaced(tmp_path):
    (tmp_path / 'x').mkdir()
    number = (tmp_path / 'x').stat().st_ino
    with whole_folder(tmp_path / 'x') as folder:
        (folder / 'a').touch()
    assert (tmp_path / 'x').stat().st_ino == number
    with whole_folder(tmp_path / 'x') as folder:
        (folder / 'b').touch()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*')] == ['x', 'x/b']


def test_what_a_killed_process_left_is_removed_by_the_next_run(tmp_path):
    code = ("import sys, time; from vlfusion.files import whole, whole_folder\n"
            "with whole(sys.argv[1]) as path, whole_folder(sys.argv[2]) as folder:\n"
            "    path.touch(); (folder / 'a').touch(); print('ready', flush=True); time.sleep(60)")
    writer = subprocess.Popen([sys.executable, '-c', code, tmp_path / 'x', tmp_path / 'y'], stdout=subprocess.PIPE)
    assert writer.stdout.readline() == b'ready\n'
    left = set(tmp_path.iterdir())
    _next_run(tmp_path)
    assert left < set(tmp_path.iterdir()), 'what lives is left alone'
    writer.kill()
    writer.wait()
    _next_run(tmp_path)
    assert len(left) == 2 and [path.name for path in tmp_path.iterdir()] == ['z']


def test_what_another_machine_left_is_removed_after_a_day(tmp_path):
    old, young, strange = (tmp_path / f'.vlfusion-0000000{digit}-{os.getpid()}-00000000.partial' for digit in '12x')
    for path, hours in ((old, 30), (young, 20), (strange, 30)):
        path.touch()
        os.utime(path, (time.time() - hours * 3600,) * 2)
    _next_run(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {'z', young.name, strange.name}


def _next_run(folder):
    files._swept.clear()  # a process looks once into each folder
    write_whole(folder / 'z', b'')


@pytest.mark.parametrize('name', ['con', 'NUL.png', 'aux .tar.gz', 'Lpt3.png', 'COM¹', 'a:b', 'a?', 'a"b', 'tab\t',
                                  'dot.', 'blank ', 'a|b.png', 'a\\b'])
def test_a_name_that_windows_does_not_take_is_refused_there(name, tmp_path, monkeypatch):
    with pytest.raises(DataError, match='Windows'):
        check_for_windows(Path(name))
    monkeypatch.setattr(files, 'WINDOWS', True)
    for enter in (whole, whole_folder):
        with pytest.raises(DataError, match='Windows'), enter(Path(tmp_path, name, 'x')):
            pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('name', ['console', 'nul-1.png', 'a.b', '.hidden', '..', '.', 'auxiliary', 'a b', 'COM', 'é'])
def test_other_names_are_taken_by_windows(name):
    check_for_windows(Path('/somewhere') / name)


def test_digest(tmp_path):
    (tmp_path / 'x').write_bytes(b'abc')
    assert file_digest(tmp_path / 'x') == 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'


@pytest.mark.parametrize(('windows', 'refusals', 'written'), [(True, 2, True), (True, 9, False), (False, 1, False)])
def test_windows_refuses_to_replace_a_file_that_somebody_reads(tmp_path, monkeypatch, windows, refusals, written):
    left, replace = [None] * refusals, os.replace

    def refuse(*paths):
        if left:
            left.pop()
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        replace(*paths)
    monkeypatch.setattr(files, 'WINDOWS', windows)
    monkeypatch.setattr(os, 'replace', refuse)
    monkeypatch.setattr(time, 'sleep', lambda seconds: None)
    if written:
        write_whole(tmp_path / 'x', b'')
    else:
        with pytest.raises(PermissionError):
            write_whole(tmp_path / 'x', b'')
    assert (tmp_path / 'x').exists() is written


def test_a_folder_that_cannot_be_made_is_named_whole(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, 'Permission denied', str(tmp_path / 'a'))
    monkeypatch.setattr(Path, 'mkdir', refuse)
    with pytest.raises(PermissionError) as error:
        make_folder(tmp_path / 'a/b')
    assert error.value.filename == str(tmp_path / 'a/b')


def test_words_go_elsewhere_if_the_cache_folder_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setenv('VLFUSION_HOME', str(tmp_path))
    assert writable_cache_folder() == cache_folder() == tmp_path
    monkeypatch.setattr(os, 'access', lambda path, mode: False)  # a user who may do all cannot be refused
    assert writable_cache_folder() == Path(user_cache_dir('vlfusion'))
