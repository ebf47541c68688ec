"""A record is claimed by one process at a time."""

import errno
import os
import socket
import subprocess
import sys
import time

import pytest

from vlfusion.language.claims import LOCK, Claims
from vlfusion.system.processes import machine


@pytest.fixture(autouse=True, params=[True, False], ids=['links', 'no links'])
def links(request, monkeypatch):
    """File systems with hard links, and those without, such as exFAT."""
    if not request.param:
        def refuse(*_):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        monkeypatch.setattr(os, 'link', refuse)


def _claim(number, where=None):
    return f'{socket.gethostname()} {number} {where or machine()} {"0" * 32}'


def test_a_record_is_claimed_once(tmp_path):
    first, second = Claims(tmp_path / 'claims'), Claims(tmp_path / 'claims')
    assert first.take('x') and not second.take('x')
    assert second.take('y')
    first.release('x')
    assert second.take('x')
    second.close()
    first.close()
    assert not list((tmp_path / 'claims').iterdir())


def test_the_claim_of_a_process_that_is_gone_is_taken_over(tmp_path):
    gone = subprocess.Popen([sys.executable, '-c', ''])
    gone.wait()
    (tmp_path / 'x').write_text(_claim(gone.pid))
    (tmp_path / 'y').write_text(_claim(os.getppid()))
    (tmp_path / '.left').write_text(_claim(gone.pid))
    for name in ('z', '.in_a_container'):  # of the host's name, but its numbers are other processes
        (tmp_path / name).write_text(_claim(gone.pid, '00000000'))
    claims = Claims(tmp_path)
    assert claims.take('x') and not claims.take('y') and not claims.take('z')
    claims.close()
    assert {path.name for path in tmp_path.iterdir()} - {LOCK} == {'y', 'z', '.in_a_container'}, 'what lives stays'


def test_the_claim_of_another_machine_runs_out(tmp_path):
    for name, age in (('old', 400), ('fresh', 10)):
        (tmp_path / name).write_text('elsewhere 1')
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    claims = Claims(tmp_path, lease=300)
    assert claims.take('old') and not claims.take('fresh')
    claims.close()


def test_claims_that_are_held_stay_fresh(tmp_path):
    claims = Claims(tmp_path, lease=0.5)
    assert claims.take('x')
    os.utime(tmp_path / 'x', (0, 0))
    deadline = time.time() + 5
    while (tmp_path / 'x').stat().st_mtime == 0 and time.time() < deadline:
        time.sleep(0.02)
    assert (tmp_path / 'x').stat().st_mtime > 0
    claims.close()


def test_of_two_that_take_over_one_succeeds(tmp_path, monkeypatch):
    gone = subprocess.Popen([sys.executable, '-c', ''])
    gone.wait()
    (tmp_path / 'x').write_text(_claim(gone.pid))
    first, second = Claims(tmp_path), Claims(tmp_path)
    is_abandoned = first._is_abandoned

    def slow(path):  # the second process takes the claim after the first has looked at it
        abandoned = is_abandoned(path)
        if path.name == 'x' and abandoned:
            monkeypatch.setattr(first, '_is_abandoned', is_abandoned)
            assert second.take('x')
        return abandoned

    monkeypatch.setattr(first, '_is_abandoned', slow)
    assert not first.take('x')
    assert Claims(tmp_path).take('x') is False, "the second's claim is back in its place"
    first.close()
    second.close()


def test_a_claim_whose_process_was_killed_before_it_wrote_its_name_runs_out(tmp_path):
    for name, age in (('old', 400), ('fresh', 10)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    claims = Claims(tmp_path, lease=300)
    assert claims.take('old') and not claims.take('fresh')
    claims.close()


def test_a_claim_that_another_process_took_over_is_left_to_it(tmp_path):
    first = Claims(tmp_path, lease=300)
    assert first.take('x')
    (tmp_path / 'x').unlink()
    (tmp_path / 'x').write_text(_claim(os.getppid()))
    first.close()
    assert (tmp_path / 'x').is_file()


@pytest.mark.slow
def test_of_many_processes_one_takes_what_was_left_behind(tmp_path, links):
    gone = subprocess.Popen([sys.executable, '-c', ''])
    gone.wait()
    for number in range(50):
        (tmp_path / f'x{number}').write_text(_claim(gone.pid))
    code = f"""
import os, sys
if {os.link.__module__ != 'posix'}:
    def refuse(*_):
        raise OSError(1, 'refused')
    os.link = refuse
from pathlib import Path
from vlfusion.language.claims import Claims
claims = Claims(Path(sys.argv[1]))
print('ready', flush=True)
sys.stdin.readline()
print(*[name for name in (f'x{{number}}' for number in range(50)) if claims.take(name)], flush=True)
sys.stdin.readline()
"""
    processes = [subprocess.Popen([sys.executable, '-c', code, tmp_path], text=True, stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        assert process.stdout.readline() == 'ready\n'
    for process in processes:
        process.stdin.write('\n')
        process.stdin.flush()
    taken = [name for process in processes for name in process.stdout.readline().split()]
    for process in processes:
        process.communicate()
    assert sorted(taken) == sorted(f'x{number}' for number in range(50))
