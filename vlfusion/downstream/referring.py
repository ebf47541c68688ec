"""Referring expressions: pairs of images, a sentence about a thing in them, and the mask of that thing.

MM-RIS (Ma et al., RIS-FUSION, 2025) asks for the mask of what a sentence names. If a method fuses under the sentence,
the mask that a network then finds is better or worse, so the effect of the text has a number.

The form of the files is known from the loader of the released code. Each row is one sentence. Five columns:

- `image_name`: name of the pair; several rows share it
- `visible_image` and `infrared_image`: the bytes of an image file
- `question`: the sentence
- `segmentation`: the bytes of a NumPy file with an array `(height, width)`, above 0 in the thing
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from glob import glob
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from vlfusion.data.names import require_names
from vlfusion.data.patterns import stem_of
from vlfusion.errors import DataError, listing, needs, short_repr
from vlfusion.files import whole_folder
from vlfusion.imaging.arrays import as_image
from vlfusion.imaging.images import to_8bit, write_image
from vlfusion.imaging.reading.header import open_image

#: Columns of the files.
COLUMNS = ('image_name', 'visible_image', 'infrared_image', 'question', 'segmentation')
#: Rows that are held at once.
_BATCH = 16


@dataclass(frozen=True)
class Referred:
    """A sentence about a pair, and the mask of what it names.

    Attributes:
        name: name of the sentence: that of the pair and a count from 0, such as `00001D-0`.
        image: name of the pair.
        infrared: infrared image, grey `(h, w)` or blue-green-red `(h, w, 3)`.
        visible: visible image in the same form.
        expression: the sentence.
        mask: true in the thing.
    """

    name: str
    image: str
    infrared: UInt8[np.ndarray, 'h w ...']
    visible: UInt8[np.ndarray, 'h w ...']
    expression: str
    mask: Bool[np.ndarray, 'h w']


class ReferringSet:
    """Sentences of parquet files with the columns of MM-RIS, read a few rows at a time.

        for referred in ReferringSet('data/MM-RIS/mm_ris_test.parquet'):
            print(referred.name, referred.expression, referred.mask.mean())

    Names and sentences are read at construction, images and masks while iterating.

    Args:
        place: a file, a folder whose parquet files are all read, or a pattern such as `mm_ris_train_*.parquet`.

    Attributes:
        names: name of each sentence, in the order of the files.
        images: name of each sentence's pair.
        expressions: the sentences.

    Raises:
        DataError: there is no file, a file is not parquet or lacks a column, or a name or sentence is not valid.
        ConfigError: pyarrow is not installed.
    """

    def __init__(self, place: str | os.PathLike):
        with needs('A set of referring expressions', 'pyarrow', 'downstream'):
            from pyarrow import ArrowException
            from pyarrow.parquet import ParquetFile
        self.paths = _files_at(place)
        self._rows: list[tuple[Path, int]] = []
        self.images: list[str] = []
        self.expressions: list[str] = []
        for path in self.paths:
            try:
                with ParquetFile(path) as file:
                    if lacking := [column for column in COLUMNS if column not in file.schema_arrow.names]:
                        raise DataError(f'{path} has no column {lacking[0]!r}; it has '
                                        f'{", ".join(file.schema_arrow.names)}.',
                                        f'MM-RIS has the columns {", ".join(COLUMNS)}.')
                    table = file.read(['image_name', 'question']).to_pydict()
            except (ArrowException, OSError) as error:
                raise DataError(f'Cannot read {path} as a parquet file: {error}.', 'Copy the file again.') from error
            for row, (image, expression) in enumerate(zip(table['image_name'], table['question'], strict=True)):
                if not isinstance(expression, str) or not expression.strip():
                    raise DataError(f'{path}, row {row}: the sentence (question) is {short_repr(expression)}.',
                                    'Every row needs a sentence.')
                self._rows.append((path, row))
                self.images.append(stem_of(image) if isinstance(image, str) else image)
                self.expressions.append(expression.strip())
        require_names(dict.fromkeys(self.images), self.paths[0], 'Results are saved under these names.')
        counts: Counter = Counter()
        self.names: list[str] = []
        for image in self.images:
            self.names.append(f'{image}-{counts[image]}')
            counts[image] += 1

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Referred]:
        """Yield the sentences with images and masks, in the order of the files.

        Raises:
            DataError: an image or a mask cannot be decoded, or their sizes differ. Names file and row.
        """
        from pyarrow.parquet import ParquetFile
        index = 0
        for path in self.paths:
            with ParquetFile(path) as file:
                # Masks are not compressed inside, so a batch of the default 65,536 rows would fill the memory.
                for batch in file.iter_batches(_BATCH, columns=list(COLUMNS)):
                    for row in batch.to_pylist():
                        yield self._referred(index, row)
                        index += 1

    def _referred(self, index: int, row: Mapping[str, Any]) -> Referred:
        where = '{}, row {} ({})'.format(*self._rows[index], self.images[index])
        images = {column: _image(row[column], f'{where}: {column}') for column in ('infrared_image', 'visible_image')}
        mask = _mask(row['segmentation'], f'{where}: segmentation')
        sizes = {column: image.shape[:2] for column, image in {**images, 'segmentation': mask}.items()}
        if len({*sizes.values()}) > 1:
            differing = ', '.join(f'{column} {width}x{height}' for column, (height, width) in sizes.items())
            raise DataError(f'{where}: sizes differ: {differing} (width x height).',
                            'Images and masks of a row belong together; copy the file again.')
        return Referred(self.names[index], self.images[index], *images.values(), self.expressions[index], mask)


def unpack_referring(place: str | os.PathLike, folder: str | os.PathLike,
                     show: Callable[[str, int, int], None] | None = None) -> Path:
    """Write a set as folders that every verb takes: `ir`, `vi`, `texts` and `masks`, by the name of the sentence.

        unpack_referring('data/MM-RIS/mm_ris_test.parquet', 'data/mm_ris_test')

    A pair is written once for each of its sentences. Masks hold 1 in the thing and 0 elsewhere, as `IndexMasks` reads
    them with `classes=['background', 'referred']`.

    Args:
        place: as for `ReferringSet`.
        folder: folder to write. It appears when it is complete, and replaces an older one.
        show: called with the step, the sentences that are done, and their number.

    Raises:
        DataError: as for `ReferringSet`.
        OSError: a file cannot be written.
    """
    referring = ReferringSet(place)
    with whole_folder(folder) as target:
        (target / 'texts').mkdir()
        for done, referred in enumerate(referring, 1):
            for kind, image in (('ir', referred.infrared), ('vi', referred.visible),
                                ('masks', referred.mask.astype(np.uint8))):
                write_image(target / kind / f'{referred.name}.png', image)
            (target / f'texts/{referred.name}.txt').write_text(f'{referred.expression}\n', encoding='utf-8')
            if show:
                show('unpacking', done, len(referring))
    return Path(folder)


def _files_at(place: str | os.PathLike) -> list[Path]:
    path = Path(place)
    if path.is_file():
        return [path]
    paths = sorted(path.glob('*.parquet') if path.is_dir() else map(Path, glob(str(place))))
    if not paths:
        raise DataError(f'There is no parquet file at {place}.', 'Give a file, a folder or a pattern. MM-RIS is at '
                        'huggingface.co/datasets/ronniejiangC/MM-RIS.')
    return paths


def _image(cell: object, where: str) -> UInt8[np.ndarray, 'h w *bgr']:
    image = open_image(cell) if isinstance(cell, bytes) else None
    if image is None:
        raise DataError(f'{where} is {short_repr(cell, 40)}; expected the bytes of an image file.',
                        f'Known from released code are the columns\n{listing(COLUMNS)}\n     with images as bytes.')
    try:
        return to_8bit(as_image(image, where))
    except (OSError, SyntaxError) as error:
        raise DataError(f'{where} cannot be decoded: {error}.', 'Copy the file again.') from error


def _mask(cell: object, where: str) -> Bool[np.ndarray, 'h w']:
    try:
        array = np.load(BytesIO(cell), allow_pickle=False) if isinstance(cell, bytes) else None
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f'{where} is not a NumPy file: {error}.', 'Copy the file again.') from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in 'buif':
        shown = short_repr(cell, 40) if array is None else f'{getattr(array, "shape", "")} of {type(array).__name__}'
        raise DataError(f'{where} is {shown}; expected the bytes of a NumPy file with an array (height, width).',
                        'Copy the file again.')
    return array > 0
