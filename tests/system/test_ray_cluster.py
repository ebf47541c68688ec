"""Work on a Ray cluster: order, errors, workers and machines that end in the middle, keys, and nothing left behind."""

import logging
import os
import secrets
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from itertools import count

import psutil
import pytest

from vlfusion.errors import ConfigError, DataError
from vlfusion.system.ray_cluster import DEPTH, Cluster
from vlfusion.testing.toys import draw_pairs

needs_ray = pytest.mark.skipif(find_spec('ray') is None, reason="pip install 'vlfusion[ray]'")


def living():
    """Numbers of the processes that this one and its children have started."""
    return {child.pid for child in psutil.Process().children(recursive=True)
            if child.status() != psutil.STATUS_ZOMBIE}


def wait_until_gone(numbers):
    """Return those of some processes that are left after a while."""
    until = time.monotonic() + 30
    while time.monotonic() < until and any(map(psutil.pid_exists, numbers)):
        time.sleep(0.1)
    return [number for number in numbers if psutil.pid_exists(number)
            and psutil.Process(number).status() != psutil.STATUS_ZOMBIE]


@pytest.fixture(scope='module')
def cluster():
    """A local cluster with three workers. None of its processes outlives it."""
    before = living()
    with Cluster('local', workers=3) as cluster:
        yield cluster
        started = living() - before
    assert wait_until_gone(started) == []


def make_square():
    logging.getLogger('vlfusion').warning('not shown: it is logged before the first item')

    def square(items):
        item, = items
        logging.getLogger('vlfusion').warning('note: squares', extra={'kind': 'squares'})
        if item == 'bad':
            raise DataError('bad is no number.', 'Give a number.')
        time.sleep(0.02 * (item % 3))
        return [item ** 2]
    return square


@needs_ray
@pytest.mark.slow
def test_results_come_in_order_and_a_note_once(cluster, caplog):
    assert list(cluster.in_order(make_square, range(40))) == [item ** 2 for item in range(40)]
    assert [record.getMessage() for record in caplog.records] == ['note: squares']


@needs_ray
@pytest.mark.slow
def test_an_error_comes_after_the_results_before_it(cluster):
    results = cluster.in_order(make_square, [1, 2, 'bad', 3])
    assert [next(results), next(results)] == [1, 4]
    with pytest.raises(DataError, match='bad is no number') as caught:
        next(results)
    assert caught.value.remedy == 'Give a number.'


@needs_ray
@pytest.mark.slow
def test_items_are_taken_when_there_is_room(cluster):
    """An endless iterator: memory does not grow with the number of items."""
    numbers = count()
    results = cluster.in_order(make_square, numbers)
    assert [next(results) for _ in range(30)] == [item ** 2 for item in range(30)]
    results.close()
    assert next(numbers) <= 30 + 6 * DEPTH * cluster.workers


@needs_ray
@pytest.mark.slow
def test_work_of_a_worker_that_ends_is_done_again(cluster, tmp_path):
    def make():
        def work(items):
            for item in items:
                if item % 5 == 4 and not (tmp_path / str(item)).exists():
                    (tmp_path / str(item)).touch()
                    os.kill(os.getpid(), signal.SIGKILL)
            return items
        return work
    assert list(cluster.in_order(make, range(20), chunk=3)) == [*range(20)]
    assert len([*tmp_path.iterdir()]) == 4


@needs_ray
@pytest.mark.slow
def test_an_item_that_ends_every_worker_is_given_up(cluster):
    def make():
        def work(items):
            if 1 in items:
                os.kill(os.getpid(), signal.SIGKILL)
            return items
        return work
    results = list(cluster.in_order(make, range(6), chunk=2, lost=lambda item, error: f'{item}: {error.problem}'))
    assert results[0] == 0 and results[2:] == [2, 3, 4, 5] and results[1].startswith('1: 5 workers have ended')


@needs_ray
@pytest.mark.slow
def test_a_worker_that_cannot_begin(cluster):
    def make():
        raise ConfigError('There is no model.', 'Give one.')
    with pytest.raises(ConfigError, match='There is no model'):
        list(cluster.in_order(make, range(3)))


@needs_ray
@pytest.mark.slow
def test_workers_compute_in_one_thread_and_get_keys(cluster, monkeypatch):
    monkeypatch.setenv('OPENAI_API_KEY', key := f'sk-{secrets.token_hex(12)}')

    def make():
        import torch
        return lambda _: [(torch.get_num_threads(), os.environ.get('OPENAI_API_KEY'), os.getcwd())]
    assert set(cluster.in_order(make, range(4))) == {(1, key, os.getcwd())}
    import ray
    logs = ray._private.worker._global_node.get_logs_dir_path()
    held = subprocess.run(['grep', '--recursive', '--text', '--files-with-matches', key, logs], capture_output=True)
    assert held.returncode == 1 and not held.stdout


INTERRUPTED = """
import os, sys, time
from vlfusion.cli.ending import run_to_the_end
from vlfusion.system.ray_cluster import Cluster

def make():
    def work(item):
        open('begun', 'w').close()
        time.sleep(600)
    return work

def command():
    with Cluster('local', workers=2) as cluster:
        for _ in cluster.in_order(make, range(9)):
            pass

sys.exit(run_to_the_end(command))
"""


@needs_ray
@pytest.mark.slow
@pytest.mark.parametrize(('number', 'code'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_no_process(tmp_path, number, code):
    process = subprocess.Popen([sys.executable, '-c', INTERRUPTED], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not (tmp_path / 'begun').exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    started = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert len(started) >= 4 and wait_until_gone(started) == []
    assert f'Stopped by {number.name}' in errors and 'Traceback' not in errors


@needs_ray
@pytest.mark.slow
def test_a_machine_that_ends_changes_nothing(monkeypatch):
    """Three machines with a worker each. One ends, so its worker cannot come back, and the others do its work."""
    for name, value in dict(RAY_AUTH_MODE='token', RAY_AUTH_TOKEN=secrets.token_hex(32)).items():
        monkeypatch.setenv(name, value)
    code = """
import time
from ray.cluster_utils import Cluster as Machines
from vlfusion.system.ray_cluster import Cluster
machines = Machines(initialize_head=True, head_node_args=dict(num_cpus=1))
others = [machines.add_node(num_cpus=1) for _ in range(2)]

def make():
    import ray
    node = ray.get_runtime_context().get_node_id()
    def work(items):
        time.sleep(0.3)
        return [(item, node) for item in items]
    return work

with Cluster(machines.address) as cluster:
    assert cluster.size() == 3
    nodes = []
    for place, (item, node) in enumerate(cluster.in_order(make, range(120))):
        assert item == place
        nodes.append(node)
        if others and len(set(nodes)) == 3:
            machines.remove_node(others.pop(), allow_graceful=False)
            others.clear()
            after = place
    assert len(nodes) == 120 and len(set(nodes)) == 3 and len(set(nodes[-20:])) == 2, after
machines.shutdown()
"""
    subprocess.run([sys.executable, '-c', code], check=True, timeout=180)


@pytest.mark.slow
def test_without_ray(tmp_path, monkeypatch, capsys):
    from vlfusion.cli import main
    monkeypatch.setitem(sys.modules, 'ray', None)
    draw_pairs(tmp_path, ['p'], size=(40, 48))
    assert main(['evaluate', str(tmp_path / 'ir'), '--source-a', str(tmp_path / 'ir'), '--source-b',
                 str(tmp_path / 'vi'), '--out', str(tmp_path / 'scores.csv'), '--ray']) == 2
    assert "pip install 'vlfusion[ray]'" in capsys.readouterr().err


def test_a_number_of_workers_below_one():
    with pytest.raises(ConfigError, match='at least one worker, but got 0'):
        Cluster(workers=0)


def test_a_folder_is_no_address(capsys):
    from vlfusion.cli import main
    with pytest.raises(SystemExit):
        main(['fuse', 'laplacian', '--ray', 'IR/', 'VI/', '-o', 'out'])
    assert 'put --ray after the folders' in capsys.readouterr().err
