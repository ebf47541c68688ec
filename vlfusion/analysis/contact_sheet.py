"""A figure for a paper: rows of pairs, a column for each source and method, and enlarged crops in coloured frames.

    from vlfusion.analysis.contact_sheet import contact_sheet, parse_crop, write_sheet
    figure = contact_sheet({'MRI': 'PET-MRI/MRI', 'PET': 'PET-MRI/PET', 'FILM': 'out/film', 'CDDFuse': 'out/cddfuse'},
                           names=['12', '25'], crops=[parse_crop('40,60,64,64')])
    write_sheet(figure, 'figure.pdf')

In a PDF or SVG file, pictures keep the pixels of their files, and text can be selected.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from jaxtyping import Shaped, UInt8

from vlfusion.data.names import spelled
from vlfusion.data.pairs import MOST, as_pattern, find_files, read_images
from vlfusion.data.patterns import stem_of
from vlfusion.data.words_record import read_words
from vlfusion.errors import ConfigError, DataError, did_you_mean, listing, needs, one_line
from vlfusion.files import whole
from vlfusion.imaging.images import to_8bit
from vlfusion.imaging.lettering import Fonts, Pen, fonts_for, without_font_warnings, wrap
from vlfusion.imaging.reading.rule import AS_STORED, Reading
from vlfusion.language.section import INSTRUCTION

Picture = UInt8[np.ndarray, 'h w 3']
#: The colours of Okabe and Ito, which readers with colour vision deficiency can distinguish. Colours that show on both
#: dark and light pictures come first.
COLOURS = ('#D55E00', '#56B4E9', '#F0E442', '#009E73', '#CC79A7', '#E69F00', '#0072B2')
INTERPOLATIONS = {'nearest': cv2.INTER_NEAREST, 'linear': cv2.INTER_LINEAR, 'cubic': cv2.INTER_CUBIC,
                  'lanczos': cv2.INTER_LANCZOS4}
#: Largest width in dots that matplotlib draws.
MOST_PIXELS = 2 ** 16 - 1
#: Largest number of rows if no names are given; more are probably a mistake.
MOST_ROWS = 30
#: Gaps between pictures and between rows, in inches.
GAP, ROW_GAP = 0.03, 0.06
#: Most lines of a text that guided a picture.
WORDS = 2
#: Line width of a crop's frame, and font size, in points.
FRAME, FONT = 1., 8.
#: Height of a line, as a multiple of the font size.
LINE = 1.3
#: Width of a crop inside a picture, as a share of the picture's width.
INSIDE = 0.4


@dataclass(frozen=True)
class Crop:
    """A rectangle of a picture, in pixels from the picture's upper left corner.

    Attributes:
        x, y: upper left corner of the rectangle.
        width, height: size of the rectangle.
        row: pair to which the crop applies; empty for every pair without its own crops.
    """

    x: int
    y: int
    width: int
    height: int
    row: str = ''

    def __str__(self) -> str:
        return f'{self.row}:' * bool(self.row) + f'{self.x},{self.y},{self.width},{self.height}'

    def fits(self, height: int, width: int) -> bool:
        """Tell whether the crop lies inside a picture of that size and is not empty."""
        return (min(self.x, self.y) >= 0 and min(self.width, self.height) > 0
                and self.x + self.width <= width and self.y + self.height <= height)

    def of(self, picture: Picture) -> UInt8[np.ndarray, 'height width 3']:
        """Cut the crop out of a picture."""
        return picture[self.y:self.y + self.height, self.x:self.x + self.width]


def parse_crop(text: str) -> Crop:
    """Read a crop in the form of the command line.

    >>> parse_crop('25:40,60,64,32')
    Crop(x=40, y=60, width=64, height=32, row='25')

    Raises:
        ConfigError: the text has another form.
    """
    row, _, numbers = text.rpartition(':')
    if not re.fullmatch(r'\d+,\d+,\d+,\d+', numbers):
        raise ConfigError(f'{text!r} is not a crop.',
                          'Write x,y,width,height in pixels, such as 40,60,64,64; for one pair NAME:40,60,64,64.')
    return Crop(*map(int, numbers.split(',')), row=row)


def contact_sheet(columns: Mapping[str, str | os.PathLike], names: Sequence[str] | None = None,
                  crops: Sequence[Crop] = (), *, inset: str = 'below',
                  interpolation: str = 'nearest', width: float = 7.16, row_labels: bool | Sequence[str] = False,
                  dpi: int = 300, readings: Mapping[str, Reading] = MappingProxyType({}),
                  texts: Mapping[str, str] | None = None, words: int = WORDS,
                  note: Callable[[str], None] = print):
    """Draw a figure: a row for each pair, a column for each source and method.

        sheet = vlfusion.contact_sheet({'MRI': 'mri', 'PET': 'pet', 'FILM': 'fused/film'}, names=['12', '25'])
        sheet.savefig('figure.pdf')

    Args:
        columns: folder of each column by its title, or a pattern such as `out/{name}_fused.*`; see
            `vlfusion.data.pairs.find_pairs`.
        names: names of the pairs to show, in this order; None for all.
        crops: rectangles to enlarge. A pair with its own crops, by their `row`, gets only those.
        inset: place of crops: `below` a picture, or `inside` it, in the corners where they hide the least.
        interpolation: interpolation of enlarged crops, a name in `INTERPOLATIONS`.
        width: width of the figure in inches: 7.16 for two columns of IEEE, 3.5 for one.
        row_labels: whether to write the names at the left; or a text for each row to write instead.
        dpi: resolution up to which crops are enlarged.
        readings: rules by which the files of some columns are read, by the columns' titles.
        texts: text below a row, by its name, such as the paragraph that a model read. By default the words that guided
            each picture stand there, if a record beside the picture has them, see `vlfusion.data.words_record`.
        words: most lines of each text; a longer one ends with an ellipsis. 0 for no words.
        note: called with a message if a suffix that all files of a folder share is left out of their names, if no
            installed font has a letter, or if words are clipped.

    Returns:
        A `matplotlib.figure.Figure`. Its pictures are RGB images with the `gid` `picture` or `crop`.

    Raises:
        DataError: lists every file that is missing or damaged, and every row whose pictures differ in size.
        ConfigError: a crop leaves its picture or names an unknown row, an option is unknown, or matplotlib is missing.
    """
    figure_class, _ = _matplotlib()
    check_options(inset, interpolation, width, dpi)
    rows = _read(columns, names, readings, note)
    labels = list(rows) if row_labels is True else list(row_labels or [])
    guides = _guides(columns, names, readings) if texts is None and words > 0 else {}
    texts = texts or {}
    if unknown := sorted(texts.keys() - rows.keys()):
        raise ConfigError(f'The text {unknown[0]!r} belongs to no row of the figure.', did_you_mean(unknown[0], rows))
    if labels and len(labels) != len(rows):
        raise ConfigError(f'There are {len(labels)} row labels for {len(rows)} rows.', 'Give one for each row.')
    chosen = _crops_of(rows, crops, len(COLOURS) if inset == 'below' else 4)
    fonts = fonts_for([*columns, *labels, *texts.values(), *(text for of_row in guides.values() for text in of_row)])
    if fonts.note:
        note(fonts.note)
    sheet = _Sheet(figure_class, fonts, len(columns), width, bool(labels), inset, INTERPOLATIONS[interpolation], dpi)
    guides = {name: [sheet.wrap(text) for text in of_row] for name, of_row in guides.items()}
    if clipped := sum(len(lines) > words for of_row in guides.values() for lines in of_row):
        note(f'{clipped} text{"s" * (clipped > 1)} below the pictures end{"s" * (clipped == 1)} with an ellipsis after '
             f'{words} line{"s" * (words > 1)}; --words or words= gives more.')
    lines = {name: [*sheet.wrap(texts.get(name, '')),
                    *(line for of_text in guides.get(name, ()) for line in sheet.clip(of_text, words))]
             for name in rows}
    heights = [sheet.row_height(pictures[0], chosen[name]) + sheet.lines_height(lines[name])
               for name, pictures in rows.items()]
    sheet.begin(sum(heights) + ROW_GAP * (len(rows) - 1))
    tops = accumulate(heights[:-1], lambda top, height: top + height + ROW_GAP, initial=sheet.head)
    for i, (top, (name, pictures)) in enumerate(zip(tops, rows.items(), strict=True)):
        sheet.draw_row(top, pictures, chosen[name], labels[i] if labels else '', lines[name])
    sheet.draw_titles(list(columns))
    sheet.fit_texts()
    return sheet.figure


def write_sheet(figure, path: str | os.PathLike, dpi: int = 300) -> None:
    """Write a figure in the format of the path's ending: `.pdf`, `.png` or `.svg`. Two runs write the same bytes.

    Args:
        figure: figure that `contact_sheet` drew.
        path: file to write; missing folders are made.
        dpi: resolution of a PNG file.

    Raises:
        ConfigError: the path has another ending.
        OSError: the file cannot be written.
    """
    _, context = _matplotlib()
    check_sheet(path)
    vector = Path(path).suffix != '.png'
    for image in (image for axes in figure.axes for image in axes.images):
        # A vector file keeps the pixels. In a PNG file, pictures are averaged down, and crops are enlarged by copying.
        image.set_interpolation('none' if vector else 'auto' if image.get_gid() == 'picture' else 'nearest')
    dated = {'.pdf': 'CreationDate', '.svg': 'Date'}.get(Path(path).suffix)
    with (whole(path) as file, context(pdf_fonttype=42, svg_fonttype='none', svg_hashsalt='vlfusion'),
          without_font_warnings()):
        figure.savefig(file, format=Path(path).suffix[1:], dpi=dpi, metadata={dated: None} if dated else None)


def check_sheet(path: str | os.PathLike) -> None:
    """Raise a ConfigError if figures cannot be written with the ending of the path."""
    if (ending := Path(path).suffix) not in ('.pdf', '.png', '.svg'):
        raise ConfigError(f'A figure cannot be written as {str(path)!r}.',
                          did_you_mean(ending, ('.pdf', '.png', '.svg')))


class _Sheet:
    """Layout of the figure, in inches from the upper left corner of the figure."""

    def __init__(self, figure_class, fonts: Fonts, columns: int, width: float, labelled: bool, inset: str,
                 enlarge: int, dpi: int):
        self.figure_class, self.inset, self.enlarge, self.dpi = figure_class, inset, enlarge, dpi
        self.fonts, self.pen = fonts, Pen(fonts, 100)
        self.columns, self.width = columns, width
        self.texts: list[tuple[Any, float]] = []
        self.left = 1.6 * FONT / 72 if labelled else 0.
        self.head = 1.6 * FONT / 72
        self.cell = (width - self.left - GAP * (columns - 1)) / columns
        if self.cell <= 0.1:
            raise ConfigError(f'{columns} columns do not fit into {width} inches.', 'Give a larger --width.')

    def begin(self, height: float) -> None:
        self.height = height + self.head
        self.figure = self.figure_class(figsize=(self.width, self.height), dpi=self.dpi, facecolor='white')

    def picture_height(self, picture: Picture) -> float:
        return self.cell * picture.shape[0] / picture.shape[1]

    def strip_height(self, picture: Picture, crops: Sequence[Crop]) -> float:
        """Height of the crops below a picture. Side by side they are as wide as the picture, but never taller."""
        if not crops or self.inset != 'below':
            return 0.
        room = self.cell - GAP * (len(crops) - 1)
        return min(room / sum(crop.width / crop.height for crop in crops), self.picture_height(picture))

    def row_height(self, picture: Picture, crops: Sequence[Crop]) -> float:
        strip = self.strip_height(picture, crops)
        return self.picture_height(picture) + (GAP + strip) * bool(strip)

    def wrap(self, text: str) -> list[str]:
        """Break a text below a row into lines."""
        inches = FONT / 72 / self.pen.size
        return wrap(text, (self.width - self.left) * 0.98, lambda line: self.pen.length(line) * inches)

    def clip(self, lines: Sequence[str], most: int) -> list[str]:
        """Leave out lines after the first `most`; an ellipsis says so."""
        if len(lines) <= most:
            return list(lines)
        last = lines[most - 1]
        while ' ' in last and len(self.wrap(f'{last} …')) > 1:
            last = last.rpartition(' ')[0]
        return [*lines[:most - 1], f'{last} …']

    @staticmethod
    def lines_height(lines: Sequence[str]) -> float:
        """Height of a text below a row, with the gap above it."""
        return (GAP + LINE * FONT / 72 * len(lines)) * bool(lines)

    def draw_row(self, top: float, pictures: Sequence[Picture], crops: Sequence[Crop], label: str,
                 lines: Sequence[str] = ()) -> None:
        height = self.picture_height(pictures[0])
        for column, picture in enumerate(pictures):
            left = self.left + column * (self.cell + GAP)
            axes = self._show(picture, left, top, self.cell, height, 'picture')
            for crop, colour in zip(crops, COLOURS, strict=False):
                _frame(axes, crop.x - 0.5, crop.y - 0.5, crop.width, crop.height, colour)
            if self.inset == 'below':
                self._below(left, top + height + GAP, picture, crops)
            else:
                self._inside(left, top, picture, crops)
        if label:
            self._write(label, self.left / 2, top + height / 2, height, rotation=90, va='center', gid='label')
        below = top + self.row_height(pictures[0], crops) + GAP
        for number, line in enumerate(lines):
            self._text(line, self.left, below + number * LINE * FONT / 72, ha='left', va='top', gid='words')

    def draw_titles(self, titles: Sequence[str]) -> None:
        for column, title in enumerate(titles):
            middle = self.left + column * (self.cell + GAP) + self.cell / 2
            self._write(title, middle, self.head - GAP, self.cell, va='bottom', gid='title')

    def fit_texts(self) -> None:
        """Set all texts to one size, in which each fits its column or row."""
        with without_font_warnings():
            lengths = [(max(text.get_window_extent().size) / self.figure.dpi, room) for text, room in self.texts]
        for text, _ in self.texts:
            text.set_fontsize(FONT * min(1, *(room / length for length, room in lengths)))

    def _write(self, text: str, x: float, y: float, room: float, **options) -> None:
        self.texts.append((self._text(one_line(text), x, y, ha='center', **options), room))

    def _text(self, text: str, x: float, y: float, **options):
        return self.figure.text(x / self.width, 1 - y / self.height, text, fontsize=FONT, parse_math=False,
                                fontfamily=list(self.fonts.families), **options)

    def _below(self, left: float, top: float, picture: Picture, crops: Sequence[Crop]) -> None:
        height = self.strip_height(picture, crops)
        widths = [height * crop.width / crop.height for crop in crops]
        gap = (self.cell - sum(widths)) / max(len(crops) - 1, 1)
        left += gap / 2 if len(crops) == 1 else 0.  # a single narrow crop is centred
        for crop, colour, width in zip(crops, COLOURS, widths, strict=False):
            self._show_crop(picture, crop, colour, left, top, width, height)
            left += width + gap

    def _inside(self, left: float, top: float, picture: Picture, crops: Sequence[Crop]) -> None:
        height = self.picture_height(picture)
        sizes = [_inside_size(crop, picture) for crop in crops]
        scale = self.cell / picture.shape[1]
        for crop, colour, (wide, high), (right, bottom) in zip(crops, COLOURS, sizes, _corners(picture, crops, sizes),
                                                             strict=False):
            wide, high = wide * scale, high * scale
            self._show_crop(picture, crop, colour, left + right * (self.cell - wide), top + bottom * (height - high),
                            wide, high)

    def _show_crop(self, picture: Picture, crop: Crop, colour: str, left: float, top: float, width: float,
                   height: float) -> None:
        times = max(1, round(width * self.dpi / crop.width))  # an integer, so that all pixels have the same size
        enlarged = cv2.resize(crop.of(picture), None, fx=times, fy=times, interpolation=self.enlarge)
        axes = self._show(enlarged, left, top, width, height, 'crop')
        _frame(axes, -0.5, -0.5, enlarged.shape[1], enlarged.shape[0], colour, 2 * FRAME)  # the outer half is cut off

    def _show(self, image: Picture, left: float, top: float, width: float, height: float, kind: str):
        axes = self.figure.add_axes((left / self.width, 1 - (top + height) / self.height, width / self.width,
                                     height / self.height))
        axes.set_axis_off()
        axes.imshow(image, aspect='auto', interpolation='none').set_gid(kind)
        return axes


def _frame(axes, left: float, top: float, width: float, height: float, colour: str, line: float = FRAME) -> None:
    from matplotlib.patches import Rectangle
    axes.add_patch(Rectangle((left, top), width, height, fill=False, edgecolor=colour, linewidth=line,
                             joinstyle='miter'))


def _inside_size(crop: Crop, picture: Picture) -> tuple[float, float]:
    """Width and height of an enlarged crop inside a picture, in pixels of the picture."""
    high, wide = picture.shape[:2]
    times = min(INSIDE * wide / crop.width, INSIDE * high / crop.height)
    return crop.width * times, crop.height * times


def _corners(picture: Picture, crops: Sequence[Crop], sizes: Sequence[tuple[float, float]]) -> list[tuple[int, int]]:
    """A corner for each crop, as (right, bottom) of 0 or 1: the free corner where it hides least of all crops."""
    high, wide = picture.shape[:2]
    free = [(1, 1), (0, 1), (1, 0), (0, 0)]
    chosen = []
    for width, height in sizes:
        def hidden(corner: tuple[int, int], width=width, height=height) -> float:
            left, top = corner[0] * (wide - width), corner[1] * (high - height)
            return sum(max(0, min(left + width, crop.x + crop.width) - max(left, crop.x))
                       * max(0, min(top + height, crop.y + crop.height) - max(top, crop.y)) for crop in crops)
        chosen.append(min(free, key=hidden))
        free.remove(chosen[-1])
    return chosen


def find_rows(columns: Mapping[str, str | os.PathLike], names: Sequence[str] | None = None,
              readings: Mapping[str, Reading] = MappingProxyType({}),
              note: Callable[[str], None] | None = None) -> dict[str, tuple[Path, ...]]:
    """The files of each row by its name; arguments and errors as for `contact_sheet`."""
    return find_files('.', {title: as_pattern(folder) for title, folder in columns.items()}, names,
                      'All pictures of a row must have the same name in their folders. Rename the files that are '
                      "listed, leave them out with --names, or give a pattern: 'out/{name}_fused.*'.",
                      ranged=[title for title, reading in readings.items() if reading.stretch != 'full'],
                      note=note or (lambda _: None))


def read_texts(place: str, names: Iterable[str]) -> dict[str, str]:
    """Read the text of each row from a file.

    Args:
        place: folder of `NAME.txt`, or a pattern such as `words/{name}.md`.
        names: names of the rows.

    Raises:
        DataError: names every file that is missing.
    """
    pattern = place if '{name}' in place else f'{place.rstrip("/")}/{{name}}.txt'
    files = {name: spelled(lambda spelling: Path(pattern.replace('{name}', spelling)), name) for name in names}
    if missing := [str(path) for path in files.values() if not path.is_file()]:
        raise DataError(f'{len(missing)} texts are missing:\n{listing(missing, MOST)}',
                        "Give a pattern for the files: --texts 'words/{name}.txt'.")
    return {name: path.read_text(encoding='utf-8', errors='replace').strip() for name, path in files.items()}


def _guides(columns: Mapping[str, str | os.PathLike], names: Sequence[str] | None,
            readings: Mapping[str, Reading]) -> dict[str, list[str]]:
    """The words that guided pictures of each row, by row: instructions first, each text once, with its columns."""
    guides = {}
    for name, files in find_rows(columns, names, readings).items():
        readers: dict[tuple[str, str], list[str]] = {}
        for title, path in zip(columns, files, strict=True):
            for item in (read_words(path) or {}).items():
                readers.setdefault(item, []).append(title)
        instructions_first = sorted(readers.items(), key=lambda item: item[0][0] != INSTRUCTION)
        guides[name] = [f'{", ".join(titles)} — {about}: {text}' for (about, text), titles in instructions_first]
    return guides


def _read(columns: Mapping[str, str | os.PathLike], names: Sequence[str] | None,
          readings: Mapping[str, Reading], note: Callable[[str], None]) -> dict[str, list[Picture]]:
    """The pictures of each row, in red-green-blue of 8 bits."""
    files = find_rows(columns, names, readings, note)
    if names is None and len(files) > MOST_ROWS:
        raise ConfigError(f'There are {len(files)} pairs, too many rows for a figure.', 'Choose pairs with --names.')
    order = list(files) if names is None else [stem_of(name) for name in names]
    rows, problems = {}, []
    for name in order:
        images, unusable = read_images(name, files[name], [readings.get(title, AS_STORED) for title in columns])
        problems += unusable
        rows[name] = [_shown(image) for image in images]
    if problems:
        raise DataError(f'These pictures cannot be drawn in one figure:\n{listing(problems, MOST)}',
                        'The pictures of a row must be readable and have the same size.')
    return rows


def _shown(image: Shaped[np.ndarray, 'h w *bgr']) -> Picture:
    """The image in red-green-blue of 8 bits."""
    image = to_8bit(image)
    return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB)


def _crops_of(rows: Mapping[str, Sequence[Picture]], crops: Iterable[Crop], most: int) -> dict[str, list[Crop]]:
    """The crops of each row; raises a ConfigError if a row has more than `most`, or if crops leave their pictures."""
    crops = list(crops)
    if unknown := [crop for crop in crops if crop.row and crop.row not in rows]:
        raise ConfigError(f'The crop {unknown[0]} belongs to no row of the figure.',
                          did_you_mean(unknown[0].row, rows))
    chosen = {name: [crop for crop in crops if crop.row == name] or [crop for crop in crops if not crop.row]
              for name in rows}
    if max(map(len, chosen.values())) > most:
        raise ConfigError(f'A row has more than {most} crops.', f'Leave some out: there are {len(COLOURS)} colours of '
                          'frames, and 4 corners of a picture.')
    problems = []
    for name, own in chosen.items():
        height, width = rows[name][0].shape[:2]
        problems += [f'{crop} leaves {name}, which is {width}x{height} (width x height)' for crop in own
                     if not crop.fits(height, width)]
    if problems:
        raise ConfigError(f'A crop must lie inside its picture:\n{listing(problems, MOST)}',
                          'Write x,y,width,height in pixels; NAME:x,y,width,height is for one pair.')
    return chosen


def check_options(inset: str, interpolation: str, width: float, dpi: int) -> None:
    """Raise a ConfigError for a value that `contact_sheet` does not support."""
    if inset not in ('below', 'inside'):
        raise ConfigError(f'Unknown place of crops {inset!r}.', did_you_mean(inset, ('below', 'inside')))
    if interpolation not in INTERPOLATIONS:
        raise ConfigError(f'Unknown interpolation {interpolation!r}.', did_you_mean(interpolation, INTERPOLATIONS))
    if not (width > 0 and dpi > 0 and width * dpi <= MOST_PIXELS):
        raise ConfigError(f'A figure cannot be {width} inches wide, with {dpi} dots an inch.',
                          f'Give 7.16 for two columns of IEEE, and 300 dots an inch. The limit is {MOST_PIXELS} dots '
                          'in width.')


def _matplotlib():
    """The class of figures, and a context manager for settings (with underlines instead of dots)."""
    with needs('A figure', 'matplotlib', 'benchmark'):
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    return Figure, lambda **settings: rc_context({key.replace('_', '.', 1): value for key, value in settings.items()})
