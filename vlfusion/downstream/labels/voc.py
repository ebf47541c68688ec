"""Boxes in the XML files of PASCAL VOC."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers.expat import ExpatError, ParserCreate

from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import Classes, ClassTable
from vlfusion.downstream.labels.corners import LabelledBox, as_boxes
from vlfusion.downstream.labels.faults import Fault, LabelError, at_line
from vlfusion.downstream.labels.files import LabelFiles
from vlfusion.errors import ConfigError
from vlfusion.registry import LABELS

_CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')
_REMARK = "; pixels of VOC count from 1. If the numbers are edges of boxes, as in LLVIP, write corners='edges'"


@LABELS.register_module()
class VOCLabels(LabelFiles):
    """Boxes in an XML file for each image, as in PASCAL VOC and LLVIP. Things marked `difficult` are ignored.

    VOC numbers pixels from 1, and both corners belong to the box. So `xmin = 1` is the left edge of the image, and
    `xmax` its width at the right edge. LLVIP's own code and labelImg take the same numbers as edges of the box, from 0
    to the width. Nothing in a file tells which is meant, and the box differs by a pixel.

    Files with a document type are refused: its entities can name other files or fill the memory.

    Args:
        place: folder or pattern of the `.xml` files.
        classes: the class table; names are compared in any letter case.
        data_root: folder that `place` is relative to.
        corners: `pixels` for VOC's numbers, `edges` for LLVIP's.
        names: class of the table for each other name in the files, such as `dict(light='Lamp')`; None leaves out the
            things of a name.

    Raises:
        DataError: there are no such files, or several have one name.
        ConfigError: `names` leads to a class that the table does not have.
    """

    kind = 'boxes'
    suffixes = ('.xml',)

    def __init__(self, place: str, classes: Classes, data_root: str | os.PathLike = '.', *,
                 corners: Literal['pixels', 'edges'] = 'pixels', names: Mapping | None = None):
        super().__init__(place, classes, data_root)
        self.corners, self.renamed = corners, names or {}
        require_classes(self.renamed, self.classes)

    def size(self, name: str) -> tuple[int, int] | None:
        stated = read_xml(self._file(name))[0].find('size')
        texts = [stated.findtext(key, '').strip() for key in ('height', 'width')] if stated is not None else ['']
        return tuple(map(int, texts)) if all(text.isdecimal() and int(text) for text in texts) else None

    def read(self, name: str, size: tuple[int, int]) -> Boxes:
        path = self._file(name)
        root, lines = read_xml(path)
        faults = list(self._size_faults(path, root, lines, size))
        boxes = []
        for thing in root.iter('object'):
            box = self._box(thing, at_line(path, lines[thing]))
            if box:
                (faults if isinstance(box, Fault) else boxes).append(box)
        return as_boxes(boxes, size, faults, _REMARK if self.corners == 'pixels' else '')

    def _box(self, thing: Element, place: str) -> LabelledBox | Fault | None:
        name = (thing.findtext('name') or '').strip()
        if name in self.renamed and self.renamed[name] is None:
            return None
        number = self.classes.number_of(self.renamed.get(name, name))
        if number is None:
            return Fault('unknown class', place, f'the class is {name!r}; expected one of '
                                                 f'{", ".join(self.classes.names)}')
        texts = [thing.findtext(f'bndbox/{corner}', '').strip() for corner in _CORNERS]
        try:
            x0, y0, x1, y1 = map(float, texts)
        except ValueError:
            return Fault('not readable', place, 'the box has ' + ', '.join(
                f'{corner} {text!r}' for corner, text in zip(_CORNERS, texts, strict=True)) + '; expected numbers')
        if self.corners == 'pixels':
            x0, y0 = x0 - 1, y0 - 1
        return LabelledBox(place, number, (x0, y0, x1, y1), thing.findtext('difficult', '').strip() == '1')

    @staticmethod
    def _size_faults(path: Path, root: Element, lines: dict[Element, int], size: tuple[int, int]):
        stated = root.find('size')
        texts = [stated.findtext(key, '').strip() for key in ('height', 'width')] if stated is not None else []
        # Some programs write 0 if they do not know the size.
        if texts and texts not in ([str(side) for side in size], ['0', '0']):
            yield Fault('size', at_line(path, lines[stated]),
                        f'the label is for {texts[1]}x{texts[0]}, but the image has {size[1]}x{size[0]} '
                        '(width x height)')


def require_classes(names: Mapping[str, str | None], classes: ClassTable) -> None:
    """Raise ConfigError if a name leads to a class that the table does not have."""
    for name, known in names.items():
        if known is not None and classes.number_of(str(known)) is None:
            raise ConfigError(f'names gives {name!r} the class {known!r}, which the table does not have.',
                              f'Give one of {", ".join(classes.names)}, or None to leave its things out.')


def read_xml(path: Path) -> tuple[Element, dict[Element, int]]:
    """Read an XML file, and the line at which each element begins.

    Raises:
        LabelError: the file cannot be read, is not XML, or has a document type.
    """
    parser, builder, lines = ParserCreate(), TreeBuilder(), {}

    def start(tag: str, attributes: dict[str, str]) -> None:
        lines[builder.start(tag, attributes)] = parser.CurrentLineNumber

    def refuse(*_) -> None:
        raise LabelError([Fault('not readable', at_line(path, parser.CurrentLineNumber),
                                'has a document type, which may hold harmful entities; labels need none')],
                         'Remove the line, if you know the file.')

    parser.StartElementHandler, parser.CharacterDataHandler = start, builder.data
    parser.EndElementHandler, parser.StartDoctypeDeclHandler = builder.end, refuse
    try:
        parser.Parse(path.read_bytes(), True)
        return builder.close(), lines
    except OSError as error:
        raise LabelError([Fault('not readable', str(path), f'cannot be read: {error.strerror}')]) from error
    except ExpatError as error:
        raise LabelError([Fault('not readable', str(path), f'is not valid XML: {error}')]) from error
