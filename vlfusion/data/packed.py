"""The packed form: all pairs of a data set in one file that is mapped into memory, of the safetensors format.

    source_a/NAME, source_b/NAME, truth/NAME   (h, w) grey levels, uint8 or uint16; or float32 in [0, 1]
    text/NAME, instruction/NAME, ...           (token, dim) float32 without padding, each text by its name

The file's `__metadata__` holds strings: `vlfusion.pairs`, the version of this layout; `task`; `names`, a JSON list in
the order of the data set; and `same`, a JSON dict from the key of each array that was left out, because an earlier one
equals it, to the key of that one. So a text that all pairs share is there once.
"""

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from hashlib import sha256
from itertools import accumulate
from mmap import ACCESS_READ, mmap
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from safetensors import SafetensorError, safe_open

from vlfusion.data.dataset import FusionDataset, padded_length, require_own_text
from vlfusion.data.names import require_names
from vlfusion.data.text import pad, require_finite
from vlfusion.data.transforms import PARTS
from vlfusion.errors import ConfigError, DataError, did_you_mean, listing
from vlfusion.files import whole
from vlfusion.imaging.tasks import TASKS
from vlfusion.registry import DATASETS

LAYOUT, VERSION = 'vlfusion.pairs', '1'
#: What arrays may hold, by safetensors' names, the widest first: so each begins at a multiple of its own width.
DTYPES = {'F32': np.dtype('<f4'), 'U16': np.dtype('<u2'), 'U8': np.dtype('u1')}
REMEDY = 'Write the file again: `vlfusion prepare-data pack CONFIG --out FILE.safetensors`.'


@DATASETS.register_module()
class PackedPairDataset(FusionDataset):
    """The pairs of one packed file, as the same samples in the same order that they were packed from.

    A sample costs little more than the memory it fills. The file is mapped, so processes share what is in memory.

    Args:
        path: the file, as `write_packed` writes it.
        task: the name of the task, such as `ivf`; None takes the file's word for it.
        pipeline: configs of transforms; images are there from the start, so `LoadPair` is not among them.
        read_text: whether samples carry their texts.
        text_length: the number of rows to pad text to, or a dict of them by the names of the texts; None takes the
            longest of the file.
        name: what the data set is called in results; by default the stem of `path`.
        text_policy: nothing but `own`, for the file holds each pair's own text.

    Attributes:
        names: of the pairs, in their order.

    Raises:
        DataError: the file is absent, truncated or another kind of file, or arrays are missing or have wrong shapes;
            every offender is named. Headers are read, not images.
        ConfigError: the file is of another task, or `text_length` does not fit.
    """

    def __init__(self, path: str | os.PathLike, task: str | None = None, pipeline: Sequence[dict] = (),
                 read_text: bool = True, text_length: int | Mapping[str, int] | None = None, name: str | None = None,
                 text_policy: str | Mapping = 'own'):
        self.path = Path(path)
        require_own_text(text_policy, self.path)
        notes, self._arrays = _read_header(self.path)
        if task not in (None, notes['task']):
            raise ConfigError(f'{self.path} holds pairs of the task {notes["task"]}, not {task}.',
                              f"Set task='{notes['task']}', or path to a file of the other task.")
        super().__init__(notes['task'], name or self.path.stem, pipeline)
        self.names = notes['names']
        shapes = _shapes(self.path, self.names, self._arrays)
        self._images = {f'img_{part}': key for part, key in PARTS.items() if key in shapes}
        texts = [key for key in shapes if key not in PARTS.values()] if read_text else []
        if isinstance(text_length, Mapping) and (unknown := text_length.keys() - set(texts)):
            raise ConfigError(f'text_length names {min(unknown)!r}, but the data set reads no such text.',
                              did_you_mean(min(unknown), texts))
        self.text_dims, self.text_lengths = {}, {}
        for key in texts:
            self.text_dims[key] = shapes[key][0][1]
            wanted = text_length.get(key) if isinstance(text_length, Mapping) else text_length
            self.text_lengths[key] = padded_length(wanted, max(rows for rows, _ in shapes[key]))

    def __len__(self) -> int:
        return len(self.names)

    def record(self, index: int) -> dict:
        name = self.names[index]
        record = dict(name=name, path_a=f'{self.path}:source_a/{name}', path_b=f'{self.path}:source_b/{name}')
        for image, key in self._images.items():
            record[image] = _luminance(self._array(f'{key}/{name}'))
            if not (record[image].min() >= 0 and record[image].max() <= 1):
                raise DataError(f'{key}/{name} in {self.path} leaves [0, 1], or holds NaN.', REMEDY)
        for key, length in self.text_lengths.items():
            text = require_finite(self._array(f'{key}/{name}'), f'{key}/{name} in {self.path}', REMEDY)
            record[key], record[f'{key}_mask'] = pad(text, length)
        return record

    def __getstate__(self) -> dict:
        return {key: value for key, value in self.__dict__.items() if key != '_memory'}

    def _array(self, key: str) -> Shaped[np.ndarray, 'rows columns']:
        """A view into the file, which cannot be written to."""
        dtype, shape, start = self._arrays[key]
        return np.ndarray(shape, dtype, self._memory, start)

    @cached_property
    def _memory(self) -> mmap:
        # Forked workers may share it: unlike a file, it has no position.
        with self.path.open('rb') as file:
            return mmap(file.fileno(), 0, access=ACCESS_READ)


def write_packed(path: str | os.PathLike, samples: Iterable[Mapping], task: str) -> dict[str, str]:
    """Write samples, as a data set makes them, to a packed file that gives them back to the bit.

    Images become 8-bit grey levels where these give the same values, else 16-bit ones; where neither do, such as after
    a resize, they stay float32. Memory holds one sample at a time. The bytes wait in temporary files beside `path`
    until the header is known, so for a moment the disk holds them twice; the file appears whole or not at all.

    Args:
        path: the file to write; folders are made.
        samples: each with `name`, `source_a`, `source_b`, perhaps `truth`, and texts with their masks; before any
            random augmentation. Padding is not written.
        task: the name of the task, such as `ivf`.

    Returns:
        What each kind of array was stored as: `{'source_a': 'uint8', 'source_b': 'float32 and uint8', ...}`.

    Raises:
        DataError: values are not in [0, 1], or two samples have one name.
    """
    path = Path(path)
    names, same, known, places, stored = {}, {}, {}, {}, defaultdict(set)
    with whole(path) as temporary, ExitStack() as stack:
        spools = {kind: stack.enter_context(TemporaryFile(dir=path.parent)) for kind in DTYPES}
        for sample in samples:
            name = sample['name']
            require_names([name], 'The data set', 'Rename the files of the pair.')
            if name in names:
                raise DataError(f'Two pairs are called {name}.', 'Give each a name of its own, as subsets do.')
            names[name] = None
            for key, array in _arrays(sample):
                [kind] = [kind for kind, dtype in DTYPES.items() if dtype == array.dtype]
                stored[key].add(array.dtype.name)
                key, content = f'{key}/{name}', (kind, array.shape, sha256(array).digest())
                if known.setdefault(content, key) != key:
                    same[key] = known[content]
                else:
                    places[key] = kind, array.shape, spools[kind].tell(), array.nbytes
                    spools[kind].write(array)
        notes = {LAYOUT: VERSION, 'task': task, 'names': json.dumps(list(names)), 'same': json.dumps(same)}
        with temporary.open('wb') as file:
            file.write(_header(notes, places, {kind: spool.tell() for kind, spool in spools.items()}))
            for spool in spools.values():
                spool.seek(0)
                shutil.copyfileobj(spool, file)
    return {key: ' and '.join(sorted(kinds)) for key, kinds in stored.items()}


def _header(notes: dict, places: dict, sizes: dict[str, int]) -> bytes:
    """Beginning of a safetensors file: the length of a JSON dict in 8 bytes, and that dict, filled up with spaces.

    Args:
        notes: the strings of `__metadata__`.
        places: of each array by its key, its type, shape, first byte among those of its type, and size in bytes.
        sizes: the bytes of each type, in their order.
    """
    before = dict(zip(sizes, accumulate(sizes.values(), initial=0), strict=False))
    header = json.dumps({'__metadata__': notes} | {
        key: dict(dtype=kind, shape=shape, data_offsets=(before[kind] + start, before[kind] + start + size))
        for key, (kind, shape, start, size) in places.items()}).encode()
    header += b' ' * (-len(header) % 8)
    return len(header).to_bytes(8, 'little') + header


def _arrays(sample: Mapping) -> Iterator[tuple[str, Shaped[np.ndarray, 'rows columns']]]:
    """Arrays of a sample with their names: images as few bytes as do, texts without their padding."""
    for key in ('source_a', 'source_b', *(['truth'] if 'truth' in sample else [])):
        image = sample[key][0].numpy()
        if not (image.min() >= 0 and image.max() <= 1):
            raise DataError(f'{key} of {sample["name"]} has values from {image.min():g} to {image.max():g}; expected '
                            'luminance in [0, 1].', 'Correct the data set that is packed.')
        levels = (np.rint(image * np.iinfo(dtype).max).astype(dtype) for dtype in (np.uint8, np.uint16))
        yield key, next((grey for grey in levels if np.array_equal(_luminance(grey), image)), image)
    for key in [key for key in sample if f'{key}_mask' in sample]:
        yield key, sample[key][sample[f'{key}_mask']].numpy()


def _luminance(stored: Shaped[np.ndarray, 'h w']) -> Float[np.ndarray, 'h w']:
    """Luminance as `vlfusion.imaging.images.luminance` makes it of grey levels; never a view."""
    if stored.dtype == np.float32:
        return stored.copy()
    return np.divide(stored, np.float32(np.iinfo(stored.dtype).max), dtype=np.float32)


def _read_header(path: Path) -> tuple[dict[str, Any], dict[str, tuple]]:
    """The task and names of a packed file, and the type, shape and first byte of every array by its key."""
    try:
        with safe_open(path, 'np'), path.open('rb') as file:  # safetensors checks that all sizes fit together
            length = int.from_bytes(file.read(8), 'little')
            header = json.loads(file.read(length))
    except FileNotFoundError as error:
        raise DataError(f'There is no file {path.absolute()}.', REMEDY) from error
    except (OSError, SafetensorError) as error:
        raise DataError(f'{path} is not a safetensors file, or is truncated: {error}.', REMEDY) from error
    notes = header.pop('__metadata__', {})
    if notes.get(LAYOUT) != VERSION:
        raise DataError(f'{path} is not a packed data set of version {VERSION}: {LAYOUT} is {notes.get(LAYOUT)} in its '
                        'metadata.', REMEDY)
    if notes.get('task') not in TASKS:
        raise DataError(f'{path} is of the task {notes.get("task")!r}; expected {", ".join(TASKS)}.', REMEDY)
    names, same = _json_note(path, notes, 'names', list), _json_note(path, notes, 'same', dict)
    require_names(names, path, REMEDY)
    if odd := [key for key, other in same.items() if not isinstance(other, str)]:
        raise DataError(f'{path} does not say which array equals {odd[0]}: expected a name, got {same[odd[0]]!r}.',
                        REMEDY)
    arrays = {key: (DTYPES.get(entry['dtype']), tuple(entry['shape']), 8 + length + entry['data_offsets'][0])
              for key, entry in header.items()}
    return (dict(task=notes['task'], names=names),
            arrays | {key: arrays[other] for key, other in same.items() if other in arrays})


def _json_note(path: Path, notes: Mapping[str, str], key: str, kind: type) -> Any:
    """One entry of the metadata, which holds JSON; raises DataError where it is not that, or of another kind."""
    try:
        value = json.loads(notes.get(key, ''))
    except (ValueError, RecursionError) as error:
        raise DataError(f'{path} holds no {key} that can be read: {error}.', REMEDY) from error
    if not isinstance(value, kind):
        raise DataError(f'{path} holds {key} as a {type(value).__name__}; expected a {kind.__name__}.', REMEDY)
    return value


def _shapes(path: Path, names: Sequence[str], arrays: Mapping[str, tuple]) -> dict[str, list[tuple[int, int]]]:
    """The shapes of the arrays of each kind, such as `source_a` or `text`, in the order of the pairs."""
    keys = dict.fromkeys(('source_a', 'source_b', *(key.partition('/')[0] for key in arrays)))
    shapes, problems = {key: [] for key in keys}, [] if names else ['no pairs at all']
    for name in names:
        sizes = {}
        for key in keys:
            dtype, shape, _ = arrays.get(f'{key}/{name}', (None, None, None))
            allowed = DTYPES.values() if key in PARTS.values() else [DTYPES['F32']]
            if shape is None:
                problems.append(f'{name} has no {key}')
            elif len(shape) != 2 or 0 in shape or dtype not in allowed:
                problems.append(f'{key}/{name} is {dtype or "of another type"} {shape}; expected two axes of '
                                f'{" or ".join(map(str, allowed))}')
            else:
                shapes[key].append(shape)
                sizes |= {key: shape} if key in PARTS.values() else {}
        if len(set(sizes.values())) > 1:
            problems.append(f'{name} has images of different shapes: '
                            f'{", ".join(f"{key} {shape}" for key, shape in sizes.items())}')
    for key in keys.keys() - PARTS.values():
        if len(widths := {width for _, width in shapes[key]}) > 1:
            problems.append(f'{key} features have different widths: {", ".join(map(str, sorted(widths)))}')
    if problems:
        raise DataError(f'{path} cannot be used:\n{listing(problems, len(problems))}', REMEDY)
    return shapes
