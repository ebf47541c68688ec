"""Saving what a model fused: grey by the protocol, colour by the task's rule, and a contact sheet."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from mmengine.hooks import Hook

from vlfusion.data.names import inside
from vlfusion.data.tasks import task as task_of
from vlfusion.images import add_chroma, read_image, write_image
from vlfusion.metrics.protocol import protocol as protocol_of
from vlfusion.outputs import check_outputs
from vlfusion.reading.rule import AS_STORED
from vlfusion.registry import HOOKS


@HOOKS.register_module()
class SaveFusedHook(Hook):
    """Writes each tested pair as `OUT/grey/NAME.png` and `OUT/colour/NAME.png`, and `OUT/sheet.png`, headed by the data
    set's name, at the end.

    Args:
        task: decides whose chroma the colour results get.
        out: the folder.
        protocol: how a network's output becomes grey levels.
        sheet_rows: how many pairs the contact sheet shows, spread evenly over the data set.
    """

    def __init__(self, task: str, out: str, protocol: str = 'film', sheet_rows: int = 6):
        self.task = task_of(task)
        self.out = Path(out)
        self.protocol = protocol_of(protocol)
        self.sheet_rows = sheet_rows

    def after_test_iter(self, runner, batch_idx: int, data_batch: dict, outputs: list[dict]) -> None:
        for i, output in enumerate(outputs):
            grey = self.protocol.quantise(output['fused'][None])[0, 0].cpu().numpy()
            sources = [self._source(data_batch, side, i) for side in 'ab']
            colour = add_chroma(grey, *sources, self.task.chroma)
            write_image(inside(self.out / 'grey', output['name'], '.png'), grey)
            write_image(inside(self.out / 'colour', output['name'], '.png'), colour)
            if i == 0 and batch_idx in self.sheet_batches:
                self.rows.append((output['name'], [*sources, colour]))

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
            titles = self.task.modality_a, self.task.modality_b, 'fused'
            sheet = contact_sheet(self.rows, titles)
            write_image(self.out / 'sheet.png', _caption(sheet, [runner.test_dataloader.dataset.name]))

    def _source(self, batch: dict, side: str, index: int) -> np.ndarray:
        """A source image as the data set reads it; its luminance where the data set holds no image files."""
        path = batch[f'path_{side}'][index]
        if Path(path).is_file():
            return read_image(path, self.readings.get(path, AS_STORED), for_output=True)
        return (batch[f'source_{side}'][index, 0] * 255).round().byte().cpu().numpy()


def contact_sheet(rows: list[tuple[str, list[np.ndarray]]], titles: tuple[str, ...],
                  height: int = 192) -> UInt8[np.ndarray, 'h w 3']:
    """Rows of images side by side, under column titles, each row with its name.

    Args:
        rows: name and images, each as `read_image` returns it; every row has as many images as there are titles.
        titles: one per column.
        height: of each image, in pixels.
    """
    strips = []
    for name, images in rows:
        strip = cv2.hconcat([_tile(image, height) for image in images])
        strips.append(_caption(strip, [name]))
    width = max(strip.shape[1] for strip in strips)
    strips = [cv2.copyMakeBorder(strip, 0, 0, 0, width - strip.shape[1], cv2.BORDER_CONSTANT, value=(255,) * 3)
              for strip in strips]
    return _caption(cv2.vconcat(strips), list(titles))


def _tile(image: np.ndarray, height: int) -> np.ndarray:
    if image.dtype == np.uint16:
        image = (image // 257).astype(np.uint8)
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    width = round(image.shape[1] * height / image.shape[0])
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.copyMakeBorder(image, 0, 4, 0, 4, cv2.BORDER_CONSTANT, value=(255,) * 3)


def _caption(image: np.ndarray, words: list[str]) -> np.ndarray:
    """The image under a white band with the words, spread evenly over its width."""
    band = np.full((20, image.shape[1], 3), 255, np.uint8)
    for column, word in enumerate(words):
        left = column * image.shape[1] // len(words) + 3
        cv2.putText(band, word, (left, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return cv2.vconcat([band, image])
