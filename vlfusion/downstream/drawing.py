"""Boxes and masks drawn over pictures, to look at."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.interfaces import IGNORED, Mask, Picture
from vlfusion.errors import needs

#: Colours of classes without a palette: matplotlib's `tab10`, repeated.
COLOURS = ((31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189), (140, 86, 75),
           (227, 119, 194), (127, 127, 127), (188, 189, 34), (23, 190, 207))
#: Colour of labels beside predictions.
LABEL = (255, 255, 255)


def colours_of(classes: ClassTable) -> list[tuple[int, int, int]]:
    """Return the colour `(r, g, b)` of each class: its palette's, or one of `COLOURS`."""
    return list(classes.palette) or [COLOURS[index % len(COLOURS)] for index in range(len(classes))]


def draw(picture: Picture, found: Boxes | Mask, classes: ClassTable, label: Boxes | None = None,
         least: float = 0.3) -> UInt8[np.ndarray, 'height width 3']:
    """Return a copy of a picture with boxes or a mask over it.

    Args:
        picture: RGB picture.
        found: boxes or the mask of a network, or those of a label.
        classes: the class table.
        label: labelled boxes to draw thinly in white below those that were found.
        least: least score of a box that is drawn.
    """
    with needs('Drawing boxes and masks', 'torchvision', 'downstream'):
        from torchvision.utils import draw_bounding_boxes, draw_segmentation_masks
    image, colours = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1), colours_of(classes)
    if not isinstance(found, Boxes):
        shown = [number for number in range(len(classes)) if number != classes.void]
        layers = torch.from_numpy(np.stack([np.asarray(found) == number for number in shown]) &
                                  (np.asarray(found) != IGNORED))
        drawn = draw_segmentation_masks(image, layers, alpha=0.5, colors=[colours[number] for number in shown])
        return drawn.permute(1, 2, 0).numpy()
    width = max(1, round(min(picture.shape[:2]) / 200))
    if label is not None and len(label):
        image = draw_bounding_boxes(image, _corners(label, range(len(label))), colors=LABEL, width=width)
    scores = np.ones(len(found)) if found.scores is None else found.scores
    # The best lies on top.
    shown = [index for index in np.argsort(scores, kind='stable').tolist() if scores[index] >= least]
    if shown:
        image = draw_bounding_boxes(image, _corners(found, shown), width=2 * width,
                                    colors=[colours[number] for number in found.classes[shown]])
    return image.permute(1, 2, 0).numpy()


def _corners(boxes: Boxes, indices: Sequence[int]) -> Float[Tensor, 'shown 4']:
    return torch.from_numpy(np.asarray(boxes.corners, float)[list(indices)])
