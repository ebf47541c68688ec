"""Workers give their results in order, are not asked too far ahead, and have one thread of torch each."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import torch

from vlfusion.system.workers import in_order, one_thread_each


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
