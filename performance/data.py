"""Measure the cost of reading a sample, and the time that training waits for data, in three forms of storage.

    python performance/data.py
    python performance/data.py --waiting --data-root data/mif/Harvard

The first command makes pairs as FILM stores them (float64, 288x384, text 149x768). The readers take turns to read them
in one random order, without a data loader. The second command uses the data loader of a training, and the loop sleeps
as long as a step would take on a GPU. Without --data-root its pairs are simulated. Its last line uses samples in
memory, so only the transfer of batches between processes remains.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sized
from pathlib import Path
from statistics import median

import h5py
import numpy as np
import torch
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from vlfusion.config import load_config
from vlfusion.data import Hdf5PairDataset, PackedPairDataset, PairDataset
from vlfusion.data.hdf5 import write_hdf5
from vlfusion.data.packed import write_packed
from vlfusion.data.sample import make_sample
from vlfusion.data.sampler import Draw

GROUPS, PACK = ('imageA', 'imageB', 'text'), [dict(type='PackPair')]
HARVARD = Path(__file__).parents[1] / 'configs/_base_/datasets/harvard.py'


def main() -> None:
    args = parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        if args.waiting:
            time_waiting(Path(folder), args)
        else:
            for levels in (True, False):
                time_readers(Path(folder), levels, args)


def time_readers(folder: Path, levels: bool, args: argparse.Namespace) -> None:
    film, packed = folder / 'film.h5', folder / 'film.safetensors'
    write_film(film, args.pairs, levels)
    source = Hdf5PairDataset(film, 'ivf', PACK)
    write_packed(packed, (source[index] for index in range(len(source))), 'ivf')
    kept, ours = h5py.File(film), PackedPairDataset(packed, 'ivf', PACK)
    if any(not torch.equal(ours[0][key], source[0][key]) for key in ('source_a', 'source_b', 'text')):
        raise SystemExit('The packed form returns different samples.')
    readers: dict[str, Callable[[int], object]] = {
        'file opened for each sample': lambda index: read_released(film, source.names[index]),
        'one kept handle, bare h5py': lambda index: [kept[group][source.names[index]][()] for group in GROUPS],
        'Hdf5PairDataset': source.__getitem__,
        'PackedPairDataset': ours.__getitem__}
    seconds = {name: [] for name in readers}
    for repeat in range(args.repeats + 1):
        order = np.random.default_rng(repeat).permutation(args.pairs)
        for name, read in readers.items():
            start = time.perf_counter()
            for index in order:
                read(index)
            if repeat:  # the first round fills the page cache
                seconds[name].append((time.perf_counter() - start) / args.pairs)
    print(f'{args.pairs} pairs, {"whole grey levels" if levels else "values between grey levels"}; HDF5 '
          f'{film.stat().st_size / args.pairs / 1e6:.2f} MB a sample, packed '
          f'{packed.stat().st_size / args.pairs / 1e6:.2f} MB; median and fastest of {args.repeats}')
    first, *_ = seconds.values()
    for name, values in seconds.items():
        print(f'{name:28} {median(values) * 1e3:6.3f} ms {min(values) * 1e3:6.3f} ms   opened each time / this = '
              f'{median(first) / median(values):.1f}, {min(first) / min(values):.1f}')


def write_film(path: Path, pairs: int, levels: bool) -> None:
    """Write pairs of noise in FILM's layout and types. With `levels`, all values are whole grey levels over 255."""
    random = np.random.default_rng(0)
    with h5py.File(path, 'w') as file:
        for index in range(pairs):
            for group in GROUPS[:2]:
                image = random.random((1, 288, 384))
                file[f'{group}/{index:05}'] = np.round(image * 255) / 255 if levels else image
            file[f'text/{index:05}'] = random.random((1, 149, 768), np.float32)


def read_released(path: Path, name: str) -> list[torch.Tensor]:
    """Read a sample as the released code does: it opens the file for each sample and copies the arrays."""
    with h5py.File(path, 'r') as file:
        return [torch.Tensor(np.array(file[group][name])) for group in GROUPS]


def time_waiting(folder: Path, args: argparse.Namespace) -> None:
    """Measure the time that a loop waits for batches of whole images, with texts as wide as MiniLM's."""
    folders = harvard_like(folder, args.data_root)
    samples = [folders[index] for index in range(len(folders))]
    write_hdf5(folder / 'film.h5', samples)
    write_packed(folder / 'packed.safetensors', samples, 'mif')
    datasets = {'folders': folders, 'HDF5': Hdf5PairDataset(folder / 'film.h5', 'mif', PACK),
                'packed': PackedPairDataset(folder / 'packed.safetensors', 'mif', PACK),
                'nothing': Ready(samples)}
    h, w = samples[0]['source_a'].shape[1:]
    print(f'{len(samples)} pairs of {h}x{w}; batches of {args.batch}, {args.workers} workers, {args.steps} steps')
    for step in args.step:
        for name, dataset in datasets.items():
            batches = load(dataset, args)
            next(batches)  # workers start
            waits = []
            for _ in range(args.steps):
                time.sleep(step)
                start = time.perf_counter()
                next(batches)
                waits.append(time.perf_counter() - start)
            print(f'step of {step * 1e3:5.1f} ms, {name:8} waits {sum(waits) / args.steps * 1e3:7.2f} ms a step, at '
                  f'most {max(waits) * 1e3:7.2f}: {sum(waits) / (sum(waits) + step * args.steps):6.2%} of the time')


class Ready:
    """Samples in memory."""

    def __init__(self, samples: list[dict]):
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, draw: Draw) -> dict:
        return self.samples[draw.index]


def harvard_like(folder: Path, data_root: str | None) -> PairDataset:
    """Return Harvard's training pairs, or 75 simulated ones of the same size, each with 40 to 80 random tokens."""
    if data_root:
        arguments = dict(subsets=load_config(HARVARD).train_dataloader.dataset.subsets)
    else:
        data_root, arguments = folder / 'sample/mif', dict(source_a='train/MRI', source_b='train/PET')
        make_sample(folder / 'sample', count=75, size=256)
    dataset = PairDataset('mif', data_root, **arguments, check=False)
    random = np.random.default_rng(0)
    for pair in dataset.pairs:
        path = folder / 'text' / f'{pair.name}.npy'
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, random.random((1, random.integers(40, 81), 384), np.float32))
    return PairDataset('mif', data_root, **arguments, check=False, pipeline=[dict(type='LoadPair'), *PACK],
                       text_source=dict(files=f'{folder}/text/{{name}}.npy'))


def load(dataset: Sized, args: argparse.Namespace) -> Iterator[dict]:
    with DefaultScope.overwrite_default_scope('vlfusion'):
        return iter(Runner.build_dataloader(dict(
            dataset=dataset, batch_size=args.batch, num_workers=args.workers, persistent_workers=args.workers > 0,
            drop_last=True, sampler=dict(type='EpochSampler'), collate_fn=dict(type='default_collate')), seed=0))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--pairs', type=int, default=1083, help='pairs in the HDF5 file (default: 1083, 2.4 GB)')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--folder', help='folder for temporary files')
    parser.add_argument('--waiting', action='store_true', help='measure a training loop instead of single samples')
    parser.add_argument('--data-root', help="Harvard's folder; by default pairs are simulated")
    parser.add_argument('--step', type=float, nargs='+', default=(0.2, 0.05, 0.02, 0), help='seconds of a step')
    parser.add_argument('--steps', type=int, default=100)
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--workers', type=int, default=2)
    return parser.parse_args()


if __name__ == '__main__':
    main()
