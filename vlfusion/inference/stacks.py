"""Stacks: pictures that are read one at a time, and the orders in which a method for pairs fuses them."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from vlfusion.errors import ConfigError, DataError, did_you_mean
from vlfusion.imaging.arrays import AnyImage, as_image
from vlfusion.imaging.images import luminance, read_image
from vlfusion.imaging.reading.rule import AS_STORED, Reading
from vlfusion.system.workers import in_order

#: Orders in which a method for pairs fuses a stack. `tree`: the fused first half with the fused second half. `chain`:
#: the first two, the result with the third, and so on. `reverse`: a chain from the last to the first.
ORDERS = ('tree', 'chain', 'reverse')
#: Images that are being read, or are read and not used yet.
_AHEAD = 2

Item = TypeVar('Item')


class Pictures(Sequence):
    """The pictures of a stack. Each is read when it is asked for, so memory holds few of them.

    Args:
        sources: files, or images in memory as for `vlfusion.imaging.arrays.as_image`, of one height and width.
        reading: rule by which the files are read.
        depth: bits of the fused picture, for the note of what it loses.

    Attributes:
        size: height and width.

    Raises:
        DataError: there are fewer than two; or, when it is read, a picture is no image or has another size.
    """

    def __init__(self, sources: Sequence[AnyImage], reading: Reading = AS_STORED, depth: int = 8):
        if len(sources) < 2:
            raise DataError(f'A stack has two pictures or more, but there {"is one" if sources else "are none"}.',
                            'Give all pictures of the scene.')
        self._sources, self._reading, self._depth = sources, reading, depth
        self.size = self._read(0).shape[:2]

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, place: int) -> Shaped[np.ndarray, 'h w *bgr']:
        image = self._read(place)
        if image.shape[:2] != self.size:
            (height, width), (first_height, first_width) = image.shape[:2], self.size
            raise DataError(f'The pictures of the stack differ in size: {self._name(0)} is {first_width}x'
                            f'{first_height}, {self._name(place)} is {width}x{height}.',
                            'Register and resize them first.')
        return image

    def __iter__(self) -> Iterator[Shaped[np.ndarray, 'h w *bgr']]:
        with ThreadPoolExecutor(1) as pool:
            yield from in_order(pool, self.__getitem__, range(len(self)), _AHEAD)

    def _read(self, place: int) -> np.ndarray:
        source = self._sources[place]
        if isinstance(source, str | os.PathLike):
            return read_image(source, self._reading, for_output=True, depth=self._depth)
        return as_image(source, self._name(place))

    def _name(self, place: int) -> str:
        source, number = self._sources[place], range(len(self))[place] + 1
        return str(source) if isinstance(source, str | os.PathLike) else f'picture {number}'


class Luminances:
    """The luminance of a stack's pictures in [0, 1], `(1, 1, h, w)`: a `vlfusion.models.stacks.Stack`."""

    def __init__(self, pictures: Pictures):
        self._pictures = pictures

    def __len__(self) -> int:
        return len(self._pictures)

    def __iter__(self) -> Iterator[Float[Tensor, '1 1 h w']]:
        return (torch.from_numpy(luminance(picture))[None, None] for picture in self._pictures)


def fold(items: Sequence[Item], merge: Callable[[Item, Item], Item], order: str = 'tree') -> Item:
    """Merge items two at a time, in an order that `ORDERS` names. Earlier items are the left ones, except in `reverse`.

    >>> {order: fold('12345', lambda left, right: f'({left}{right})', order) for order in ORDERS}
    {'tree': '(((12)3)(45))', 'chain': '((((12)3)4)5)', 'reverse': '((((54)3)2)1)'}

    Raises:
        ConfigError: the order is unknown.
    """
    if order not in ORDERS:
        raise ConfigError(f'Unknown order {order!r}.', did_you_mean(order, ORDERS))
    if order == 'tree':
        middle = (len(items) + 1) // 2
        return merge(*(fold(part, merge) if len(part) > 1 else part[0] for part in (items[:middle], items[middle:])))
    return reduce(merge, items if order == 'chain' else reversed(items))
