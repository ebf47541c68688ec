"""Workers give their results in order, are not asked too far ahead, and have one thread of torch each."""

import gc
import itertools
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.autograd.profiler import profile
from torch.utils.flop_counter import FlopCounterMode

from vlfusion.system.workers import in_order, one_thread_each, side_by_side


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_come_in_the_order_of_the_items():
    last_is_done = threading.Event()

    def work(item):
        if item == 3:
            last_is_done.set()
        assert last_is_done.wait(20)
        return item ** 2

    with ThreadPoolExecutor(4) as pool:
        assert list(in_order(pool, work, range(4), 4)) == [0, 1, 4, 9]


def test_an_endless_list_is_read_no_further_than_ahead():
    taken = []
    items = (taken.append(item) or item for item in itertools.count())
    with ThreadPoolExecutor(1) as pool:
        results = in_order(pool, lambda item: -item, items, 3)
        assert [next(results) for _ in range(2)] == [0, -1]
    assert len(taken) <= 2 + 3


def test_the_number_of_threads_comes_back():
    before = torch.get_num_threads()
    with one_thread_each():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_two_are_computed_at_a_time_with_one_thread_each(two_threads):
    both = threading.Barrier(2, timeout=20)

    def work(item):
        both.wait()
        return item, torch.get_num_threads(), threading.get_ident()

    items, threads, workers = zip(*side_by_side(work, range(6)), strict=True)
    assert items == tuple(range(6)) and set(threads) == {1}
    assert len(set(workers)) == 2 and threading.get_ident() not in workers
    assert torch.get_num_threads() == 2, 'the caller keeps its own'


def test_where_no_thread_can_be_started_the_caller_computes(two_threads, monkeypatch):
    torch.set_num_threads(7)  # of which no other test makes a team
    start, started = threading.Thread.start, []

    def limited(thread):
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, 'start', limited)
    caller = threading.get_ident()
    assert list(side_by_side(lambda _: threading.get_ident(), range(3))) == 3 * [caller]
    monkeypatch.undo()
    gc.collect()  # of the pool, which its thread then leaves
    started[0].join(20)
    assert not started[0].is_alive()
    assert torch.get_num_threads() == 7 and caller not in side_by_side(lambda _: threading.get_ident(), range(3))


AFTER_MAIN = """
import threading
import torch
from vlfusion.system.workers import side_by_side
torch.set_num_threads(2)

def work():
    results = side_by_side(abs, range(-9, 0)){begin}
    threading.main_thread().join()
    print(sum(results))

threading.Thread(target=work).start()
"""


@pytest.mark.slow
@pytest.mark.parametrize('begin', ['', '; print(next(results))'])
def test_a_thread_that_outlives_the_main_thread_computes_itself(begin):
    done = subprocess.run([sys.executable, '-c', AFTER_MAIN.format(begin=begin)], capture_output=True, text=True,
                          check=True)
    assert sum(map(int, done.stdout.split())) == 45


def test_workers_have_the_modes_of_the_caller(two_threads):
    def modes(_):
        return (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled('cpu'),
                torch.get_autocast_dtype('cpu'))
    with torch.no_grad(), torch.autocast('cpu', torch.float16):
        assert set(side_by_side(modes, range(4))) == {(False, False, True, torch.float16)}
    with torch.inference_mode():
        assert set(side_by_side(modes, range(4))) == {(False, True, False, torch.bfloat16)}
    assert set(side_by_side(modes, range(4))) == {(True, False, False, torch.bfloat16)}


def test_an_error_of_a_worker_reaches_the_caller(two_threads):
    with pytest.raises(ZeroDivisionError):
        list(side_by_side(lambda item: 1 / item, [2, 1, 0]))
    assert list(side_by_side(lambda item: item + 1, range(3))) == [1, 2, 3], 'the workers go on'


def test_after_an_error_no_further_item_is_begun():
    begun, failed = [], threading.Event()

    def work(item):
        begun.append(item)
        if item == 0:
            raise KeyError
        assert failed.wait(20)

    with ThreadPoolExecutor(2) as pool:
        with pytest.raises(KeyError):
            list(in_order(pool, work, range(9), ahead=9))
        failed.set()
    assert set(begun) <= {0, 1, 2}


def test_a_counter_of_operations_sees_all(two_threads):
    matrix = torch.rand(4, 4)
    with FlopCounterMode(display=False) as counter:
        list(side_by_side(lambda _: matrix @ matrix, range(5)))
    assert counter.get_total_flops() == 5 * 2 * 4 ** 3


def test_a_profiler_sees_all(two_threads):
    matrix = torch.rand(4, 4)
    with profile() as record:
        list(side_by_side(lambda _: matrix @ matrix, range(5)))
    assert {event.key: event.count for event in record.key_averages()}['aten::matmul'] == 5


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='processes are not forked here')
@pytest.mark.filterwarnings('ignore:.*fork:DeprecationWarning')
def test_a_forked_process_gets_workers_of_its_own(two_threads):
    assert list(side_by_side(abs, [-1, -2])) == [1, 2]
    child = os.fork()
    if not child:
        os._exit(0 if list(side_by_side(abs, [-1, -2])) == [1, 2] else 1)
    assert os.waitpid(child, 0)[1] == 0
