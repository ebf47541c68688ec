"""Class tables: which number stands for which name in the labels of a data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np

from vlfusion.errors import ConfigError, UnknownNameError, did_you_mean, needs, short_repr


@dataclass(frozen=True)
class ClassTable:
    """The classes of a data set, in the order of their numbers.

    Attributes:
        names: names by number. In masks, number 0 is the first.
        void: number of the class of pixels without a label, such as 0 in MSRS; None if there is none, as for boxes.
        palette: colour `(r, g, b)` of each class; empty if the set has no palette.
    """

    names: tuple[str, ...]
    void: int | None = None
    palette: tuple[tuple[int, int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @property
    def dtype(self) -> np.dtype:
        """The smallest type of a mask: it holds the number of each class, and one more that is no class.

        >>> ClassTable(('People', 'Car')).dtype
        dtype('uint8')
        """
        return np.min_scalar_type(len(self))

    def number_of(self, name: str) -> int | None:
        """Return the number of a class by its name, in any letter case; None if no class has the name.

        >>> ClassTable(('People', 'Car')).number_of('car')
        1
        """
        plain = {known.casefold(): number for number, known in enumerate(self.names)}
        return plain.get(name.strip().casefold())


#: Classes as a config or a call gives them: a table, the name of a published one, a list of names, or a dict of
#: `names`, `void` and `palette`.
Classes: TypeAlias = ClassTable | str | Sequence[str] | Mapping

_ROAD = ClassTable(
    ('unlabelled', 'car', 'person', 'bike', 'curve', 'car_stop', 'guardrail', 'color_cone', 'bump'), void=0,
    palette=((0, 0, 0), (64, 0, 128), (64, 64, 0), (0, 128, 192), (0, 0, 192), (128, 128, 0), (64, 64, 128),
             (192, 128, 128), (192, 64, 0)))
#: Published tables by the name of their data set.
TABLES = {
    # The loader of TarDAL, and the YAML file of DCEvo, which calls the same numbers people, car, bus, light, moto and
    # trunk. Other lists in use have Motorcycle before Lamp; they are right for XML labels only, which hold names.
    'M3FD': ClassTable(('People', 'Car', 'Bus', 'Lamp', 'Motorcycle', 'Truck')),
    'LLVIP': ClassTable(('person',)),
    # Its files number the two as COCO does, 0 and 2: `YOLOLabels(ids=[0, 2])`.
    'MSRS detection': ClassTable(('person', 'car')),
    'MSRS': _ROAD,
    'MFNet': _ROAD,
    # The colours are those that MRFS writes with OpenCV, in red, green, blue.
    'FMB': ClassTable(
        ('background', 'Road', 'Sidewalk', 'Building', 'Lamp', 'Sign', 'Vegetation', 'Sky', 'Person', 'Car', 'Truck',
         'Bus', 'Motorcycle', 'Bicycle', 'Pole'), void=0,
        palette=((0, 0, 0), (179, 228, 228), (181, 57, 133), (67, 162, 177), (200, 178, 50), (132, 45, 199),
                 (66, 172, 84), (179, 73, 79), (76, 99, 166), (66, 121, 253), (137, 165, 91), (155, 97, 152),
                 (105, 153, 140), (222, 215, 158), (135, 113, 90))),
}


def get_classes(classes: Classes) -> ClassTable:
    """Return a class table.

        get_classes('M3FD')
        get_classes(['person', 'car'])
        get_classes(dict(names=['void', 'person'], void=0, palette=[[0, 0, 0], [255, 0, 0]]))

    Args:
        classes: a table; the name of a published one, in any letter case, with or without hyphens and spaces, or
            `COCO`, whose 80 names come from torchvision; a list of names; or a dict of the attributes of a table.

    Raises:
        UnknownNameError: no published table has the name.
        ConfigError: the names, the void class or the palette are not valid, or torchvision is not installed.
    """
    if isinstance(classes, ClassTable):
        return classes
    if isinstance(classes, str):
        if _plain(classes) == 'coco':
            return _coco()
        published = {_plain(name): table for name, table in TABLES.items()}
        if _plain(classes) in published:
            return published[_plain(classes)]
        raise UnknownNameError(f'There is no class table {classes!r}.', did_you_mean(classes, [*TABLES, 'COCO'])
                               + "\n     Or write the names in the order of their numbers: classes=['person', 'car'].")
    table = _table_of(classes)
    _check(table)
    return table


def reordered(table: ClassTable) -> str:
    """Return the name of a published table with the same names in another order; empty if there is none.

    >>> reordered(ClassTable(('People', 'Car', 'Bus', 'Motorcycle', 'Lamp', 'Truck')))
    'M3FD'
    """
    names = [name.casefold() for name in table.names]
    for known, published in TABLES.items():
        others = [name.casefold() for name in published.names]
        if names != others and sorted(names) == sorted(others):
            return known
    return ''


def _plain(name: str) -> str:
    return name.translate(str.maketrans('', '', '-_ ')).casefold()


@cache
def _coco() -> ClassTable:
    with needs('The class table of COCO', 'torchvision', 'downstream'):
        from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights
    categories = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta['categories']
    return ClassTable(tuple(name for name in categories if name not in ('__background__', 'N/A')))


def _table_of(classes: Sequence[str] | Mapping) -> ClassTable:
    facts = classes if isinstance(classes, Mapping) else dict(names=classes)
    if unknown := facts.keys() - {'names', 'void', 'palette'}:
        raise ConfigError(f'A class table has no {sorted(unknown)[0]!r}.',
                          did_you_mean(sorted(unknown)[0], ('names', 'void', 'palette')))
    names = facts.get('names')
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f'The names of the classes are {short_repr(names)}; expected a list of words.',
                          "Write them in the order of their numbers, such as classes=['person', 'car'].")
    return ClassTable(tuple(names), facts.get('void'), tuple(map(tuple, facts.get('palette') or ())))


def _check(table: ClassTable) -> None:
    plain = [name.casefold() for name in table.names]
    if twice := next((name for name in table.names if plain.count(name.casefold()) > 1), ''):
        raise ConfigError(f'The class table names {twice!r} twice.', 'Every number has a name of its own.')
    if table.void is not None and table.void not in range(len(table)):
        raise ConfigError(f'The void class is {table.void!r}, but the classes are numbered 0 to {len(table) - 1}.',
                          'Give the number of the class of pixels without a label, or leave it out.')
    if table.palette and (len(table.palette) != len(table) or not all(map(_is_colour, table.palette))):
        raise ConfigError(f'The palette {short_repr(table.palette)} does not fit {len(table)} classes.',
                          'Give red, green and blue, from 0 to 255, for every class.')


def _is_colour(colour: tuple) -> bool:
    return len(colour) == 3 and all(isinstance(value, int) and 0 <= value <= 255 for value in colour)
