"""Boxes in an image, as labels say and detectors predict."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Boxes:
    """Boxes in one image.

    Attributes:
        corners: `(x0, y0, x1, y1)` in pixels from the upper left corner of the image, float64. A box over the whole
            image is `(0, 0, width, height)`.
        classes: index of each box's class in a `ClassTable`, int64.
        scores: confidence of each prediction in [0, 1], float64; labels have none.
        ignored: labels that count neither as found nor as missed: `iscrowd` of COCO, `difficult` of VOC. None stands
            for no such label.
        areas: pixels of each labelled thing where the label says so, as COCO's `area`; None for the boxes' own areas.
    """

    corners: Float[np.ndarray, 'box 4']
    classes: Int[np.ndarray, ' box']
    scores: Float[np.ndarray, ' box'] | None = None
    ignored: Bool[np.ndarray, ' box'] | None = field(default=None, kw_only=True)
    areas: Float[np.ndarray, ' box'] | None = field(default=None, kw_only=True)

    def __len__(self) -> int:
        return len(self.corners)
