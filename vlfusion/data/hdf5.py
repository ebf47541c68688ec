"""FILM's HDF5 files. The groups `imageA`, `imageB` and `text` hold one array for every name.

Images are `(1, h, w)` luminance in [0, 1], text features `(1, token, dim)`. A name with a slash, such as `PET-MRI/12`,
is in a subgroup.
"""

import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float

from vlfusion.data.dataset import FusionDataset, padded_length, require_own_text
from vlfusion.data.names import require_names
from vlfusion.data.text import pad, require_finite
from vlfusion.data.transforms import maps_in
from vlfusion.errors import DataError, listing
from vlfusion.files import whole
from vlfusion.guards.foreign import foreign
from vlfusion.registry import DATASETS

IMAGE_A, IMAGE_B, TEXT = 'imageA', 'imageB', 'text'
REMEDY = 'Write the file again: `vlfusion prepare-data hdf5 CONFIG --out FILE.h5`.'
#: Largest number of values of one array. A file of a few bytes can claim an array of any size.
MOST_VALUES = 2 ** 30
#: Largest depth of nested groups.
DEEPEST = 32


@DATASETS.register_module()
class Hdf5PairDataset(FusionDataset):
    """The pairs of one HDF5 file, as samples like those of a `PairDataset`.

    Args:
        path: the file.
        task: name of the task, such as `ivf`.
        pipeline: configs of transforms. Images are already loaded, so `LoadPair` is left out.
        read_text: True if samples include text.
        text_length: number of rows to pad text to; None uses the longest text of the file.
        name: name of the data set in results; by default the stem of `path`.
        text_policy: only `own`, since the file holds each pair's own text.

    Attributes:
        names: names of the pairs, sorted.

    Raises:
        DataError: the file is absent or truncated, a group is missing, the groups differ in names or shapes, or an
            array does not hold plain numbers in this file; names every problem.
    """

    def __init__(self, path: str | os.PathLike, task: str, pipeline: Sequence[dict] = (), read_text: bool = True,
                 text_length: int | None = None, name: str | None = None,
                 text_policy: str | Mapping = 'own'):
        super().__init__(task, name or Path(path).stem, pipeline)
        self.path = Path(path)
        require_own_text(text_policy, self.path)
        groups = (IMAGE_A, IMAGE_B, TEXT) if read_text else (IMAGE_A, IMAGE_B)
        with foreign(f'{self.path} is damaged', DataError, REMEDY), _opened(self.path) as file:
            shapes = _shapes(file, groups)
        _check(self.path, shapes)
        self.names = sorted(shapes[IMAGE_A])
        require_names(self.names, self.path, REMEDY)
        if read_text:
            self.text_dims = {'text': shapes[TEXT][self.names[0]][-1]}
            self.text_length = padded_length(text_length, max(shape[-2] for shape in shapes[TEXT].values()))
        self._file, self._process = None, None

    def __len__(self) -> int:
        return len(self.names)

    def record(self, index: int) -> dict:
        name = self.names[index]
        record = dict(name=name, path_a=f'{self.path}:{IMAGE_A}/{name}', path_b=f'{self.path}:{IMAGE_B}/{name}',
                      img_a=self._read(IMAGE_A, name), img_b=self._read(IMAGE_B, name))
        for image in (record['img_a'], record['img_b']):
            if not (image.min() >= 0 and image.max() <= 1):
                raise DataError(f'{name} in {self.path} has values from {image.min():g} to {image.max():g}; expected '
                                'luminance in [0, 1].', REMEDY)
        if self.text_dims:
            text = require_finite(self._read(TEXT, name), f'{TEXT}/{name} in {self.path}', REMEDY)
            record['text'], record['text_mask'] = pad(text, self.text_length)
        return record

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_file': None, '_process': None}

    def _read(self, group: str, name: str) -> Float[np.ndarray, 'rows columns']:
        if self._process != os.getpid():
            # A forked worker must not share its parent's handle, because both would move one file position.
            if self._file is not None:
                self._file.close()
            self._file, self._process = h5py.File(self.path, 'r'), os.getpid()
        # h5py's low-level interface is used: `self._file[group][name][()]` takes 1.7 times as long for FILM's arrays.
        with foreign(f'{group}/{name} in {self.path} cannot be read', DataError, REMEDY):
            stored = h5py.h5d.open(self._file.id, f'{group}/{name}'.encode())
            array = np.empty(stored.shape, stored.dtype)
            stored.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
        return array.reshape(array.shape[-2:]).astype(np.float32, copy=False)


def write_hdf5(path: str | os.PathLike, samples: Iterable[Mapping]) -> None:
    """Write the samples of a data set in FILM's layout. The file is either complete or absent.

    Args:
        path: the file to write; missing folders are made.
        samples: samples with `name`, `source_a`, `source_b`, and optionally `text` and `text_mask`. Padding is not
            written.

    Raises:
        DataError: a sample has several texts, a true image or a map, which the layout cannot hold.
    """
    with whole(path) as temporary, _OutputFile(temporary) as output:
        with h5py.File(output, 'w') as file:
            for sample in samples:
                require_names([sample['name']], 'The data set', 'Rename the files of the pair.')
                homeless = [key for key in sample if f'{key}_mask' in sample and key != 'text' or key == 'truth']
                if homeless := homeless + maps_in(sample):
                    raise DataError(f'FILM\'s HDF5 layout has no place for {" and ".join(homeless)}.',
                                    'Write a data set without truth and maps, with a single text named text.')
                file[f'{IMAGE_A}/{sample["name"]}'] = sample['source_a'].numpy()
                file[f'{IMAGE_B}/{sample["name"]}'] = sample['source_b'].numpy()
                if 'text' in sample:
                    file[f'{TEXT}/{sample["name"]}'] = sample['text'][sample['text_mask']][None].numpy()
                output.raise_error()
        output.raise_error()


class _OutputFile(io.FileIO):
    """A file for HDF5 to write that hides errors from it, because HDF5 crashes when it closes a file on a full disk.

    After the first error, or Ctrl-C, nothing more is written, and `raise_error` raises it.
    """

    def __init__(self, path: Path):
        super().__init__(path, 'w+')
        self._error: BaseException | None = None

    def write(self, content: Any) -> int:
        content = memoryview(content).cast('B')
        written = 0
        try:
            while self._error is None and written < len(content):
                written += super().write(content[written:])
        except BaseException as error:
            self._error = error
        return len(content)

    def truncate(self, size: int | None = None) -> int:
        try:
            if self._error is None:
                super().truncate(size)
        except BaseException as error:
            self._error = error
        return size or 0

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    try:
        file = h5py.File(path, 'r')
    except FileNotFoundError as error:
        raise DataError(f'There is no file {path.absolute()}.', REMEDY) from error
    except OSError as error:
        raise DataError(f'{path} is not an HDF5 file, or is truncated: {error}.', REMEDY) from error
    with file:
        yield file


def _shapes(file: h5py.File, groups: Sequence[str]) -> dict[str, dict[str, tuple[int, ...]]]:
    """Return the shapes of the arrays of each group, by name.

    Raises:
        DataError: a group is missing, or holds links or anything else than arrays of numbers.
    """
    present = list(file)  # unlike `in`, a list follows no link
    missing = [group for group in groups if group not in present]
    if missing:
        raise DataError(f'{file.filename} has no group {" or ".join(missing)}; it holds '
                        f'{", ".join(present) or "nothing"}.', f'{REMEDY} Set read_text=False if text is not needed.')
    arrays, problems = {group: {} for group in groups}, []
    for group in groups:
        for name, array, problem in _walk(file, group, set()):
            problems += [f'{name} {problem}'] if problem else []
            if array is not None:
                arrays[group][name.partition('/')[2]] = array.shape
    if problems:
        raise DataError(f'{file.filename} cannot be used:\n{listing(problems)}', REMEDY)
    return arrays


def _walk(parent: h5py.Group, key: str, seen: set[int],
          path: str = '') -> Iterator[tuple[str, h5py.Dataset | None, str]]:
    """Yield the arrays at or below an entry of a group, with their names and problems. Links are not followed."""
    path = f'{path}{key}'
    if not isinstance(parent.get(key, getlink=True), h5py.HardLink):
        yield path, None, 'is a link to another place'
        return
    item = parent[key]
    if isinstance(item, h5py.Dataset):
        yield path, item, _dataset_problem(item)
    elif not isinstance(item, h5py.Group):
        yield path, None, 'is neither an array nor a group'
    elif (place := h5py.h5o.get_info(item.id).addr) in seen or path.count('/') > DEEPEST:
        yield path, None, 'is a group inside itself, linked twice or too deep'
    else:
        seen.add(place)
        for name in item:
            yield from _walk(item, name, seen, f'{path}/')


def _dataset_problem(array: h5py.Dataset) -> str:
    """Say why an array cannot be read; empty if it holds plain numbers in this file."""
    if array.external or array.is_virtual:
        return 'lies in another file'
    if array.dtype.kind not in 'fiu':
        return f'holds {array.dtype}; expected numbers'
    if not array.shape or not array.size:
        return f'has the shape {array.shape}, which holds no values'
    if array.size > MOST_VALUES:
        return f'claims {array.shape}, {array.size} values; expected at most {MOST_VALUES}'
    return '' if array.id.get_storage_size() else 'holds no values: nothing was ever written'


def _check(path: Path, shapes: dict[str, dict[str, tuple[int, ...]]]) -> None:
    every = set().union(*shapes.values())
    problems = [] if every else ['no pairs at all']
    widths = {shape[-1] for shape in shapes.get(TEXT, {}).values() if shape}
    for name in sorted(every):
        problems += [f'{name} is not in {group}' for group, arrays in shapes.items() if name not in arrays]
        present = {group: arrays[name] for group, arrays in shapes.items() if name in arrays}
        problems += [f'{group}/{name} has the shape {shape}; expected two axes, or three axes with a first of length 1'
                     for group, shape in present.items() if len(shape) not in (2, 3) or shape[:-2] not in ((), (1,))]
        if IMAGE_A in present and IMAGE_B in present and present[IMAGE_A][-2:] != present[IMAGE_B][-2:]:
            problems.append(f'{name} has the shape {present[IMAGE_A]} in {IMAGE_A} but {present[IMAGE_B]} in {IMAGE_B}')
    if len(widths) > 1:
        problems.append(f'text features have different widths: {", ".join(map(str, sorted(widths)))}')
    if problems:
        raise DataError(f'{path} cannot be used:\n{listing(problems, len(problems))}', REMEDY)
