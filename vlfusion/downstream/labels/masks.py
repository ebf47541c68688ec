"""Masks whose pixels hold the number of their class."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vlfusion.downstream.classes import Classes, ClassTable
from vlfusion.downstream.interfaces import Mask
from vlfusion.downstream.labels.faults import Fault, LabelError
from vlfusion.downstream.labels.files import LabelFiles
from vlfusion.errors import ConfigError, DataError
from vlfusion.imaging.reading.file import read_file
from vlfusion.imaging.reading.header import open_image
from vlfusion.registry import LABELS


def read_mask(path: str | os.PathLike, classes: ClassTable, ignore: int | None = None) -> Mask:
    """Read a mask from a PNG file.

    Its pixels are the numbers of classes, 8-bit grey or with a palette. Three equal channels count as grey. Pictures
    in the colours of the table's palette are read exactly; all other colours are refused.

    Args:
        path: the file.
        classes: the class table.
        ignore: number of further pixels without a label, such as 255; they become void.

    Returns:
        `(h, w)`, in the table's `dtype`.

    Raises:
        LabelError: the file is not such a PNG file, or has unknown numbers or colours.
    """
    image = open_image(_bytes(path))
    if image is None or image.format != 'PNG':
        raise LabelError([Fault('not readable', str(path), 'is not a PNG file')])
    mode = image.mode
    if mode not in ('1', 'L', 'P', 'RGB', 'RGBA'):
        raise LabelError([Fault('not readable', str(path), f'has pixels of the kind {mode}; expected 8-bit numbers of '
                                                           'classes')],
                         'Save the numbers as an 8-bit grey PNG file.')
    try:
        pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise LabelError([Fault('not readable', str(path), f'cannot be decoded: {error}')]) from error
    if mode == 'P':
        _check_palette(path, pixels, image.getpalette(), classes)
    numbers = _from_colours(path, pixels, classes) if mode in ('RGB', 'RGBA') else pixels.astype(np.int64)
    if ignore is not None:
        numbers[numbers == ignore] = classes.void
    unknown, counts = np.unique(numbers[(numbers < 0) | (numbers >= len(classes))], return_counts=True)
    if len(unknown):
        listed = ', '.join(f'{number} ({count} pixels)' for number, count in zip(unknown[:10], counts, strict=False))
        advice = ''
        if len(unknown) == 1 and unknown[0] == 255:
            advice = ('If 255 stands for pixels without a label, write ignore=255 for the labels (on the command line '
                      '--ignore 255). A prediction has a class in each pixel.')
        raise LabelError([Fault('unknown class', str(path), f'holds {listed}; the classes are 0 to '
                                                            f'{len(classes) - 1}')], advice)
    return numbers.astype(classes.dtype, copy=False)


def _bytes(path: str | os.PathLike) -> bytes:
    try:
        return read_file(path)
    except DataError as error:
        raise LabelError([Fault('not readable', str(path), error.problem)], error.remedy) from error


def _from_colours(path: str | os.PathLike, pixels: UInt8[np.ndarray, 'h w channels'], classes: ClassTable) -> Mask:
    """Return the numbers of a picture in colour."""
    colours, where = np.unique(pixels[..., :3].reshape(-1, 3), axis=0, return_inverse=True)
    present = [tuple(colour) for colour in colours.tolist()]
    palette = {colour: number for number, colour in enumerate(classes.palette)}
    if all(colour in palette for colour in present):
        return np.array([palette[colour] for colour in present])[where].reshape(pixels.shape[:2])
    if all(red == green == blue for red, green, blue in present):
        return pixels[..., 0].astype(np.int64)
    reverse = palette and all(colour[::-1] in palette for colour in present)
    strange = next(colour for colour in present if colour not in palette)
    words = f'is a picture in colour, and {strange} is not among the colours (red, green, blue) of the classes'
    if not palette:
        words = f'is a picture in {len(present)} colours, and the class table has no palette'
    raise LabelError(
        [Fault('unknown class', str(path), words)],
        'Its colours are the palette in the order blue, green, red: swap the channels.' if reverse else
        'Give the labels with numbers of classes, not the pictures made of them (MSRS: Segmentation_labels, not '
        'Segmentation_visualize), or a palette in the class table.')


def _check_palette(path: str | os.PathLike, pixels: UInt8[np.ndarray, 'h w'], stored: Sequence[int] | None,
                   classes: ClassTable) -> None:
    """Refuse a file whose palette gives the table's colours other numbers, as programs do that save it again."""
    known = {colour: number for number, colour in enumerate(classes.palette)}
    colours = [tuple(stored[3 * index:3 * index + 3]) for index in range(len(stored or ()) // 3)]
    used = {int(index): colours[index] for index in np.unique(pixels) if index < len(colours)}
    if not all(colour in known for colour in used.values()):
        return  # a palette of its own, where the numbers count
    moved = [(index, known[colour]) for index, colour in used.items() if known[colour] != index]
    if moved:
        index, number = moved[0]
        raise LabelError([Fault('unknown class', str(path), f'its palette shows the number {index} in the colour of '
                                                            f'{classes.names[number]} ({number})')],
                         'A program has sorted the palette. Take the original file.')


@LABELS.register_module()
class IndexMasks(LabelFiles):
    """Masks whose pixels hold the number of their class: MSRS, MFNet, FMB. PNG, 8-bit grey or with a palette.

    Args:
        place: folder or pattern of the `.png` files.
        classes: the class table. Number 0 is its first class.
        data_root: folder that `place` is relative to.
        ignore: number of further pixels without a label, such as 255; they become the void class of the table.

    Raises:
        DataError: there are no such files, or several have one name.
        ConfigError: `ignore` needs a void class, and the table has none.
    """

    kind = 'masks'
    suffixes = ('.png',)

    def __init__(self, place: str, classes: Classes, data_root: str | os.PathLike = '.', *,
                 ignore: int | None = None):
        super().__init__(place, classes, data_root)
        self.ignore = ignore
        if ignore is not None and self.classes.void is None:
            raise ConfigError(f'ignore={ignore} needs a void class, and the class table has none.',
                              "Write classes=dict(names=['void', ...], void=0), or --void NAME on the command line.")

    def size(self, name: str) -> tuple[int, int] | None:
        image = open_image(_bytes(self._file(name)))
        return image and image.size[::-1]

    def read(self, name: str, size: tuple[int, int]) -> Mask:
        path: Path = self._file(name)
        mask = read_mask(path, self.classes, self.ignore)
        if mask.shape != tuple(size):
            raise LabelError([Fault('size', str(path), f'the mask has {mask.shape[1]}x{mask.shape[0]}, but the image '
                                                       f'has {size[1]}x{size[0]} (width x height)')])
        return mask
