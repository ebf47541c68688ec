"""Predictions of any program in files: COCO's results in JSON, YOLO's text with confidences, masks as index PNG files.

Nothing is paired by guess. A prediction for an image without a label, a number without a class and a line of another
form are errors, and each is named.
"""

import json
import math
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from PIL import Image

from vlfusion.data.names import composed, inside
from vlfusion.data.patterns import by_name, contents_of, files_within, stem_of
from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.interfaces import Labels, Mask
from vlfusion.downstream.labels.coco import COCOLabels, is_id, is_number
from vlfusion.downstream.labels.corners import LabelledBox, as_boxes
from vlfusion.downstream.labels.faults import Fault, LabelError
from vlfusion.downstream.labels.files import read_text
from vlfusion.downstream.labels.masks import read_mask
from vlfusion.downstream.labels.yolo import read_yolo
from vlfusion.errors import ConfigError, DataError, listing, short_repr
from vlfusion.files import whole, write_json, write_whole

#: Height and width of an image, by its name.
Sizes = Callable[[str], tuple[int, int]]


@dataclass(frozen=True)
class Predictions:
    """Predictions for the images of a set, as files hold them.

    Attributes:
        images: boxes or mask of each image by name. Masks are read at each access.
        files: files that were read, by name.
        silent: images that no file and no entry mentions, and that therefore have no detections.
        unscored: labelled images with predictions that were not asked for.
        left_out: number of boxes of classes that the table does not have.
    """

    images: Mapping[str, Any]
    files: Mapping[str, Path]
    silent: Sequence[str] = ()
    unscored: Sequence[str] = ()
    left_out: int = 0


@dataclass(frozen=True)
class PredictionRules:
    """Rules by which predictions are read.

    Attributes:
        ids: number in the files of each class of the table, such as `[0, 2]` for person and car of COCO. None counts
            from 0; in COCO's results it means the ids of the label file, or from 0 or 1, if the file shows which.
        missing: `empty` if an image without a text file has no detections, as ultralytics writes none for it; `error`
            to refuse it.
        others: `leave out` boxes of other classes than those of the table, or `error` to refuse them.
        resize: whether to resize masks of another size than their image by nearest neighbours.
    """

    ids: Sequence[int] | None = None
    missing: Literal['empty', 'error'] = 'empty'
    others: Literal['error', 'leave out'] = 'error'
    resize: bool = False


#: The rules of most programs.
AS_WRITTEN = PredictionRules()


def read_predictions(place: str | os.PathLike, labels: Labels, names: Collection[str], size: Sizes,
                     rules: PredictionRules = AS_WRITTEN) -> Predictions:
    """Read the predictions for labelled images.

    Args:
        place: a `.json` file of COCO's results; a folder or pattern of YOLO's `.txt` files, whose lines are `class cx
            cy width height confidence`; or for masks of `.png` files.
        labels: labels of the set, for its class table, and for the ids of images and categories in COCO's file.
        names: names of the images to score.
        size: function that returns height and width of an image.
        rules: rules of reading.

    Raises:
        DataError: there are no such predictions; they are of other images, or not valid. Names every file and line.
        ConfigError: `ids` do not fit the class table.
    """
    place = Path(place)
    if rules.ids is not None and len({*rules.ids}) != len(labels.classes):
        raise ConfigError(f'ids={list(rules.ids)} does not fit the {len(labels.classes)} classes '
                          f'{", ".join(labels.classes.names)}.', 'Give each class the number that its boxes have.')
    if labels.kind == 'masks':
        return _read_masks(place, labels, names, size, rules)
    if place.is_file():
        return read_coco_results(place, labels, names, rules)
    return _read_yolo(place, labels, names, size, rules)


def read_coco_results(path: str | os.PathLike, labels: Labels, names: Collection[str],
                      rules: PredictionRules = AS_WRITTEN) -> Predictions:
    """Read detections from COCO's results: a list of `image_id`, `category_id`, `bbox` as `[x, y, width, height]` in
    pixels, and `score`.

    An `image_id` is the name of an image or its file, the id in the label file, or the number that a name spells, such
    as 7 for `00007`. The file may also be a dict with `annotations`, and with `images` and `categories` of its own.

    Arguments and errors as for `read_predictions`.
    """
    path, faults, left_out = Path(path), [], 0
    entries, content = _entries(path)
    name_of = _names_by_id(content.get('images'), labels, names, path)
    number_of = _numbers_by_id(content.get('categories'), entries, labels, rules, path)
    boxes: dict[str, list[LabelledBox]] = defaultdict(list)
    strangers: Counter = Counter()
    spelled: dict[str, int | str] = {}
    for index, entry in enumerate(entries):
        where = f'{path}[{index}]'
        if fault := _entry_fault(entry):
            faults.append(Fault('not readable', where, fault))
            continue
        name, category = name_of(entry['image_id']), entry['category_id']
        number = number_of.get(category)
        if name is None:
            strangers[entry['image_id']] += 1
        elif spelled.setdefault(name, entry['image_id']) != entry['image_id']:
            faults.append(Fault('not readable', where, f'the images {short_repr(spelled[name])} and '
                                                       f'{short_repr(entry["image_id"])} would both be {name!r}'))
        elif number is None and (rules.others == 'leave out' or category in number_of):
            left_out += 1
        elif number is None:
            known = ', '.join(map(str, number_of))
            faults.append(Fault('unknown class', where, f'the category is {short_repr(category)}; expected one of '
                                                        f'{known}'))
        else:
            x, y, across, down = map(float, entry['bbox'])
            boxes[name].append(LabelledBox(where, number, (x, y, x + across, y + down), score=float(entry['score'])))
    faults += [Fault('no pair', str(path), f'{count} boxes are for the image {short_repr(image)}, which has no label')
               for image, count in strangers.items()]
    if faults:
        raise LabelError(faults, 'Give the predictions of the labelled images. If category ids have another order, say '
                                 'the number of each class (ids).' if strangers or rules.ids is None else '')
    return Predictions({name: _scored(boxes.get(name, ()), (0, 0)) for name in names}, {path.name: path},
                       tuple(name for name in names if name not in boxes),
                       tuple(sorted(boxes.keys() - {*names})), left_out)


def write_coco_results(path: str | os.PathLike, predictions: Mapping[str, Boxes],
                       ids: Sequence[int] | None = None) -> None:
    """Write detections as COCO's results, with the names of images as `image_id`.

    Args:
        path: the `.json` file.
        predictions: boxes with scores by name of the image.
        ids: `category_id` of each class; None counts from 0.
    """
    write_json(path, [
        {'image_id': name, 'category_id': int(number if ids is None else ids[number]),
         'bbox': [x0, y0, x1 - x0, y1 - y0], 'score': score}
        for name, boxes in sorted(predictions.items())
        for (x0, y0, x1, y1), number, score in zip(boxes.corners.tolist(), boxes.classes.tolist(),
                                                   () if boxes.scores is None else boxes.scores.tolist(), strict=True)])


def write_yolo_results(folder: str | os.PathLike, predictions: Mapping[str, Boxes], size: Sizes,
                       ids: Sequence[int] | None = None) -> None:
    """Write detections as YOLO's text, a file for each image, with all digits. Other arguments: `write_coco_results`.

    Args:
        folder: the folder.
        predictions: boxes with scores by name of the image.
        size: function that returns height and width of an image.
        ids: number of each class; None counts from 0.
    """
    for name, boxes in predictions.items():
        height, width = size(name)
        scale = np.array([width, height, width, height], float)
        sides = boxes.corners / scale
        rows = np.hstack([(sides[:, :2] + sides[:, 2:]) / 2, sides[:, 2:] - sides[:, :2], boxes.scores[:, None]])
        lines = [' '.join(map(repr, [number if ids is None else ids[number], *row]))
                 for number, row in zip(boxes.classes.tolist(), rows.tolist(), strict=True)]
        write_whole(inside(folder, name, '.txt'), ''.join(f'{line}\n' for line in lines).encode())


def write_masks(folder: str | os.PathLike, masks: Mapping[str, Mask], classes: ClassTable) -> None:
    """Write masks as 8-bit index PNG files, with the palette of the class table if it has one."""
    for name, mask in masks.items():
        image = Image.fromarray(np.asarray(mask).astype(np.uint8))
        if classes.palette:
            image.putpalette([value for colour in classes.palette for value in colour])
        with whole(inside(folder, name, '.png')) as temporary:
            image.save(temporary, format='PNG')


class _MaskFiles(Mapping):
    """Masks that are read at each access."""

    def __init__(self, files: Mapping[str, Path], classes: ClassTable, size: Sizes, resize: bool):
        self.files, self.classes, self.size, self.resize = files, classes, size, resize

    def __getitem__(self, name: str) -> Mask:
        path, (height, width) = self.files[name], self.size(name)
        mask = read_mask(path, self.classes)
        if mask.shape == (height, width):
            return mask
        if self.resize:
            return np.asarray(Image.fromarray(mask.astype(np.uint8)).resize((width, height), Image.Resampling.NEAREST))
        raise LabelError([Fault('size', str(path), f'the mask has {mask.shape[1]}x{mask.shape[0]}, but the image has '
                                                   f'{width}x{height} (width x height)')],
                         'Predict in the size of the label. `--resize` resizes masks by nearest neighbours.')

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)


def _read_masks(place: Path, labels: Labels, names: Collection[str], size: Sizes,
                rules: PredictionRules) -> Predictions:
    files = _files(place, '.png', labels, names)
    if lacking := [name for name in names if name not in files]:
        raise DataError(f'{len(lacking)} of {len(names)} images have no mask in {place}:\n{listing(lacking)}',
                        'Predict every image of the split, or name the images to score.')
    chosen = {name: files[name] for name in names}
    return Predictions(_MaskFiles(chosen, labels.classes, size, rules.resize),
                       by_file(chosen), (), tuple(sorted(files.keys() - {*names})))


def _read_yolo(place: Path, labels: Labels, names: Collection[str], size: Sizes, rules: PredictionRules) -> Predictions:
    files, faults, boxes = _files(place, '.txt', labels, names), [], {}
    silent = [name for name in names if name not in files]
    if silent and (rules.missing == 'error' or len(silent) == len(names)):
        raise DataError(f'{len(silent)} of {len(names)} images have no prediction in {place}:\n{listing(silent)}',
                        'Give a file for each image; it is empty if nothing was found.')
    ids, left_out = rules.ids or range(len(labels.classes)), 0
    for name in names:
        if name not in files:
            boxes[name] = _scored((), (0, 0))
            continue
        try:
            boxes[name] = read_yolo(files[name], size(name), ids, True, rules.others == 'leave out')
        except LabelError as error:
            faults += error.faults
            continue
        left_out += sum(bool(line.strip()) for line in read_text(files[name]).splitlines()) - len(boxes[name])
        if boxes[name].scores is None:
            boxes[name] = _scored((), (0, 0))
    if faults:
        raise LabelError(faults)
    return Predictions(boxes, by_file({name: files[name] for name in names if name in files}), tuple(silent),
                       tuple(sorted(files.keys() - {*names})), left_out)


def _files(place: Path, suffix: str, labels: Labels, names: Collection[str]) -> dict[str, Path]:
    """Files of predictions by name; raises a DataError if there are none, or if an image has no label."""
    known = _spellings(labels, names)
    deep = any('/' in name for name in known)
    listed = files_within(place, (suffix,), deep)
    files, problems = by_name(listed, deep, 'the predictions')
    problems += [f'{path} is for {name!r}, which has no label' for name, path in files.items() if name not in known]
    chosen = {known[name]: path for name, path in files.items() if name in known}
    problems += [f'{path} and {chosen[known[name]]} are for one image' for name, path in files.items()
                 if name in known and chosen[known[name]] != path]
    if problems:
        raise DataError(f'The predictions in {place} do not fit the labels:\n{listing(problems)}',
                        'A prediction has the name of its image. Remove other files, or give the labels of this set.')
    if not files:
        raise DataError(f'There are no predictions (*{suffix}) in {place}; {contents_of(place)}.',
                        'Give the folder that the other program wrote, or its .json file.')
    return chosen


def _spellings(labels: Labels, names: Collection[str]) -> dict[str, str]:
    """Name of each image by its composed name, and by that in the labels, which may lack its folders."""
    return ({composed(name): name for name in labels.names()} | {labels.listed(name): name for name in names}
            | {composed(name): name for name in names})


def by_file(files: Mapping[str, Path]) -> dict[str, Path]:
    """Return files of images by their own names, with the folders of the images' names."""
    return {str(PurePosixPath(name).with_name(path.name)): path for name, path in files.items()}


def _scored(boxes: Collection[LabelledBox], size: tuple[int, int]) -> Boxes:
    found = as_boxes(boxes, size, bounded=False)
    return found if len(found) else Boxes(found.corners, found.classes, np.zeros(0))


def _entries(path: Path) -> tuple[list, dict[str, Any]]:
    """The entries of a results file, and the dict around them if there is one."""
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise LabelError([Fault('not readable', str(path), f'is not valid JSON: {error}')]) from error
    around = content if isinstance(content, dict) else {}
    entries = around.get('annotations') if around else content
    if not isinstance(entries, list):
        raise LabelError([Fault('not readable', str(path), 'holds no list of detections')],
                         "COCO's results are a list of image_id, category_id, bbox and score.")
    for key in ('images', 'categories'):
        wanted = ('id', 'file_name' if key == 'images' else 'name')
        listed, ids = around.get(key) or [], Counter()
        if not isinstance(listed, list):
            raise LabelError([Fault('not readable', str(path), f'{key} is {short_repr(listed)}, not a list')])
        for index, entry in enumerate(listed):
            place = f'{key}[{index}]'
            if not isinstance(entry, dict) or not {*wanted} <= entry.keys():
                raise LabelError([Fault('not readable', str(path), f'{place} lacks {" or ".join(wanted)}')])
            if not is_id(entry['id']):
                raise LabelError([Fault('not readable', str(path), f'{place}: id is {short_repr(entry["id"])}; '
                                                                   'expected a whole number or a text')])
            ids[entry['id']] += 1
            if ids[entry['id']] > 1:
                raise LabelError([Fault('not readable', str(path), f'{place} has the id {short_repr(entry["id"])} of '
                                                                   'another')])
    return entries, around


def _entry_fault(entry: Any) -> str:
    """Say what is wrong with a detection of COCO's results; empty if it is valid."""
    keys = ('image_id', 'category_id', 'bbox', 'score')
    if not isinstance(entry, dict):
        return f'is {short_repr(entry)}, not a dict'
    if lacking := [key for key in keys if key not in entry]:
        return f'lacks {lacking[0]!r}' + '; labels have no score' * (lacking == ['score'])
    box, score = entry['bbox'], entry['score']
    if not (isinstance(box, list) and len(box) == 4 and all(map(_is_finite, box)) and min(box[2:]) >= 0):
        return f'the box is {short_repr(box)}; expected [x, y, width, height]'
    if not all(math.isfinite(start + length) for start, length in zip(box[:2], box[2:], strict=True)):
        return f'the box {short_repr(box)} is not finite'
    if not _is_finite(score):
        return f'the score is {short_repr(score)}; expected a number'
    if wrong := [key for key in keys[:2] if not is_id(entry[key])]:
        return f'{wrong[0]} is {short_repr(entry[wrong[0]])}; expected a whole number or a text'
    return ''


def _is_finite(value: Any) -> bool:
    return is_number(value) and math.isfinite(value)


def _names_by_id(images: Sequence[dict] | None, labels: Labels, names: Collection[str],
                 path: Path) -> Callable[[int | str], str | None]:
    """Function from the `image_id` of a result to the name of the image; None if it has no label."""
    known = _spellings(labels, names)
    by_id: dict[int | str, str | None] = {}
    if images:
        by_id = {image['id']: _as_name(str(image['file_name']), known) for image in images}
        files: dict[str, str] = {}
        for image in images:
            name, file = by_id[image['id']], str(image['file_name'])
            if name is not None and name in files:
                raise LabelError([Fault('not readable', str(path), f'the images {files[name]!r} and {file!r} would '
                                                                   f'both be {name!r}')],
                                 'Give the file names of the labelled images.')
            if name is not None:
                files[name] = file
    elif isinstance(labels, COCOLabels):
        by_id = {image['id']: known[name] for name, image in labels.images.items()}
    numbers = {int(name): known[name] for name in known if name.isdecimal()}
    spelled = Counter(int(name) for name in known if name.isdecimal())

    def name_of(image: int | str) -> str | None:
        if image in by_id or by_id and not isinstance(image, str):
            return by_id.get(image)
        if isinstance(image, str):
            return _as_name(image, known)
        if spelled[image] > 1:
            raise LabelError([Fault('not readable', str(path), f'the image {image} may be any of {spelled[image]} '
                                                               'images, whose names spell this number')],
                             'Give names as image_id.')
        return numbers.get(image)
    return name_of


def _as_name(text: str, known: Mapping[str, str]) -> str | None:
    """Name of the image that a text spells: as a whole, else by its last parts, such as `day/1` of `out/day/1.png`."""
    path = composed(text.replace('\\', '/'))
    if whole_name := known.get(path) or known.get(stem_of(path)):
        return whole_name
    parts = stem_of(path).split('/')
    ends = ('/'.join(parts[start:]) for start in range(1, len(parts)))
    # A name with folders is not found by its last part alone: `night/1.png` is not `day/1`.
    return next((known[end] for end in ends if end in known and composed(known[end]) == end), None)


def _numbers_by_id(categories: Sequence[dict] | None, entries: Sequence, labels: Labels, rules: PredictionRules,
                   path: Path) -> dict[int | str, int | None]:
    """Number in the class table of each `category_id`; None for those that the labels leave out."""
    table = labels.classes
    if rules.ids is not None:
        return {id_: number for number, id_ in enumerate(rules.ids)}
    if categories:
        return {entry['id']: number for entry in categories
                if (number := table.number_of(str(entry['name']))) is not None}
    if isinstance(labels, COCOLabels):
        return labels.numbers
    present = {entry['category_id'] for entry in entries if isinstance(entry, dict) and is_id(entry.get('category_id'))}
    if not present or 0 in present:
        return {number: number for number in range(len(table))}
    if len(table) in present:
        return {number + 1: number for number in range(len(table))}
    raise LabelError([Fault('unknown class', str(path), f'has the category ids '
                            f'{", ".join(map(str, sorted(present, key=str)[:10]))}, which may count from 0 or from 1')],
                     'Say the id of each class: '
                     f'`--ids {" ".join(map(str, range(len(table))))}` if they count from 0.')
