"""One training in a work_dir."""

import subprocess
import sys

import pytest

from vlfusion.engine.locks import lock_work_dir
from vlfusion.errors import ConfigError

HOLD = """
import os, sys, time
from vlfusion.engine.locks import lock_work_dir
lock = lock_work_dir(sys.argv[1])
if sys.argv[2] == 'fork':  # as a worker of a data loader, which ends first
    if os.fork() == 0:
        os._exit(0)
    os.wait()
if sys.argv[2] == 'release':
    lock.release()
print('ready', flush=True)
time.sleep(60)
"""


@pytest.fixture
def hold(tmp_path):
    """Starts a process that holds the lock."""
    processes = []

    def hold(how):
        processes.append(subprocess.Popen([sys.executable, '-c', HOLD, tmp_path / 'work', how],
                                          stdout=subprocess.PIPE))
        assert processes[-1].stdout.readline() == b'ready\n'
        return processes[-1]
    yield hold
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize('how', ['hold', pytest.param('fork', marks=pytest.mark.skipif(
    sys.platform == 'win32', reason='no fork'))])
def test_a_second_training_is_refused_until_the_first_has_ended(tmp_path, hold, how):
    first = hold(how)
    with pytest.raises(ConfigError, match=f'process {first.pid} on .*--work-dir'.replace('.*', '(?s:.*)')):
        lock_work_dir(tmp_path / 'work')
    first.kill()
    first.wait()
    lock_work_dir(tmp_path / 'work').release()


def test_a_training_that_ended_well_is_no_hindrance(tmp_path, hold):
    hold('release')
    lock_work_dir(tmp_path / 'work').release()


def test_a_process_may_lock_again(tmp_path):
    locks = [lock_work_dir(tmp_path) for _ in range(2)]
    for lock in locks:
        lock.release()
