"""Image pairs: tasks, pairing, data sets, transforms, text features."""

from vlfusion.data.dataset import PairDataset
from vlfusion.data.hdf5 import Hdf5PairDataset
from vlfusion.data.packed import PackedPairDataset
from vlfusion.data.pairs import Pair, find_pairs

__all__ = ['Hdf5PairDataset', 'PackedPairDataset', 'Pair', 'PairDataset', 'find_pairs']
