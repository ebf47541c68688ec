"""Many pairs on their way: in order, in batches of one size, with what fails named or passed over."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from vlfusion.data.pairs import Pair
from vlfusion.errors import DataError
from vlfusion.imaging.picture import Fused
from vlfusion.inference.flow import Steps, flow

PAIRS = [Pair(f'p{index}', Path('a.png'), Path('b.png')) for index in range(7)]


@dataclass
class Loaded:
    pair: Pair
    kind: tuple[int, int]


class Work:
    """Steps that note what they were given; every third pair has another size."""

    def __init__(self, most=10, broken=()):
        self.most, self.broken, self.batches = most, broken, []
        self.steps = Steps(self.load, self.fuse, self.finish)

    def load(self, pair):
        if pair.name in self.broken:
            raise DataError('Cannot decode it.', 'Copy it again.')
        return Loaded(pair, (4, 5) if int(pair.name[1:]) % 3 else (6, 4))

    def fuse(self, loaded):
        self.batches.append([item.pair.name for item in loaded])
        assert len({item.kind for item in loaded}) == 1
        return torch.cat([torch.full((1, 1, *item.kind), float(item.pair.name[1:])) for item in loaded[:self.most]])

    def finish(self, loaded, output):
        if loaded.pair.name == 'p0':
            time.sleep(0.05)  # the others are done before it
        image = np.full(loaded.kind, output.mean().item(), np.uint8)
        return Fused(loaded.pair.name, image, image)


@pytest.mark.parametrize('most', [1, 2, 10])
@pytest.mark.parametrize('batch_size', [1, 3])
def test_results_come_in_order_each_from_its_own_pair(batch_size, most):
    results = list(flow(PAIRS, Work(most).steps, batch_size=batch_size))
    assert [(fused.name, fused.grey.flat[0]) for fused in results] == [(f'p{index}', index) for index in range(7)]


def test_threads_keep_the_current_gpu(monkeypatch):
    """CUDA lets each thread begin with the first GPU."""
    current = threading.local()
    monkeypatch.setattr('torch.cuda.is_initialized', lambda: True)
    monkeypatch.setattr('torch.cuda.current_device', lambda: getattr(current, 'gpu', 0))
    monkeypatch.setattr('torch.cuda.set_device', lambda gpu: setattr(current, 'gpu', gpu))
    torch.cuda.set_device(1)
    work, seen = Work(), []

    def seeing(step):
        return lambda *args: seen.append((threading.get_ident(), torch.cuda.current_device())) or step(*args)

    list(flow(PAIRS, Steps(seeing(work.load), work.fuse, seeing(work.finish))))
    assert {gpu for _, gpu in seen} == {1} and threading.get_ident() not in dict(seen)


def test_pairs_of_one_size_are_fused_together():
    work = Work()
    list(flow(PAIRS, work.steps, batch_size=2))
    assert max(map(len, work.batches)) == 2 and sorted(sum(work.batches, [])) == [pair.name for pair in PAIRS]


def test_what_memory_leaves_over_is_fused_later():
    work = Work(most=1)
    list(flow(PAIRS, work.steps, batch_size=3))
    assert len(work.batches) == 7


def test_one_pair_alone_takes_the_same_steps():
    assert Work().steps.of_one(PAIRS[2]).grey.tolist() == next(flow(PAIRS[2:], Work().steps)).grey.tolist()


def test_a_failure_is_raised_with_its_name_after_the_results_before_it():
    names = []
    with pytest.raises(DataError, match='p3: Cannot decode'):
        for fused in flow(PAIRS, Work(broken=['p3']).steps, batch_size=2):
            names.append(fused.name)
    assert names == ['p0', 'p1', 'p2']


def test_the_others_go_on_where_failures_are_taken():
    failed = {}
    results = flow(PAIRS, Work(broken=['p0', 'p3']).steps, batch_size=2, failed=lambda pair, error: failed.update(
        {pair.name: error.problem}))
    assert [fused.name for fused in results] == ['p1', 'p2', 'p4', 'p5', 'p6']
    assert failed == {'p0': 'p0: Cannot decode it.', 'p3': 'p3: Cannot decode it.'}


def test_an_error_that_is_no_fault_of_the_data_is_always_raised():
    work = Work()
    work.steps = Steps(work.load, lambda loaded: 1 / 0, work.finish)
    with pytest.raises(ZeroDivisionError) as error:
        list(flow(PAIRS, work.steps, failed=lambda *_: None))
    assert error.value.__notes__ == ['while fusing p0']
