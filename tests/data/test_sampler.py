"""Samplers give each sample once an epoch, in an order that depends on the seed alone."""

from itertools import islice

import pytest

from vlfusion.data.sampler import Draw, EpochSampler
from vlfusion.registry import DATA_SAMPLERS


def draws(count, start=0, size=5, **options):
    sampler = EpochSampler(range(size), **{'seed': 3, **options})
    sampler.start = start
    return list(islice(sampler, count))


def test_each_epoch_has_every_sample_once_in_an_order_of_its_own():
    epochs = [[draw.index for draw in draws(30)[start:start + 5]] for start in range(0, 30, 5)]
    assert all(sorted(epoch) == [0, 1, 2, 3, 4] for epoch in epochs)
    assert len(set(map(tuple, epochs))) > 3
    assert [draw.index for draw in draws(7, shuffle=False)] == [0, 1, 2, 3, 4, 0, 1]


def test_seeds_differ_by_sample_epoch_and_run():
    seeds = [draw.seed for draw in draws(25)]
    assert len(set(seeds)) == 25
    assert not set(seeds) & {draw.seed for draw in draws(25, seed=4)}
    assert all(0 <= seed < 2 ** 32 for seed in seeds)


def test_stable_across_releases():
    """A change of these numbers breaks the resuming of every run begun before it."""
    assert draws(2) == [Draw(1, 3578933982), Draw(0, 1576890651)]


@pytest.mark.parametrize('start', [1, 5, 13])
def test_start_skips_exactly(start):
    assert draws(9, start) == draws(start + 9)[start:]


def test_ranks_share_the_draws(monkeypatch):
    def of_rank(rank, start=0):
        monkeypatch.setattr('vlfusion.data.sampler.get_dist_info', lambda: (rank, 3))
        return draws(8, start)
    alone = draws(24)
    assert [draw for row in zip(*map(of_rank, range(3)), strict=True) for draw in row] == alone
    assert of_rank(1, start=6)[:6] == of_rank(1)[2:]


def test_built_as_mmengine_builds_it():
    sampler = DATA_SAMPLERS.build(dict(type='EpochSampler'), default_args=dict(dataset=range(5), seed=None))
    assert len(sampler) == 5 and isinstance(sampler.seed, int)
