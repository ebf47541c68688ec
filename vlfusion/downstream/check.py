"""Check the labels of a set before anything is trained on them: every label is read, and every fault is listed."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from vlfusion.data.names import composed
from vlfusion.data.pairs import find_pairs
from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.interfaces import Labels, Mask
from vlfusion.downstream.labels.faults import Fault, LabelError
from vlfusion.downstream.sets import LabelledSet, build_labels, load_labelled, overlaps, size_of, unlabelled
from vlfusion.errors import DataError

#: Pixels by which the corners of one box may differ in two labels of an image: rounding, and VOC's count from 1.
SAME = 2.0


@dataclass
class SplitCounts:
    """Contents of a split.

    Attributes:
        pairs: number of pairs.
        empty: number of pairs whose label has no thing, or no pixel but void.
        images: number of images with each class.
        things: number of boxes, or of pixels, of each class.
        ignored: number of boxes that count neither as found nor as missed.
    """

    pairs: int
    empty: int = 0
    images: Counter = field(default_factory=Counter)
    things: Counter = field(default_factory=Counter)
    ignored: int = 0


@dataclass
class LabelCheck:
    """Result of a check.

    Attributes:
        kind: `boxes` or `masks`.
        classes: the class table.
        counts: contents of each split.
        faults: every fault.
        swaps: number of boxes by their class in the labels and in the compared labels, where the two differ.
        notes: facts that are no faults.
    """

    kind: str
    classes: ClassTable
    counts: dict[str, SplitCounts] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    swaps: Counter = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def facts(self) -> dict:
        """Return the result as plain data, for JSON."""
        things = 'boxes' if self.kind == 'boxes' else 'pixels'
        splits = {split: dict(pairs=counts.pairs, empty=counts.empty, ignored=counts.ignored, classes={
            name: {'images': counts.images[name], things: counts.things[name]} for name in self.classes.names})
            for split, counts in self.counts.items()}
        return dict(kind=self.kind, splits=splits, faults=[vars(fault) for fault in self.faults],
                    swaps=[dict(labels=one, compared_labels=other, boxes=count)
                           for (one, other), count in self.swaps.most_common()], notes=self.notes)


def check_labels(config: Config | Mapping[str, Any], show: Callable[[str, int, int], None] | None = None) -> LabelCheck:
    """Check a labelled set.

    It finds pairs without a label, labels without a pair, files that cannot be read, unknown classes, boxes outside of
    their image, labels for another size, boxes that are there twice, and images in two splits. If the config has
    `compared_labels`, boxes of both are compared by place and class, which shows numbers that were given by another
    class table.

    Args:
        config: a config as `load_labelled` takes it.
        show: called with the step, the pairs that are done, and their number, such as
            `vlfusion.console.progress.ShowProgress`.

    Raises:
        ConfigError: as for `load_labelled`.
        DataError: there are no pairs or no labels, or images do not pair.
    """
    plain = config.to_dict() if isinstance(config, Config) else dict(config)
    sets = load_labelled(plain, check=False)
    first = next(iter(sets.values())).labels
    result = LabelCheck(first.kind, first.classes, faults=overlaps(sets))
    compared = _compared(plain, first, result)
    done, total = 0, sum(map(len, sets.values()))
    for split, labelled in sets.items():
        counts = result.counts[split] = SplitCounts(len(labelled))
        result.faults += unlabelled(labelled)
        for pair in labelled.pairs:
            if labelled.labels.has(pair.name):
                try:
                    label = labelled.label(pair)
                    _count(label, counts, labelled.classes)
                    if isinstance(label, Boxes):
                        result.faults += _twice(label, labelled.labels.where(pair.name), labelled.classes)
                        if compared:
                            result.faults += _compare(label, labelled, compared, pair.name, size_of(pair), result.swaps)
                except LabelError as error:
                    result.faults += error.faults
                except DataError as error:
                    result.faults.append(Fault('not readable', pair.name, error.problem))
            done += 1
            if show:
                show('checking labels', done, total)
    result.faults += _without_pair(sets, plain, result.notes)
    return result


def _count(label: Boxes | Mask, counts: SplitCounts, table: ClassTable) -> None:
    if isinstance(label, Boxes):
        numbers, things = np.unique(label.classes, return_counts=True)
        counts.ignored += 0 if label.ignored is None else int(label.ignored.sum())
    else:
        numbers, things = np.unique(label, return_counts=True)
    counts.empty += not {*numbers.tolist()} - {table.void}
    for number, count in zip(numbers.tolist(), things.tolist(), strict=True):
        counts.images[table.names[number]] += 1
        counts.things[table.names[number]] += count


def _twice(boxes: Boxes, place: str, table: ClassTable) -> Iterator[Fault]:
    rows = np.column_stack([boxes.classes, boxes.corners.round(3)])
    same, counts = np.unique(rows, axis=0, return_counts=True)
    for (number, *corners), count in zip(same.tolist(), counts.tolist(), strict=True):
        if count > 1:
            yield Fault('twice', place, f'the box of {table.names[int(number)]} at ({corners[0]:g}, {corners[1]:g}) is '
                                        f'there {count} times')


def _compared(config: Mapping[str, Any], labels: Labels, result: LabelCheck) -> Labels | None:
    """Build the labels to compare with; None, with a note, if they are not there."""
    if not config.get('compared_labels') or labels.kind != 'boxes':
        return None
    try:
        return build_labels(config['compared_labels'], config['data_root'], labels.classes)
    except DataError as error:
        result.notes.append(f'The labels are not compared with others: {error.problem}')
        return None


def _compare(boxes: Boxes, labelled: LabelledSet, compared: Labels, name: str, size: tuple[int, int],
             swaps: Counter) -> Iterator[Fault]:
    """Compare the boxes of an image in two labels. Boxes are the same if no corner differs by more than `SAME`."""
    if not compared.has(name):
        yield Fault('no label', name, 'has a label, but none among the compared labels')
        return
    others, names = compared.read(name, size), labelled.classes.names
    place, other_place = labelled.labels.where(name), compared.where(name)
    differing: Counter = Counter()
    matches = match_boxes(boxes, others)
    for one, other in matches:
        if boxes.classes[one] != others.classes[other]:
            differing[names[boxes.classes[one]], names[others.classes[other]]] += 1
    swaps += differing
    if differing:
        words = ', '.join(f'{one} is {other} ({count} boxes)' for (one, other), count in differing.items())
        yield Fault('disagreement', place, f'by the names in {other_place}, {words}')
    for count, here, there in ((len(boxes) - len(matches), place, other_place),
                               (len(others) - len(matches), other_place, place)):
        if count:
            yield Fault('disagreement', here, f'has {count} boxes that {there} has not')


def match_boxes(boxes: Boxes, others: Boxes) -> list[tuple[int, int]]:
    """Match equal boxes of two labels one to one, those of equal classes first.

    Returns:
        Indices in `boxes` and in `others`.
    """
    if not len(boxes) or not len(others):
        return []
    distances = np.abs(boxes.corners[:, None] - others.corners[None]).max(axis=2)
    differs = boxes.classes[:, None] != others.classes[None]
    near = sorted((bool(differs[one, other]), distances[one, other], one, other)
                  for one, other in np.argwhere(distances <= SAME).tolist())
    matches: dict[int, int] = {}
    for _, _, one, other in near:
        if one not in matches and other not in matches.values():
            matches[one] = other
    return list(matches.items())


def _without_pair(sets: Mapping[str, LabelledSet], config: Mapping[str, Any], notes: list[str]) -> Iterator[Fault]:
    """Yield a fault for each label whose images are not there. Images that no split lists are noted."""
    listed = {composed(pair.name) for labelled in sets.values() for pair in labelled.pairs}
    known = set(listed)
    for split in sets:
        arguments = {key: value for key, value in config[split].items() if key not in ('labels', 'names')}
        if config[split].get('names') is not None:
            try:
                known |= {composed(pair.name) for pair in find_pairs(Path(config['data_root']), **arguments)}
            except DataError as error:
                notes.append(f'Some images that no split lists do not pair: {error.problem.splitlines()[0]}')
    if known - listed:
        notes.append(f'{len(known - listed)} pairs are in no split, such as {min(known - listed)}.')
    seen = set()
    for labelled in sets.values():
        paired = set(map(labelled.labels.listed, known))
        for name in labelled.labels.names():
            if name not in paired and (place := labelled.labels.where(name)) not in seen:
                seen.add(place)
                yield Fault('no pair', place, f'there are no images {name} in any split')
