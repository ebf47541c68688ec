"""Boxes in the JSON file of COCO."""

import json
import math
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from vlfusion.data.names import composed
from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import Classes, get_classes
from vlfusion.downstream.interfaces import Labels
from vlfusion.downstream.labels.corners import LabelledBox, as_boxes
from vlfusion.downstream.labels.faults import Fault, LabelError
from vlfusion.downstream.labels.files import also_known, read_text
from vlfusion.downstream.labels.voc import require_classes
from vlfusion.errors import DataError, short_repr
from vlfusion.registry import LABELS


@LABELS.register_module()
class COCOLabels(Labels):
    """Boxes of a whole set in one JSON file, as in COCO. Things marked `iscrowd` are ignored; `area` is kept.

    Categories are matched with the class table by name, in any letter case, since their ids differ between files. An
    image without annotations is one without things. Outlines and key points are not read.

    Args:
        place: the file.
        classes: the class table.
        data_root: folder that `place` is relative to.
        names: class of the table for each other category, such as `dict(light='Lamp')`; None leaves out the things of
            a category.

    Raises:
        DataError: the file is absent or has another form, or a category that is used is not in the class table.
        ConfigError: `names` leads to a class that the table does not have.
    """

    kind = 'boxes'

    def __init__(self, place: str, classes: Classes, data_root: str | os.PathLike = '.', *,
                 names: Mapping | None = None):
        self.classes, self.place = get_classes(classes), place
        self.path = Path(data_root, place)
        require_classes(names or {}, self.classes)
        content = self._content()
        self.images = self._images(content['images'])
        self.annotations: dict[Any, list[tuple[int, dict]]] = defaultdict(list)
        for index, annotation in enumerate(content['annotations']):
            self._require(f'annotations[{index}]', annotation, ('image_id', 'category_id', 'bbox'),
                          ids=('image_id', 'category_id'))
            self.annotations[annotation['image_id']].append((index, annotation))
        if strange := self.annotations.keys() - {image['id'] for image in self.images.values()}:
            raise LabelError([Fault('no pair', str(self.path), f'{len(strange)} ids have boxes but no image, such '
                                                               f'as {min(strange, key=str)!r}')])
        self.numbers = self._numbers(content['categories'], names or {})

    def names(self) -> list[str]:
        return sorted(self.images)

    def has(self, name: str) -> bool:
        return self.listed(name) in self.images

    def listed(self, name: str) -> str:
        return self._listed.get(composed(name), composed(name))

    def where(self, name: str) -> str:
        return f'{self.path}: {name}'

    def size(self, name: str) -> tuple[int, int] | None:
        image = self.images.get(self.listed(name), {})
        sides = image.get('height'), image.get('width')
        return sides if all(isinstance(side, int) and side > 0 for side in sides) else None

    def read(self, name: str, size: tuple[int, int]) -> Boxes:
        image = self.images.get(self.listed(name))
        if image is None:
            raise LabelError([Fault('no label', name, f'is not among the images of {self.path}')])
        faults, boxes = [], []
        stated = image.get('height'), image.get('width')
        if None not in stated and stated != tuple(size):
            faults.append(Fault('size', self.where(name), f'the label is for {stated[1]}x{stated[0]}, but the image '
                                                          f'has {size[1]}x{size[0]} (width x height)'))
        for index, annotation in self.annotations.get(image['id'], ()):
            box = self._box(f'{self.where(name)}, annotations[{index}]', annotation)
            if box:
                (faults if isinstance(box, Fault) else boxes).append(box)
        return as_boxes(boxes, size, faults)

    def _box(self, place: str, annotation: dict) -> LabelledBox | Fault | None:
        category, box = annotation['category_id'], annotation['bbox']
        if category not in self.numbers:
            return Fault('unknown class', place, f'the category is {short_repr(category)}; the file has no such one')
        if self.numbers[category] is None:
            return None
        if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
            return Fault('not readable', place, f'the box is {short_repr(box)}; expected [x, y, width, height]')
        area = annotation.get('area')
        if area is not None and not (is_number(area) and 0 <= area < math.inf):
            return Fault('not readable', place, f'the area is {short_repr(area)}; expected a number of pixels')
        crowd = annotation.get('iscrowd', 0)
        if not (isinstance(crowd, int) and crowd in (0, 1)):
            return Fault('not readable', place, f'iscrowd is {short_repr(crowd)}; expected 0 or 1')
        x, y, across, down = map(float, box)
        return LabelledBox(place, self.numbers[category], (x, y, x + across, y + down),
                           bool(crowd), None if area is None else float(area))

    def _content(self) -> dict:
        if not self.path.is_file():
            raise DataError(f'There are no labels at {self.path}.', 'Correct data_root, or the place of the labels.')
        try:
            content = json.loads(read_text(self.path))
        except (ValueError, RecursionError) as error:
            if isinstance(error, DataError):
                raise
            raise LabelError([Fault('not readable', str(self.path), f'is not valid JSON: {error}')]) from error
        keys = ('images', 'annotations', 'categories')
        if isinstance(content, list):
            raise LabelError([Fault('not readable', str(self.path), 'holds a list, as predictions do; expected a dict '
                                                                    f'of {", ".join(keys)}')])
        self._require('the file', content, keys)
        if wrong := [key for key in keys if not isinstance(content[key], list)]:
            raise LabelError([Fault('not readable', str(self.path), f'{wrong[0]} is not a list')])
        return content

    def _require(self, what: str, entry: Any, keys: tuple[str, ...], ids: tuple[str, ...] = ()) -> None:
        if not isinstance(entry, dict) or (lacking := [key for key in keys if key not in entry]):
            words = f'lacks {lacking[0]!r}' if isinstance(entry, dict) else f'is {short_repr(entry)}, not a dict'
            raise LabelError([Fault('not readable', str(self.path), f'{what} {words}')])
        if wrong := [key for key in ids if not is_id(entry[key])]:
            raise LabelError([Fault('not readable', str(self.path), f'{what}: {wrong[0]} is '
                                    f'{short_repr(entry[wrong[0]])}; expected a whole number or a text')])

    def _images(self, images: list) -> dict[str, dict]:
        for index, image in enumerate(images):
            self._require(f'images[{index}]', image, ('id', 'file_name'), ids=('id',))
        paths = [PurePosixPath(str(image['file_name']).replace('\\', '/')) for image in images]
        repeated = len({path.stem for path in paths}) < len(paths)
        names = [composed(str(path.with_suffix('')) if repeated else path.stem) for path in paths]
        for what, values in (('name', names), ('id', [image['id'] for image in images])):
            if twice := [value for value, count in Counter(map(str, values)).items() if count > 1]:
                raise LabelError([Fault('not readable', str(self.path), f'{len(twice)} images share their {what} with '
                                                                        f'another, such as {twice[0]!r}')])
        self._listed = also_known(names, [(name, path.stem, str(path.with_suffix('')))
                                          for name, path in zip(names, paths, strict=True)])
        return dict(zip(names, images, strict=True))

    def _numbers(self, categories: list, names: Mapping[str, str | None]) -> dict[Any, int | None]:
        """Return the number in the table of each category; None for those that are left out."""
        numbers, unknown = {}, []
        used = Counter(annotation['category_id'] for group in self.annotations.values() for _, annotation in group)
        for index, category in enumerate(categories):
            self._require(f'categories[{index}]', category, ('id', 'name'), ids=('id',))
            name = str(category['name'])
            left_out = name in names and names[name] is None
            numbers[category['id']] = None if left_out else self.classes.number_of(str(names.get(name, name)))
            if numbers[category['id']] is None and not left_out and used[category['id']]:
                unknown.append(f'{name!r} ({used[category["id"]]} boxes)')
        if unknown:
            raise LabelError([Fault('unknown class', str(self.path), f'the categories {", ".join(unknown)} are not '
                                    f'among the classes {", ".join(self.classes.names)}')],
                             "Give the class table of the labels, or names=dict(category='class'), with None to leave "
                             'a category out.')
        return numbers


def is_number(value: Any) -> bool:
    """Tell whether a value of JSON is a number that fits into a float, which may be infinite or NaN."""
    return isinstance(value, float) or is_id(value) and not isinstance(value, str) and abs(value) <= sys.float_info.max


def is_id(value: Any) -> bool:
    """Tell whether a value of JSON can be an id: a text, or a whole number such as 7 or 7.0."""
    return (isinstance(value, int | str) and not isinstance(value, bool)
            or isinstance(value, float) and value.is_integer())
