"""Labelled sets: pairs of images with their labels, in published splits, as a config describes them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

from mmengine.config import Config

from vlfusion.config import SPLITS, load_config
from vlfusion.console.notes import note
from vlfusion.data.names import composed
from vlfusion.data.pairs import Pair, find_pairs
from vlfusion.data.patterns import contents_of
from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import ClassTable, get_classes, reordered
from vlfusion.downstream.interfaces import Labels, Mask
from vlfusion.downstream.labels.faults import Fault, LabelError
from vlfusion.downstream.labels.yolo import YOLOLabels
from vlfusion.errors import ConfigError, DataError, UnknownNameError, did_you_mean
from vlfusion.guards.arguments import check_arguments
from vlfusion.imaging.images import read_image
from vlfusion.imaging.reading.header import read_header
from vlfusion.imaging.reading.rule import AS_STORED, Reading
from vlfusion.imaging.tasks import get_task
from vlfusion.registry import LABELS

#: Top-level keys that describe a labelled set.
KEYS = ('task', 'data_root', 'classes', 'labels', 'compared_labels', 'lists_from', *SPLITS)
#: Bytes that hold the header of an image.
_HEAD = 1 << 16


@dataclass(frozen=True)
class LabelledSet:
    """Pairs of one split, and their labels.

        test = load_labelled('downstream/m3fd')['test']
        for pair, boxes in test:
            ...

    Attributes:
        name: name of the split.
        pairs: the pairs, sorted by name.
        labels: reader of the labels.
    """

    name: str
    pairs: tuple[Pair, ...]
    labels: Labels

    @property
    def classes(self) -> ClassTable:
        """Class table of the labels."""
        return self.labels.classes

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[tuple[Pair, Boxes | Mask]]:
        """Yield each pair with its label."""
        for pair in self.pairs:
            yield pair, self.label(pair)

    def names(self) -> list[str]:
        """Return the names of the pairs."""
        return [pair.name for pair in self.pairs]

    @cached_property
    def _by_name(self) -> dict[str, Pair]:
        return {composed(pair.name): pair for pair in self.pairs}

    def pair(self, name: str) -> Pair:
        """Return the pair of a name; raise UnknownNameError if there is none."""
        if match := self._by_name.get(composed(name)):
            return match
        raise UnknownNameError(f'The split {self.name} has no pair {name!r}.', did_you_mean(name, self.names()[:1000]))

    def label(self, pair: Pair | str) -> Boxes | Mask:
        """Read the label of a pair, given itself or by name.

        Raises:
            UnknownNameError: no pair has the name.
            DataError: the label is missing or not valid, or the images differ in size. Names the file.
        """
        pair = self.pair(pair) if isinstance(pair, str) else pair
        return self.labels.read(pair.name, size_of(pair))

    @property
    def by_name(self) -> Mapping[str, Boxes | Mask]:
        """Labels by the pair's name. Each access reads the file, so that masks of a large set are not held together."""
        return _ByName(self)

    def subset(self, names: Sequence[str]) -> 'LabelledSet':
        """Return the set with these pairs only, sorted by name; raise UnknownNameError if one does not exist."""
        return replace(self, pairs=tuple(sorted(map(self.pair, names), key=lambda pair: pair.name)))


class _ByName(Mapping):
    def __init__(self, labelled: LabelledSet):
        self._labelled, self._pairs = labelled, {pair.name: pair for pair in labelled.pairs}

    def __getitem__(self, name: str) -> Boxes | Mask:
        return self._labelled.label(self._pairs[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)


def load_labelled(config: str | os.PathLike | Config | Mapping[str, Any], *,
                  check: bool = True) -> dict[str, LabelledSet]:
    """Find the labelled sets of a config, by split.

        task = 'ivf'
        data_root = 'data/M3FD'
        classes = 'M3FD'
        labels = dict(type='YOLOLabels', place='labels')
        train = dict(source_a='ir', source_b='vi', names='meta/train.txt')
        test = dict(source_a='ir', source_b='vi', names='meta/val.txt')

    A split takes the arguments of `vlfusion.data.pairs.find_pairs`, and `labels`, its own place of labels. Paths are
    relative to `data_root`. `lists_from` says where the lists of names can be found.

    Args:
        config: a config with these keys, or its file or name. Other keys are not read here.
        check: True to refuse pairs without a label, and pairs that are in two splits. Labels themselves are read later.

    Raises:
        ConfigError: the config lacks a key, or an argument is not known.
        DataError: images, labels or lists of names are missing; a pair has no label; or pairs of `train` are in
            `val` or `test` too.
    """
    if isinstance(config, str | os.PathLike):
        config = load_config(config, known=KEYS)
    plain = config.to_dict() if isinstance(config, Config) else dict(config)
    for key in ('data_root', 'classes', 'labels'):
        if not plain.get(key):
            raise ConfigError(f'{_name_of(config)} has no {key!r}.', 'A labelled set needs data_root, classes, '
                              'labels=dict(type=..., place=...), and a split such as test=dict(source_a=...).')
    splits = [split for split in SPLITS if plain.get(split)]
    if not splits:
        raise ConfigError(f'{_name_of(config)} has no split.', "Write test=dict(source_a='ir', source_b='vi').")
    table = get_classes(plain['classes'])
    readers: dict[str | None, Labels] = {}
    sets = {split: _labelled_set(split, plain[split], plain, table, readers) for split in splits}
    _note_order(table, sets[splits[0]].labels)
    if check:
        refuse([fault for labelled in sets.values() for fault in unlabelled(labelled)], sets)
        refuse(overlaps(sets), sets)
    return sets


def refuse(faults: Sequence[Fault], sets: Mapping[str, LabelledSet]) -> None:
    """Raise LabelError if there are faults."""
    if not faults:
        return
    remedy = ''
    if faults[0].kind == 'no label' and any(isinstance(labelled.labels, YOLOLabels) for labelled in sets.values()):
        remedy = ("Add the labels, or list the labelled pairs with names=... If images without a file have no things, "
                  "as YOLO's own loaders take it, write labels=dict(..., missing='empty').")
    raise LabelError(faults, remedy)


def unlabelled(labelled: LabelledSet) -> list[Fault]:
    """Return a fault for each pair without a label, or with that of another pair."""
    faults, owners = [], {}
    for pair in labelled.pairs:
        owner = owners.setdefault(labelled.labels.listed(pair.name), pair.name)
        if not labelled.labels.has(pair.name):
            faults.append(Fault('no label', pair.name, f'the pair of {labelled.name} has no label'))
        elif owner != pair.name:
            faults.append(Fault('no label', pair.name, f'the pair of {labelled.name} has the label of {owner}: '
                                                       f'{labelled.labels.where(owner)}'))
    return faults


def overlaps(sets: Mapping[str, LabelledSet]) -> list[Fault]:
    """Return a fault for each two splits that share images, unless they are `val` and `test`.

    Many papers choose the checkpoint on the test images. This is noted, not refused.
    """
    faults = []
    for first, second in combinations(sets, 2):
        files = {pair.path_a.resolve() for pair in sets[first].pairs}
        if shared := [pair.name for pair in sets[second].pairs if pair.path_a.resolve() in files]:
            words = (f'{len(shared)} pairs of {second} are in {first} too, such as {shared[0]}')
            if (first, second) == ('val', 'test'):
                note('val and test', f'{words}. A checkpoint that is chosen on them knows the test images.')
            else:
                faults.append(Fault('overlap', f'{first} and {second}', words))
    return faults


def size_of(pair: Pair) -> tuple[int, int]:
    """Return height and width of a pair's images.

    Raises:
        DataError: an image cannot be read, or the two differ in size.
    """
    sizes = [image_size(path, reading) for path, reading in pair.sources]
    if sizes[0] != sizes[1]:
        (height_a, width_a), (height_b, width_b) = sizes
        raise LabelError([Fault('size', pair.name, f'{pair.path_a} is {width_a}x{height_a}, but {pair.path_b} is '
                                                   f'{width_b}x{height_b} (width x height)')],
                         'Labels need registered images of one size.')
    return sizes[0]


def image_size(path: Path, reading: Reading = AS_STORED) -> tuple[int, int]:
    """Return height and width of an image file, from its header if possible."""
    header = None
    if reading == AS_STORED and path.is_file():
        with path.open('rb') as file:
            header = read_header(file.read(_HEAD))
    if header is None:  # TIFF, a header that is longer than expected, or an error that reading explains
        return read_image(path, reading).shape[:2]
    turned = header.orientation >= 5
    return (header.width, header.height) if turned else (header.height, header.width)


def _labelled_set(split: str, part: Mapping[str, Any], config: Mapping[str, Any], table: ClassTable,
                  readers: dict[str | None, Labels]) -> LabelledSet:
    """Find the pairs of a split. Splits that have their labels in one place share a reader."""
    if not isinstance(part, Mapping):
        raise ConfigError(f'{split} is {part!r}.', f"Write {split}=dict(source_a='ir', source_b='vi').")
    arguments = {key: value for key, value in part.items() if key != 'labels'}
    check_arguments(find_pairs, arguments, split, more=['labels'])
    if lacking := [key for key in ('source_a', 'source_b') if key not in arguments]:
        raise ConfigError(f'{split} has no {lacking[0]!r}.', 'Give the folder or pattern of the images.')
    root = Path(config['data_root'])
    _require_list(root, arguments.get('names'), config.get('lists_from', ''))
    if config.get('task'):
        task = get_task(config['task'])
        arguments = dict(modality_a=task.modality_a, modality_b=task.modality_b) | arguments
    pairs = tuple(find_pairs(root, **arguments))
    place = part.get('labels')
    if place not in readers:
        readers[place] = build_labels(config['labels'], root, table, place)
    return LabelledSet(split, pairs, readers[place])


def build_labels(part: Mapping[str, Any], root: str | os.PathLike, table: ClassTable,
                 place: str | None = None) -> Labels:
    """Build labels of a config.

    Args:
        part: `dict(type=..., place=...)`.
        root: folder that the place is relative to.
        table: the class table.
        place: replaces the place of `part`.
    """
    part = dict(part) | dict(classes=table, data_root=str(root)) | (dict(place=place) if place else {})
    if isinstance(part.get('type'), str) and 'place' not in part:
        raise ConfigError('The labels have no place.', "Write labels=dict(type='YOLOLabels', place='labels'), or "
                                                       "test=dict(..., labels='test/labels').")
    return LABELS.build(part)


def _require_list(root: Path, names: Any, lists_from: str) -> None:
    """Raise DataError if a file with names is missing, with advice where it can be found.

    Without the whole data root, `find_pairs` has better advice.
    """
    if isinstance(names, str | os.PathLike) and root.is_dir() and not (root / names).is_file():
        raise DataError(f'There is no list of names at {root / names}; {contents_of((root / names).parent)}.',
                        lists_from or 'Write the names of the pairs of the split into it, one a line, or give another '
                                      'list with names=...')


def _note_order(table: ClassTable, labels: Labels) -> None:
    if isinstance(labels, YOLOLabels) and (published := reordered(table)):
        note('class order', f'The classes {", ".join(table.names)} are those of {published} in another order. Numbers '
                            f"in text files then mean other things; its published order is classes={published!r}.")


def _name_of(config: Config | Mapping[str, Any]) -> str:
    return getattr(config, 'filename', None) or 'The config'
