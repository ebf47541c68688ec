"""Signs that a pair is a mistake: false colours, swapped sources, the same picture twice, sources out of register."""

from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from vlfusion.console.notes import note
from vlfusion.imaging.images import luminance
from vlfusion.imaging.registration import edges
from vlfusion.imaging.registration.motion import distance, in_pixels
from vlfusion.imaging.tasks import Task

#: Mean spread of a pixel's channels, as a fraction of their range: least value for false colours, least value for any
#: colours, largest value for a grey image. Video and JPEG can give grey images a tint between the last two.
_FALSE, _SOME, _NONE = 0.1, 0.01, 0.003
#: Longer sides of the images on which a movement is looked for, in pixels. Least movement that is told, as a share of
#: the longer side; least distinctness under it; and most distinctness without it, relative to that.
_SIZES, _MOVED, _DISTINCT, _UNMOVED = (128, 256), 0.015, 1.35, 0.9


def note_suspicion(path_a: Path, path_b: Path, image_a: Shaped[np.ndarray, 'h w ...'],
                   image_b: Shaped[np.ndarray, 'h w ...'], task: Task) -> None:
    """Give a note, once a run, if the images of a pair look like a mistake.

    Args:
        path_a: path of source A, for the note.
        path_b: path of source B.
        image_a: image of source A as `read_image` returns it.
        image_b: image of source B as `read_image` returns it.
        task: the task; if it takes colour from source B, source A should be grey.
    """
    if np.array_equal(image_a, image_b):
        note('one picture', f'{path_a} and {path_b} are the same picture, so there is nothing to fuse.')
    elif task.chroma == 'visible':
        colour_a, colour_b = _colour(image_a), _colour(image_b)
        if colour_a > _SOME and colour_b < _NONE:
            note('swapped', f'{path_a} (source A, {task.modality_a}) is in colour and {path_b} (source B, '
                            f'{task.modality_b}) is grey. If they are swapped, exchange them. If the colours are false '
                            'colours, export the image in grey.')
        elif colour_a > _FALSE:
            note('false colours', f'{path_a} is in colour, but source A of {task.name} is {task.modality_a}, which is '
                                  'grey. False colours lose the order of the values: export the image in grey.')


def note_misalignment(path_a: Path, path_b: Path, image_a: Shaped[np.ndarray, 'h w ...'],
                      image_b: Shaped[np.ndarray, 'h w ...']) -> None:
    """Give a note, once a run, if the edges of two images clearly agree better after a movement.

    Only movements that begin near none are found, and nothing is said where edges are not clear, as with PET. On one
    core it takes about 0.2 seconds. `vlfusion check-pairs` looks closer.

    Args:
        path_a: path of source A, for the note.
        path_b: path of source B.
        image_a: image of source A as `read_image` returns it.
        image_b: image of source B as `read_image` returns it, of the same size.
    """
    a, b = luminance(image_a, 'bt601'), luminance(image_b, 'bt601')
    matrix, identity = edges.refine(a, b, np.eye(3), 'similarity', _SIZES), np.eye(3)
    offset = distance(in_pixels(matrix, a.shape), identity, a.shape)
    distinct = edges.distinctness(a, b, matrix)
    if (offset > _MOVED * max(a.shape) and distinct >= _DISTINCT
            and edges.distinctness(a, b, identity) < _UNMOVED * distinct):
        note('misaligned', f'{path_a} and {path_b} look misaligned, by about {offset:.0f} pixels. Scores of fused '
                           'images then mean little. `vlfusion check-pairs` measures all pairs, and can register them.')


def _colour(image: Shaped[np.ndarray, 'h w ...']) -> float:
    """Return the mean spread of the channels of every 16th pixel, as a fraction of their range."""
    if image.ndim == 2:
        return 0.0
    pixels = image[::4, ::4]
    return float((pixels.max(axis=-1) - pixels.min(axis=-1)).mean() / np.iinfo(image.dtype).max)
