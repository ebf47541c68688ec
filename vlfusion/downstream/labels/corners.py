"""Checks of labelled boxes: numbers, order of corners, and the border of the image."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.labels.faults import Fault, LabelError

#: Pixels by which a box may pass the border: numbers in text are rounded. The part outside is cut off.
TOLERANCE = 0.5


@dataclass(frozen=True)
class LabelledBox:
    """One box of a label file.

    Attributes:
        place: file and line, for messages.
        number: number of the class.
        corners: `(x0, y0, x1, y1)` in pixels, as in `Boxes`.
        ignored: whether it counts neither as found nor as missed.
        area: pixels of the thing; None for those of the box.
        score: confidence of a prediction in [0, 1]; None for a label.
    """

    place: str
    number: int
    corners: tuple[float, float, float, float]
    ignored: bool = False
    area: float | None = None
    score: float | None = None


def box_fault(box: LabelledBox, size: tuple[int, int], remark: str = '') -> Fault | None:
    """Return the fault of a box in an image; None if it has none.

    Args:
        box: the box.
        size: height and width of the image.
        remark: advice on a box outside, in a few words.
    """
    height, width = size
    x0, y0, x1, y1 = box.corners
    words = f'the box from ({x0:g}, {y0:g}) to ({x1:g}, {y1:g})'
    if not all(map(math.isfinite, box.corners)):
        return Fault('not readable', box.place, f'{words} is not finite')
    if x1 <= x0 or y1 <= y0:
        return Fault('not readable', box.place, f'{words} has the size {x1 - x0:g}x{y1 - y0:g} (width x height); '
                                                'expected more than 0')
    beyond = max(-x0, -y0, x1 - width, y1 - height)
    inside = min(x1, width) > max(x0, 0) and min(y1, height) > max(y0, 0)
    if beyond > TOLERANCE or not inside:
        return Fault('box outside', box.place, f'{words} reaches {beyond:.4g} pixels out of the image, which has '
                                               f'{width}x{height} (width x height){remark}')
    return None


def as_boxes(boxes: Iterable[LabelledBox], size: tuple[int, int], faults: Iterable[Fault] = (),
             remark: str = '', bounded: bool = True) -> Boxes:
    """Collect the boxes of an image.

    Boxes that pass the border of the image by up to half a pixel are cut there.

    Args:
        boxes: the boxes.
        size: height and width of the image.
        faults: faults that were found before.
        remark: advice on a box outside, in a few words.
        bounded: False for predictions, which may reach out of the image or have no area. They stay as they are.

    Raises:
        LabelError: lists every box that is not finite, has no area, or reaches out of the image.
    """
    boxes, faults = list(boxes), list(faults)
    if bounded:
        faults += filter(None, (box_fault(box, size, remark) for box in boxes))
    if faults:
        raise LabelError(faults)
    height, width = size
    corners = np.array([box.corners for box in boxes], np.float64).reshape(-1, 4)
    corners = corners.clip(0, [width, height, width, height]) if bounded else corners
    scored = bool(boxes) and all(box.score is not None for box in boxes)
    return Boxes(
        corners, np.array([box.number for box in boxes], np.int64),
        np.array([box.score for box in boxes], np.float64) if scored else None,
        ignored=np.array([box.ignored for box in boxes]) if any(box.ignored for box in boxes) else None,
        areas=np.array([_area(box) for box in boxes]) if any(box.area is not None for box in boxes) else None)


def _area(box: LabelledBox) -> float:
    x0, y0, x1, y1 = box.corners
    return (x1 - x0) * (y1 - y0) if box.area is None else box.area
