"""Signs that the sources of a pair do not fit the task: false colours, swapped sources, the same picture twice."""

from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from vlfusion.console.notes import note
from vlfusion.imaging.tasks import Task

#: Mean spread of a pixel's channels, as a fraction of their range: least value for false colours, least value for any
#: colours, largest value for a grey image. Video and JPEG can give grey images a tint between the last two.
_FALSE, _SOME, _NONE = 0.1, 0.01, 0.003


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


def _colour(image: Shaped[np.ndarray, 'h w ...']) -> float:
    """Return the mean spread of the channels of every 16th pixel, as a fraction of their range."""
    if image.ndim == 2:
        return 0.0
    pixels = image[::4, ::4]
    return float((pixels.max(axis=-1) - pixels.min(axis=-1)).mean() / np.iinfo(image.dtype).max)
