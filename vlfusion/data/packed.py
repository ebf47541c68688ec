"""The packed form: all pairs of a data set in one memory-mapped file of the safetensors format.

    source_a/NAME, source_b/NAME, truth/NAME, mask/NAME, ...
                                       (h, w) grey levels, uint8 or uint16; or float32 in [0, 1]; each map by its name
    text/NAME, instruction/NAME, ...   (token, dim) float32 without padding, each text by its name

The file's `__metadata__` holds strings:

- `vlfusion.pairs`: version of this layout
- `task`: name of the task
- `names`: JSON list of names in the order of the data set
- `maps`: JSON list of the names of maps; absent if there are none
- `same`: JSON dict from the key of each omitted array to the key of the equal array that is stored

So a text that all pairs share is stored once.
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
from vlfusion.data.names import is_keyword, require_names
from vlfusion.data.text import pad, require_finite
from vlfusion.data.transforms import IMAGES, maps_in
from vlfusion.errors import ConfigError, DataError, did_you_mean, listing
from vlfusion.files import whole
from vlfusion.imaging.tasks import TASKS
from vlfusion.registry import DATASETS

LAYOUT, VERSION = 'vlfusion.pairs', '1'
#: Types of arrays by their names in safetensors, the widest first, so that every array is aligned to its type.
DTYPES = {'F32': np.dtype('<f4'), 'U16': np.dtype('<u2'), 'U8': np.dtype('u1')}
REMEDY = 'Write the file again: `vlfusion prepare-data pack CONFIG --out FILE.safetensors`.'


@DATASETS.register_module()
class PackedPairDataset(FusionDataset):
    """The pairs of one packed file: the samples that were packed, in the same order.

    Reading a sample costs little more than a copy. The file is memory-mapped, so processes share its memory.

    Args:
        path: the file, as `write_packed` writes it.
        task: name of the task, such as `ivf`; None uses the task in the file.
        pipeline: configs of transforms. Images are already loaded, so `LoadPair` is left out.
        read_text: True if samples include their texts.
        text_length: number of rows to pad text to, or a dict of them by the names of the texts; None uses the longest
            text of the file.
        name: name of the data set in results; by default the stem of `path`.
        text_policy: only `own`, since the file holds each pair's own text.

    Attributes:
        names: names of the pairs, in their order.
        maps: names of the maps.

    Raises:
        DataError: the file is absent, truncated or of another kind, or arrays are missing or have wrong shapes; names
            every problem. Only headers are checked, not images.
        ConfigError: the file has another task, or `text_length` does not fit.
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
        self.names, self.maps = notes['names'], notes['maps']
        images = IMAGES | {f'map_{name}': name for name in self.maps}
        shapes = _shapes(self.path, self.names, self._arrays, self.maps)
        self._images = {image: key for image, key in images.items() if key in shapes}
        texts = [key for key in shapes if key not in images.values()] if read_text else []
        if isinstance(text_length, Mapping) and (unknown := text_length.keys() - set(texts)):
            raise ConfigError(f'text_length names {min(unknown)!r}, but the data set reads no such text.',
                              did_you_mean(min(unknown), texts))
        self.text_dims, self.text_lengths = {}, {}
        for key in texts:
            self.text_dims[key] = shapes[key][0][1]
            length = text_length.get(key) if isinstance(text_length, Mapping) else text_length
            self.text_lengths[key] = padded_length(length, max(rows for rows, _ in shapes[key]))

    def __len__(self) -> int:
        return len(self.names)

    def record(self, index: int) -> dict:
        name = self.names[index]
        record = dict(name=name, path_a=f'{self.path}:source_a/{name}', path_b=f'{self.path}:source_b/{name}')
        if self.maps:
            record['maps'] = {key: f'{self.path}:{key}/{name}' for key in self.maps}
        for image, key in self._images.items():
            record[image] = _luminance(self._array(f'{key}/{name}'))
            if not (record[image].min() >= 0 and record[image].max() <= 1):
                raise DataError(f'{key}/{name} in {self.path} has values outside of [0, 1], or NaN.', REMEDY)
        for key, length in self.text_lengths.items():
            text = require_finite(self._array(f'{key}/{name}'), f'{key}/{name} in {self.path}', REMEDY)
            record[key], record[f'{key}_mask'] = pad(text, length)
        return record

    def __getstate__(self) -> dict:
        return {key: value for key, value in self.__dict__.items() if key != '_memory'}

    def _array(self, key: str) -> Shaped[np.ndarray, 'rows columns']:
        """Return a read-only view into the file."""
        dtype, shape, start = self._arrays[key]
        return np.ndarray(shape, dtype, self._memory, start)

    @cached_property
    def _memory(self) -> mmap:
        # Forked workers may share a mapping: unlike a file, it has no position.
        with self.path.open('rb') as file:
            return mmap(file.fileno(), 0, access=ACCESS_READ)


def write_packed(path: str | os.PathLike, samples: Iterable[Mapping], task: str) -> dict[str, str]:
    """Write the samples of a data set to a packed file, from which they are read back bit for bit.

    Images are stored as 8-bit or else 16-bit grey levels if this keeps their values, otherwise, such as after a resize,
    as float32. One sample is in memory at a time. Until the header is known, the bytes are kept in temporary files
    beside `path`, so the disk briefly holds them twice. The file is either complete or absent.

    Args:
        path: the file to write; missing folders are made.
        samples: samples before any random augmentation, with `name`, `source_a`, `source_b`, optionally `truth` and
            maps, and texts with their masks. Padding is not written.
        task: name of the task, such as `ivf`.

    Returns:
        The stored types of each kind of array: `{'source_a': 'uint8', 'source_b': 'float32 and uint8', ...}`.

    Raises:
        DataError: values are not in [0, 1], or two samples have the same name.
    """
    path = Path(path)
    names, same, keys, places, stored, maps = {}, {}, {}, {}, defaultdict(set), {}
    with whole(path) as temporary, ExitStack() as stack:
        spools = {kind: stack.enter_context(TemporaryFile(dir=path.parent)) for kind in DTYPES}
        for sample in samples:
            name = sample['name']
            require_names([name], 'The data set', 'Rename the files of the pair.')
            if name in names:
                raise DataError(f'Two pairs are called {name}.', 'Give every pair its own name, as subsets do.')
            names[name] = None
            maps |= dict.fromkeys(maps_in(sample))
            for key, array in _arrays(sample):
                [kind] = [kind for kind, dtype in DTYPES.items() if dtype == array.dtype]
                stored[key].add(array.dtype.name)
                key, content = f'{key}/{name}', (kind, array.shape, sha256(array).digest())
                if keys.setdefault(content, key) != key:
                    same[key] = keys[content]
                else:
                    places[key] = kind, array.shape, spools[kind].tell(), array.nbytes
                    spools[kind].write(array)
        notes = {LAYOUT: VERSION, 'task': task, 'names': json.dumps(list(names)), 'same': json.dumps(same)}
        notes |= {'maps': json.dumps(list(maps))} if maps else {}
        with temporary.open('wb') as file:
            file.write(_header(notes, places, {kind: spool.tell() for kind, spool in spools.items()}))
            for spool in spools.values():
                spool.seek(0)
                shutil.copyfileobj(spool, file)
    return {key: ' and '.join(sorted(kinds)) for key, kinds in stored.items()}


def _header(notes: dict, places: dict, sizes: dict[str, int]) -> bytes:
    """Return the head of a safetensors file: the length of a JSON dict in 8 bytes, then the dict, padded with spaces.

    Args:
        notes: the strings of `__metadata__`.
        places: type, shape, offset among the arrays of its type, and size in bytes of each array, by its key.
        sizes: total bytes of each type, in the order of the file.
    """
    before = dict(zip(sizes, accumulate(sizes.values(), initial=0), strict=False))
    header = json.dumps({'__metadata__': notes} | {
        key: dict(dtype=kind, shape=shape, data_offsets=(before[kind] + start, before[kind] + start + size))
        for key, (kind, shape, start, size) in places.items()}).encode()
    header += b' ' * (-len(header) % 8)
    return len(header).to_bytes(8, 'little') + header


def _arrays(sample: Mapping) -> Iterator[tuple[str, Shaped[np.ndarray, 'rows columns']]]:
    """Yield the arrays of a sample by name: images in the smallest exact type, texts without padding."""
    for key in ('source_a', 'source_b', *(['truth'] if 'truth' in sample else []), *maps_in(sample)):
        image = sample[key][0].numpy()
        if not (image.min() >= 0 and image.max() <= 1):
            raise DataError(f'{key} of {sample["name"]} has values from {image.min():g} to {image.max():g}; expected '
                            'luminance in [0, 1].', 'Correct the images of the data set.')
        levels = (np.rint(image * np.iinfo(dtype).max).astype(dtype) for dtype in (np.uint8, np.uint16))
        yield key, next((grey for grey in levels if np.array_equal(_luminance(grey), image)), image)
    for key in [key for key in sample if f'{key}_mask' in sample]:
        yield key, sample[key][sample[f'{key}_mask']].numpy()


def _luminance(stored: Shaped[np.ndarray, 'h w']) -> Float[np.ndarray, 'h w']:
    """Convert grey levels to luminance as `vlfusion.imaging.images.luminance` does. Never returns a view."""
    if stored.dtype == np.float32:
        return stored.copy()
    return np.divide(stored, np.float32(np.iinfo(stored.dtype).max), dtype=np.float32)


def _read_header(path: Path) -> tuple[dict[str, Any], dict[str, tuple]]:
    """Return the task and names of a packed file, and the type, shape and offset of every array by its key."""
    try:
        with safe_open(path, 'np'), path.open('rb') as file:  # safetensors checks that all sizes are consistent
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
        raise DataError(f'{path} has the task {notes.get("task")!r}; expected one of {", ".join(TASKS)}.', REMEDY)
    names, same = _json_note(path, notes, 'names', list), _json_note(path, notes, 'same', dict)
    require_names(names, path, REMEDY)
    maps = _json_note(path, notes, 'maps', list) if 'maps' in notes else []
    if wrong := [name for name in maps if not is_keyword(name)]:
        raise DataError(f'{path} holds a map called {wrong[0]!r}, which no backbone or loss can name.', REMEDY)
    if broken := [key for key, other in same.items() if not isinstance(other, str)]:
        raise DataError(f'{path} does not say which array equals {broken[0]}: expected a name, got '
                        f'{same[broken[0]]!r}.', REMEDY)
    arrays = {key: (DTYPES.get(entry['dtype']), tuple(entry['shape']), 8 + length + entry['data_offsets'][0])
              for key, entry in header.items()}
    return (dict(task=notes['task'], names=names, maps=maps),
            arrays | {key: arrays[other] for key, other in same.items() if other in arrays})


def _json_note(path: Path, notes: Mapping[str, str], key: str, kind: type) -> Any:
    """Parse an entry of the metadata as JSON; raise DataError if that fails or gives another type."""
    try:
        value = json.loads(notes.get(key, ''))
    except (ValueError, RecursionError) as error:
        raise DataError(f'{key} in the metadata of {path} cannot be read: {error}.', REMEDY) from error
    if not isinstance(value, kind):
        raise DataError(f'{path} holds {key} as a {type(value).__name__}; expected a {kind.__name__}.', REMEDY)
    return value


def _shapes(path: Path, names: Sequence[str], arrays: Mapping[str, tuple],
            maps: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
    """Return the shapes of the arrays of each kind, such as `source_a` or `text`, in the order of the pairs.

    Sources, the truth and the `maps` are images; the others are texts.
    """
    images = {*IMAGES.values(), *maps}
    keys = dict.fromkeys(('source_a', 'source_b', *maps, *(key.partition('/')[0] for key in arrays)))
    shapes, problems = {key: [] for key in keys}, [] if names else ['no pairs at all']
    for name in names:
        sizes = {}
        for key in keys:
            dtype, shape, _ = arrays.get(f'{key}/{name}', (None, None, None))
            allowed = DTYPES.values() if key in images else [DTYPES['F32']]
            if shape is None:
                problems.append(f'{name} has no {key}')
            elif len(shape) != 2 or 0 in shape or dtype not in allowed:
                problems.append(f'{key}/{name} is {dtype or "of another type"} {shape}; expected two axes of '
                                f'{" or ".join(map(str, allowed))}')
            else:
                shapes[key].append(shape)
                sizes |= {key: shape} if key in images else {}
        if len(set(sizes.values())) > 1:
            problems.append(f'{name} has images of different shapes: '
                            f'{", ".join(f"{key} {shape}" for key, shape in sizes.items())}')
    for key in keys.keys() - images:
        if len(widths := {width for _, width in shapes[key]}) > 1:
            problems.append(f'{key} features have different widths: {", ".join(map(str, sorted(widths)))}')
    if problems:
        raise DataError(f'{path} cannot be used:\n{listing(problems, len(problems))}', REMEDY)
    return shapes
