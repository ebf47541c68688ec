"""Ends of a command: errors of the operating system, signals, consoles that take no more."""

import errno
import os
import signal
import subprocess
import sys
import threading

import pytest
from torch.utils.data import DataLoader, Dataset

from vlfusion.cli import main
from vlfusion.cli.ending import run_to_the_end
from vlfusion.errors import DataError


def _fail(error):
    def command():
        raise error
    return command


@pytest.mark.parametrize(('number', 'remedy'), [
    (errno.EACCES, 'permissions'), (errno.EROFS, 'permissions'), (errno.ENOSPC, 'Make room'), (errno.EIO, 'disk'),
    (errno.ENOTDIR, 'where a folder is needed'), (errno.ENAMETOOLONG, 'Shorten'), (errno.ENOENT, 'Check the path')])
def test_an_error_of_the_system_is_a_line_with_its_file_and_a_remedy(capsys, number, remedy):
    assert run_to_the_end(_fail(OSError(number, os.strerror(number), 'out/a.png'))) == 2
    problem, way_out = capsys.readouterr().err.splitlines()
    assert problem == f'error: out/a.png: {os.strerror(number)}.' and remedy in way_out


def test_an_error_in_the_folder_of_downloads_names_its_variable(capsys, monkeypatch):
    monkeypatch.setenv('VLFUSION_HOME', '/data/group')
    assert run_to_the_end(_fail(PermissionError(errno.EACCES, 'Permission denied', '/data/group/models/a'))) == 2
    assert 'Name another one by VLFUSION_HOME.' in capsys.readouterr().err


def test_an_error_of_a_library_is_a_line(capsys):
    assert run_to_the_end(_fail(OSError("We couldn't connect to the hub."))) == 2
    assert capsys.readouterr().err == "error: We couldn't connect to the hub.\n"


class Failing(Dataset):
    """Each sample is an error."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise self.error


@pytest.mark.parametrize(('error', 'printed'), [
    (PermissionError(errno.EACCES, 'Permission denied', 'a.png'),
     "error: Permission denied: 'a.png'.\n  -> Check its permissions, or choose another place.\n"),
    (DataError('Cannot read a.png.', 'Copy it again.'), 'error: Cannot read a.png.\n  -> Copy it again.\n')])
def test_an_error_of_a_worker_is_told_without_its_traceback(capfd, error, printed):
    assert run_to_the_end(lambda: list(DataLoader(Failing(error), num_workers=1))) == 2
    assert capfd.readouterr().err == printed


def test_other_errors_are_raised():
    for error in (ValueError(), SystemExit(7), BrokenPipeError(errno.EPIPE, 'a worker died')):
        with pytest.raises(type(error)):
            run_to_the_end(_fail(error))


def test_a_thread_can_run_a_command():
    codes = []
    thread = threading.Thread(target=lambda: codes.append(run_to_the_end(lambda: 3)))
    thread.start()
    thread.join()
    assert codes == [3]


def test_handlers_of_signals_are_set_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    run_to_the_end(lambda: 0)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


SIGNALS = """
import os, signal, sys, threading, time
from vlfusion.cli.ending import run_to_the_end

def me(number=signal.SIGINT):
    os.kill(os.getpid(), number)
    time.sleep(10)

class Loader:  # Python ignores what a destructor raises
    def __del__(self):
        me()

def in_a_destructor():
    loader = Loader()
    del loader
    time.sleep(10)

def as_another_error():
    try:
        me()
    except KeyboardInterrupt as error:
        raise ImportError('no such module') from error

def with_workers():
    # Ctrl-C on a terminal reaches every process of its group.
    from torch.utils.data import DataLoader
    for number in DataLoader(range(10**9), num_workers=2):
        if number == 20:
            os.killpg(0, signal.SIGINT)

def in_a_thread():
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(time.sleep, 0.3) for _ in range(2)]
        os.kill(os.getpid(), signal.SIGINT)
        [one.result() for one in waiting]

def twice():
    try:
        me()
    finally:
        print('once', file=sys.stderr, flush=True)
        me()

def terminated():
    me(signal.SIGTERM)

def hung_up():
    me(signal.SIGHUP)

sys.exit(run_to_the_end(globals()[sys.argv[1]]))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == 'nt', reason='signals of POSIX')
@pytest.mark.parametrize(('what', 'code', 'said'), [
    ('me', 130, 'SIGINT'), ('in_a_destructor', 130, 'SIGINT'), ('as_another_error', 130, 'SIGINT'),
    ('with_workers', 130, 'SIGINT'), ('in_a_thread', 130, 'SIGINT'), ('terminated', 143, 'SIGTERM'),
    ('hung_up', 129, 'SIGHUP'), ('twice', 130, 'once')])
def test_a_signal_is_one_line_and_an_exit_code(what, code, said):
    done = subprocess.run([sys.executable, '-c', SIGNALS, what], capture_output=True, text=True, check=False,
                          start_new_session=True, timeout=60)
    [line] = done.stderr.splitlines()
    assert done.returncode == code and said in line


@pytest.mark.skipif(os.name == 'nt', reason='signals of POSIX')
def test_signals_that_are_ignored_stay_ignored():
    code = ("import os, signal, sys\nfrom vlfusion.cli.ending import run_to_the_end\n"
            "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
            "sys.exit(run_to_the_end(lambda: os.kill(os.getpid(), signal.SIGHUP)))")
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0


def _list(output, **environment):
    command = [sys.executable, '-m', 'vlfusion', 'list', 'backbone']
    with output:
        return subprocess.run(command, stdout=output, stderr=subprocess.PIPE, env=os.environ | environment, check=False,
                              text=True)


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='needs /dev/full')
def test_output_to_a_full_disk_is_a_line():
    done = _list(os.fdopen(os.open('/dev/full', os.O_WRONLY), 'w'))
    assert done.returncode == 2 and done.stderr == 'error: Cannot write the output: No space left on device.\n'


@pytest.mark.slow
def test_a_reader_that_has_enough_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    done = _list(os.fdopen(writer, 'w'))
    assert done.returncode == 141 and not done.stderr


@pytest.mark.parametrize('encoding', ['cp1252', 'ascii'])
def test_a_console_that_lacks_a_sign_gets_its_code(encoding, tmp_path):
    code = ("from vlfusion.cli.ending import run_to_the_end\nfrom rich.console import Console\n"
            "from rich.progress import track\nfrom rich.table import Table\n"
            "def command():\n    table = Table('EN ↑')\n    table.add_row('图')\n    Console().print(table)\n"
            "    [None for _ in track([1, 2], '融合')]\n    print('图', '\\udcff')\n"
            "run_to_the_end(command)")
    done = subprocess.run([sys.executable, '-c', code], env=os.environ | {'PYTHONIOENCODING': encoding},
                          capture_output=True, check=False)
    assert done.returncode == 0 and rb'\u56fe \udcff' in done.stdout and not done.stderr


@pytest.mark.parametrize('place', ['file/out', 'file/out/a'])
def test_a_verb_tells_of_a_file_where_a_folder_is_needed(place, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'file').touch()
    assert main(['new-plugin', 'mine', '--out', place]) == 2
    assert 'error: file' in capsys.readouterr().err
