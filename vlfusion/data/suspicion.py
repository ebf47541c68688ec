"""Signs that the sources of a pair are not what the task expects: false colours, swapped sides, one picture twice."""

from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from vlfusion.console.notes import note
from vlfusion.imaging.tasks import Task

#: How far the channels of a pixel lie apart on average, as a part of their range: in false colours at least, in any
#: colours at least, and in a grey image at most. Video and JPEG give grey images a tint between the last two.
_FALSE, _SOME, _NONE = 0.1, 0.01, 0.003


def note_suspicion(path_a: Path, path_b: Path, image_a: Shaped[np.ndarray, 'h w ...'],
                   image_b: Shaped[np.ndarray, 'h w ...'], task: Task) -> None:
    """Say once a run where the images of a pair look like a mistake.

    Args:
        path_a: of source A, for the note.
        path_b: of source B.
        image_a: as `read_image` returns it.
        image_b: likewise.
        task: says which sources are grey: in a task that takes colour from source B, source A is.
    """
    if np.array_equal(image_a, image_b):
        note('one picture', f'{path_a} and {path_b} are the same picture; there is nothing to fuse.')
    elif task.chroma == 'visible':
        colour_a, colour_b = _colour(image_a), _colour(image_b)
        if colour_a > _SOME and colour_b < _NONE:
            note('swapped', f'{path_a} (source A, {task.modality_a}) is in colour and {path_b} (source B, '
                            f'{task.modality_b}) is grey. If they are swapped, give them the other way round; false '
                            'colours should be exported in grey.')
        elif colour_a > _FALSE:
            note('false colours', f'{path_a} is in colour, but source A of {task.name} is {task.modality_a}, which is '
                                  'grey. False colours lose the order of its values: export it in grey.')


def _colour(image: Shaped[np.ndarray, 'h w ...']) -> float:
    """The mean difference of a pixel's largest and smallest channel, as a part of their range; of every 16th pixel."""
    if image.ndim == 2:
        return 0.0
    few = image[::4, ::4]
    return float((few.max(axis=-1) - few.min(axis=-1)).mean() / np.iinfo(image.dtype).max)
