"""Common parts of detectors and segmenters: classes, batches, and boxes in the pixels of a picture."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int, UInt
from torch import Tensor, nn

from vlfusion.console.notes import note
from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.interfaces import Picture
from vlfusion.errors import ConfigError, listing
from vlfusion.guards.ranges import COUNT
from vlfusion.language.captioners.parts import in_batches

Result = TypeVar('Result')
#: Mean and standard deviation of ImageNet's channels in [0, 1], which networks trained there expect.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def place_classes(part: str, own: Mapping[int, str], classes: ClassTable,
                  names: Mapping[str, str] | None = None) -> dict[int, int]:
    """Map each class of a network to a class of the table.

    Args:
        part: name of the network's class, for messages.
        own: the network's class names by number.
        classes: the table of the labels.
        names: own class name -> name in the table; None takes equal names, in any case.

    Returns:
        The network's number of a class -> its number in the table. Classes without a place are absent. A note names
        classes of the table that the network cannot find.

    Raises:
        ConfigError: no class has a place, or `names` holds a name that one side does not know.

    >>> place_classes('Net', {0: 'person', 1: 'dog', 2: 'car'}, ClassTable(('Car', 'Person')))
    {0: 1, 2: 0}
    """
    ours = {name.casefold(): number for number, name in enumerate(classes.names)}
    theirs = {name.casefold(): name for name in own.values()}
    wanted = {name: name for name in theirs if name in ours} if names is None else {
        str(name).casefold(): str(place).casefold() for name, place in names.items()}
    unknown = [*(name for name in wanted if name not in theirs),
               *(name for name in wanted.values() if name not in ours)]
    if unknown or not wanted:
        problem = f'{", ".join(map(repr, unknown))} is no class of' if unknown else 'No class has the same name in'
        raise ConfigError(f'{problem} the network of {part} and the table.\n' + listing([
            f'The network has: {", ".join(own.values())}', f'The table has: {", ".join(classes.names)}']),
            "Write names={'class of the network': 'class of the table', ...}.")
    if never := [name for number, name in enumerate(classes.names)
                 if name.casefold() not in wanted.values() and number != classes.void]:
        note(f'classes that {part} cannot find', f'{part} has no class for {", ".join(never)}, so it never finds one. '
                                                 "Write names={'class of the network': 'class of the table', ...}.")
    return {number: ours[wanted[name.casefold()]] for number, name in own.items() if name.casefold() in wanted}


def check_size(part: str, size: Sequence[int] | None) -> tuple[int, int] | None:
    """Return height and width that a network sees; raise ConfigError unless they are two whole numbers from 1."""
    if size is None:
        return None
    if len(size) != 2:
        raise ConfigError(f'size of {part} is {size!r}.', 'Give height and width, such as size=(480, 640).')
    for number in size:
        COUNT.check(f'size of {part}', number)
    return size[0], size[1]


def in_equal_batches(work: Callable[[list[Picture]], list[Result]], pictures: Sequence[Picture],
                     batch_size: int) -> list[Result]:
    """Call `work` with at most `batch_size` pictures at once, all of one size; return the results of all pictures."""
    return [result for _, same in groupby(pictures, key=lambda picture: picture.shape)
            for result in in_batches(work, list(same), batch_size)]


def device_of(network: nn.Module) -> torch.device:
    """Return the device of a network's weights."""
    return next(network.parameters()).device


def as_tensors(pictures: Sequence[Picture],
               device: torch.device | str = 'cpu') -> Float[Tensor, 'batch 3 height width']:
    """Stack pictures of one size into a batch in [0, 1]."""
    return torch.from_numpy(np.stack(pictures)).to(device).permute(0, 3, 1, 2).float() / 255


def normalised(pictures: Float[Tensor, 'batch 3 height width'], mean: Sequence[float] = MEAN,
               std: Sequence[float] = STD) -> Float[Tensor, 'batch 3 height width']:
    """Subtract the mean of each channel, and divide by its standard deviation."""
    mean, std = (pictures.new_tensor(values).view(-1, 1, 1) for values in (mean, std))
    return (pictures - mean) / std


def counted(labels: Boxes) -> tuple[Float[Tensor, 'box 4'], Int[Tensor, ' box']]:
    """Return corners and classes of the boxes to learn from: all but the ignored ones."""
    kept = np.ones(len(labels), bool) if labels.ignored is None else ~labels.ignored
    return (torch.from_numpy(labels.corners[kept]).float().reshape(-1, 4),
            torch.from_numpy(labels.classes[kept]).long())


def predicted(thing: Mapping[str, Any], places: Mapping[int, int], size: tuple[int, int], top_k: int) -> Boxes:
    """Form predictions in pixels: clipped to the picture, the best first.

    Boxes outside the picture, and those of classes without a place, are left out.

    Args:
        thing: tensors `boxes` (corners in pixels), `scores` and `labels` (the network's numbers of classes).
        places: the network's number of a class -> its number in the table.
        size: height and width of the picture.
        top_k: the largest number of boxes.
    """
    corners, scores = (thing[key].detach().double().cpu().numpy() for key in ('boxes', 'scores'))
    classes = np.array([places.get(number, -1) for number in thing['labels'].tolist()], np.int64)
    corners = corners.reshape(-1, 4).clip(0, (size[1], size[0]) * 2)
    kept = (classes >= 0) & (corners[:, :2] < corners[:, 2:]).all(1)
    order = np.flatnonzero(kept)[np.argsort(-scores[kept], kind='stable')][:top_k]
    return Boxes(corners[order], classes[order], scores[order])


def place_masks(part: str, own: Mapping[int, str], classes: ClassTable,
                names: Mapping[str, str] | None = None) -> UInt[np.ndarray, ' own']:
    """Map each class of a segmenter to a class of the table; those without a place become void.

    Arguments and errors as for `place_classes`.

    Raises:
        ConfigError: also if some class has no place, and the table has no void class.

    >>> place_masks('Net', {0: 'wall', 2: 'car'}, ClassTable(('none', 'Car'), void=0))
    array([0, 0, 1], dtype=uint8)
    """
    places = place_classes(part, own, classes, names)
    if classes.void is None and (homeless := [name for number, name in own.items() if number not in places]):
        raise ConfigError(f'{len(homeless)} classes of the network of {part} have no place in the table, which has no '
                          f'void class: {", ".join(homeless[:5])}.',
                          'Give each a place in names, or the table a void class.')
    # Without a void class, a number that the network leaves free becomes one that is no class, which scores refuse.
    table = np.full(max(own) + 1, len(classes) if classes.void is None else classes.void, classes.dtype)
    table[list(places)] = list(places.values())
    return table
