"""The endless order of training samples. Seed and position alone determine it, so resuming is exact."""

from collections.abc import Iterator, Sized
from itertools import count
from typing import NamedTuple

import numpy as np
import torch
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from vlfusion.registry import DATA_SAMPLERS


class Draw(NamedTuple):
    """One sample to fetch: its index in the data set, and the 32-bit seed of its augmentation."""

    index: int
    seed: int


@DATA_SAMPLERS.register_module()
class EpochSampler(Sampler[Draw]):
    """Draws every sample once per epoch, for endless epochs, as a training loop that counts iterations needs.

    The position of a draw, counted over all epochs and ranks, determines the sample and the seed of its augmentation.
    No random state must be saved: to resume, set `start` and iterate again. Rank r of w takes positions r, r + w, ...

    >>> sampler = EpochSampler(range(3), seed=0)
    >>> draws = iter(sampler)
    >>> first = [next(draws) for _ in range(6)]
    >>> sorted(draw.index for draw in first[:3])
    [0, 1, 2]
    >>> sampler.start = 4
    >>> next(iter(sampler)) == first[4]
    True

    Args:
        dataset: the data set, which must accept a `Draw` as index, as those of vlfusion do.
        shuffle: True for a new random order in each epoch; False for the order of the data set.
        seed: seed, equal on all ranks; None draws one and shares it.

    Attributes:
        start: number of draws to skip, over all ranks, at no cost. To resume, it is set to finished iterations x batch
            size x number of ranks.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None):
        self.size = len(dataset)
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self.rank, self.world_size = get_dist_info()
        self.start = 0

    def __iter__(self) -> Iterator[Draw]:
        epoch = order = None
        for position in count(self.start + self.rank, self.world_size):
            if position // self.size != epoch:
                epoch = position // self.size
                order = self._order(epoch)
            index = order[position % self.size]
            yield Draw(index, int(np.random.SeedSequence((self.seed, epoch, index)).generate_state(1)[0]))

    def __len__(self) -> int:
        """Return the number of samples of one epoch over all ranks."""
        return self.size

    def _order(self, epoch: int) -> list[int]:
        if not self.shuffle:
            return list(range(self.size))
        return torch.randperm(self.size, generator=torch.Generator().manual_seed(self.seed + epoch)).tolist()
