"""Save fused pictures: grey by the protocol, colour by the colour rule, and a contact sheet."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from mmengine.hooks import Hook
from mmengine.logging import print_log

from vlfusion.data.names import inside
from vlfusion.data.pairs import Pair
from vlfusion.errors import one_line
from vlfusion.guards.outputs import check_outputs
from vlfusion.imaging.chroma import chroma_name
from vlfusion.imaging.images import read_image, to_8bit, write_image
from vlfusion.imaging.lettering import Pen, fonts_for, wrap
from vlfusion.imaging.picture import make_picture
from vlfusion.imaging.protocol import get_protocol
from vlfusion.imaging.reading.rule import AS_STORED
from vlfusion.imaging.tasks import get_task
from vlfusion.registry import HOOKS

#: Sizes on a sheet in pixels: height of letters, height of lines, gap between pictures.
LETTERS, LINE, GAP = 12, 16, 4


@HOOKS.register_module()
class SaveFusedHook(Hook):
    """Write each tested pair as `OUT/grey/NAME.png` and `OUT/colour/NAME.png`, and finally a sheet `OUT/sheet.png`.

    The sheet has the name of the data set at its top, and shows some of the pairs with the words that the model read.

    Args:
        task: the task, which names the sources on the sheet and sets the default of `chroma`.
        out: the folder to write to.
        protocol: name of the conversion of outputs to grey levels.
        chroma: name of the colour rule; by default the task's.
        sheet_rows: number of pairs on the sheet, spread evenly over the data set.
    """

    def __init__(self, task: str, out: str, protocol: str = 'film', sheet_rows: int = 6, chroma: str | None = None):
        self.task = get_task(task)
        self.out = Path(out)
        self.protocol = get_protocol(protocol)
        self.chroma = chroma_name(chroma or self.task.chroma)
        self.sheet_rows = sheet_rows

    def after_test_iter(self, runner, batch_idx: int, data_batch: dict, outputs: list[dict]) -> None:
        for i, output in enumerate(outputs):
            sources = [self._source(data_batch, side, i) for side in 'ab']
            picture = make_picture(output['fused'][None], *sources, protocol=self.protocol, chroma=self.chroma,
                                   colour_strength=output.get('colour_strength', 1.))
            picture.save(inside(self.out / 'grey', output['name'], '.png'), grey=True)
            picture.save(inside(self.out / 'colour', output['name'], '.png'))
            if i == 0 and batch_idx in self.sheet_batches:
                self.rows.append((output['name'], [*sources, picture.colour]))

    def before_test(self, runner) -> None:
        dataset = runner.test_dataloader.dataset
        names = [pair.name for pair in getattr(dataset, 'pairs', ())] or getattr(dataset, 'names', [])
        check_outputs([inside(self.out / kind, name, '.png') for kind in ('grey', 'colour') for name in names]
                      + [self.out / 'sheet.png'], dataset.files())

    def before_test_epoch(self, runner) -> None:
        batches = len(runner.test_dataloader)
        shown = np.linspace(0, batches - 1, min(self.sheet_rows, batches)).round()
        self.sheet_batches = set(shown.astype(int).tolist())
        self.rows: list[tuple[str, list[np.ndarray]]] = []
        pairs = getattr(runner.test_dataloader.dataset, 'pairs', ())
        self.readings = {str(path): reading for pair in pairs for path, reading in pair.sources}

    def after_test_epoch(self, runner, metrics: dict | None = None) -> None:
        if runner.rank == 0 and self.rows:
            dataset = runner.test_dataloader.dataset
            pairs = {pair.name: pair for pair in getattr(dataset, 'pairs', ())}
            words = {name: _words(dataset, pairs[name]) for name, _ in self.rows if name in pairs}
            shown = [pairs[name] for name, _ in self.rows if name in pairs]
            titles = [self._title(side, shown) for side in 'ab']
            write_image(self.out / 'sheet.png', contact_sheet(self.rows, (*titles, 'fused'), words=words,
                                                              heading=dataset.name))

    def _title(self, side: str, pairs: Sequence[Pair]) -> str:
        """Return the name of a source: that of the pairs if all agree, otherwise that of the task."""
        modalities = {getattr(pair, f'modality_{side}') for pair in pairs}
        return modalities.pop() if len(modalities) == 1 and all(modalities) else getattr(self.task, f'modality_{side}')

    def _source(self, batch: dict, side: str, index: int) -> np.ndarray:
        """Read a source image as the data set does; if the data set has no image files, return its luminance."""
        path = batch[f'path_{side}'][index]
        if Path(path).is_file():
            return read_image(path, self.readings.get(path, AS_STORED), for_output=True)
        return (batch[f'source_{side}'][index, 0] * 255).round().byte().cpu().numpy()


def _words(dataset: object, pair: Pair) -> list[str]:
    """Return the words that the model read for a pair, one paragraph for each text."""
    sources = getattr(dataset, 'text_sources', {})
    return list(dict.fromkeys(f'{f"{key}: " * (len(sources) > 1)}{about}: {text}' for key, source in sources.items()
                              for about, text in source.words(pair).items()))


def contact_sheet(rows: Sequence[tuple[str, Sequence[np.ndarray]]], titles: Sequence[str], height: int = 192,
                  words: Mapping[str, Sequence[str]] | None = None, heading: str = '',
                  note: Callable[[str], None] | None = None) -> UInt8[np.ndarray, 'h w 3']:
    """Draw rows of images under column titles. Each row has its name above it, and optionally words below.

    Args:
        rows: name and images of each row; images as `read_image` returns them, one for each title.
        titles: titles of the columns.
        height: height of each image in pixels; images wider than four heights are scaled down further.
        words: paragraphs by the name of the row.
        heading: heading of the sheet.
        note: called with a message about letters that no installed font has; by default it is logged.

    Returns:
        The sheet in BGR.
    """
    words = words or {}
    texts = (text for paragraphs in words.values() for text in paragraphs)
    fonts = fonts_for([heading, *titles, *(name for name, _ in rows), *texts])
    if fonts.note:
        (note or partial(print_log, logger='current', level=logging.WARNING))(fonts.note)
    pen = Pen(fonts, LETTERS)
    tiles = [[_tile(image, height) for image in images] for _, images in rows]
    widths = [max(row[column].shape[1] for row in tiles) for column in range(len(titles))]
    whole = [sum(widths)]
    bands = [_band([heading], whole, pen)] if heading else []
    bands.append(_band(titles, widths, pen))
    for (name, _), images in zip(rows, tiles, strict=True):
        tallest = max(image.shape[0] for image in images)
        strip = cv2.hconcat([_on_white(image, tallest, width) for image, width in zip(images, widths, strict=True)])
        bands += [_band([name], whole, pen), strip, *(_band([text], whole, pen) for text in words.get(name, ()))]
        if words.get(name):
            bands.append(np.full((2 * GAP, sum(widths), 3), 255, np.uint8))
    return cv2.vconcat(bands)


def _tile(image: np.ndarray, height: int) -> np.ndarray:
    """Convert an image to 8-bit colour, in its size on the sheet."""
    image = to_8bit(image)
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    scale = min(height / image.shape[0], 4 * height / image.shape[1])
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    return _on_white(image, size[1] + GAP, size[0] + GAP)


def _on_white(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Extend an image with white at its bottom and right."""
    return cv2.copyMakeBorder(image, 0, height - image.shape[0], 0, width - image.shape[1], cv2.BORDER_CONSTANT,
                              value=(255,) * 3)


def _band(words: Sequence[str], widths: Sequence[int], pen: Pen) -> UInt8[np.ndarray, 'h w 3']:
    """Draw a line of texts for columns of these widths, each wrapped to its column."""
    columns = [wrap(one_line(text), width - 2 * GAP, pen.length) for text, width in zip(words, widths, strict=True)]
    height = LINE * max(1, *map(len, columns)) + GAP
    band = np.full((height, sum(widths), 3), 255, np.uint8)
    return pen.write(band, [(sum(widths[:column]) + 3, LINE * (row + 1) - 2, line)
                            for column, lines in enumerate(columns) for row, line in enumerate(lines)])
