"""Scores of predictions in files, with a record of how they came about."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from vlfusion import __version__
from vlfusion.data.names import composed
from vlfusion.data.pairs import listed_names
from vlfusion.data.patterns import by_name, contents_of, files_within
from vlfusion.downstream.interfaces import Labels
from vlfusion.downstream.labels.files import LabelFiles
from vlfusion.downstream.predictions import PredictionRules, Predictions, Sizes, by_file, read_predictions
from vlfusion.downstream.scoring.detections import MOST, score_detections
from vlfusion.downstream.scoring.masks import score_masks
from vlfusion.downstream.scoring.set_scores import SetScores
from vlfusion.downstream.scoring.variants import AVERAGE_PRECISIONS, check_average_precision, mean_iou_of
from vlfusion.downstream.sets import LabelledSet, image_size, size_of
from vlfusion.errors import DataError, listing
from vlfusion.evaluation.outputs import check_output, output_files
from vlfusion.evaluation.record import digest_of, write_scores
from vlfusion.evaluation.statistics import summary
from vlfusion.files import file_digest
from vlfusion.imaging.images import SUFFIXES

#: Raised when the record changes its form.
SCHEMA = 1


@dataclass(frozen=True)
class PredictionScores:
    """Result of `score_predictions`.

    Attributes:
        scores: scores of the set, of its classes and of its images.
        predictions: the predictions, and the images that they do not mention.
        record: record of the scoring, as JSON data.
    """

    scores: SetScores
    predictions: Predictions
    record: dict[str, Any]

    def __repr__(self) -> str:
        values = ', '.join(f'{column} {value:.4g}' for column, value in self.scores.values.items())
        return f'<PredictionScores: {len(self.scores.names)} images; {values}>'

    @property
    def notes(self) -> list[str]:
        """Facts that a reader of the scores should know."""
        notes = []
        for names, words in (
                (self.predictions.silent, 'without a prediction file or entry, which counts as no detections'),
                (self.predictions.unscored, 'with predictions, but not among the names to score'),
                (self.scores.unlabelled, 'without labels, which count in the set but have no score of their own')):
            if names:
                shown = ', '.join(names[:5]) + ', ...' * (len(names) > 5)
                notes.append(f'{_count(len(names), "image")} {words}: {shown}')
        if self.predictions.left_out:
            notes.append(f'{_count(self.predictions.left_out, "box")} of other classes, left out')
        return notes

    def write(self, path: str | os.PathLike) -> list[Path]:
        """Write `STEM.csv`, the scores of each image, and `STEM.json`, the record. Return both.

        Raises:
            ConfigError: the path does not end in `.csv`, or cannot be written.
            DataError: no image has a label.
            OSError: a file cannot be written.
        """
        check_output(path)
        table, _, record = output_files(path)
        write_scores(table, self.scores.rows, self.record)
        return [table, record]


def score_predictions(place: str | os.PathLike, labels: Labels | LabelledSet, *,
                      names: str | os.PathLike | Sequence[str] | None = None,
                      images: str | os.PathLike | None = None, variant: str = '', most: int = MOST,
                      ids: Sequence[int] | None = None, missing: Literal['empty', 'error'] = 'empty',
                      others: Literal['error', 'leave out'] = 'error', resize: bool = False) -> PredictionScores:
    """Score the predictions of any program against labels.

        labels = YOLOLabels('labels', 'M3FD', 'data/M3FD')
        scores = vlfusion.score_predictions('runs/detect/predict/labels', labels, images='data/M3FD/ir')
        scores.write('scores/mine.csv')

    Args:
        place: `.json` file of COCO's results, folder or pattern of YOLO's `.txt` files, or of `.png` masks; see
            `vlfusion.downstream.predictions.read_predictions`.
        labels: reader of the labels, or a split of a labelled set, which knows its images.
        names: names of the images to score, or a file with a name on each line; by default all that have a label.
        images: folder or pattern of the images, whose sizes YOLO's numbers are parts of. Other labels may state sizes.
        variant: definition of average precision or mIoU, see `vlfusion.downstream.scoring.variants`.
        most: most detections of a class in an image that count.
        ids, missing, others, resize: rules by which predictions are read, see
            `vlfusion.downstream.predictions.PredictionRules`.

    Raises:
        DataError: labels or predictions are missing, not valid, or of other images. Names every file and line.
        ConfigError: sizes of images are not known, or arguments do not fit the class table.
        UnknownNameError: there is no such definition.
    """
    split, labels = (labels, labels.labels) if isinstance(labels, LabelledSet) else (None, labels)
    if labels.kind == 'boxes':
        check_average_precision(variant)
    else:
        mean_iou_of(variant).evaluated(labels.classes)
    rules = PredictionRules(ids, missing, others, resize)
    chosen = _chosen(labels.names() if split is None else split.names(), names)
    size = _sizes(split, labels, images, chosen)
    predictions = read_predictions(place, labels, chosen, size, rules)
    if labels.kind == 'boxes':
        scores = score_detections(predictions.images, {name: labels.read(name, size(name)) for name in chosen},
                                  labels.classes, variant=variant, most=most)
    else:
        scores = score_masks(predictions.images, _Read(labels, size, chosen), labels.classes, variant=variant)
    return PredictionScores(scores, predictions, _record(place, labels, scores, predictions, rules, most))


def _count(number: int, noun: str) -> str:
    plural = 'es' if noun.endswith('x') else 's'
    return f'{number} {noun}{plural * (number > 1)}'


class _Read(Mapping):
    """Labels that are read at each access."""

    def __init__(self, labels: Labels, size: Sizes, names: Collection[str]):
        self.labels, self.size, self.names = labels, size, names

    def __getitem__(self, name: str) -> Any:
        return self.labels.read(name, self.size(name))

    def __iter__(self):
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def _chosen(known: Sequence[str], names: str | os.PathLike | Sequence[str] | None) -> list[str]:
    """Names of the images to score."""
    if names is None:
        return sorted(known)
    chosen, problems = listed_names(Path(), names, {composed(name): name for name in known}, 'labelled image')
    if problems:
        raise DataError(f'The names of the images to score do not fit the labels:\n{listing(problems)}',
                        'Give the names of labelled images, one on each line.')
    return chosen


def _sizes(split: LabelledSet | None, labels: Labels, images: str | os.PathLike | None, names: Sequence[str]) -> Sizes:
    """Function that returns the size of an image."""
    if images is None and split is not None:
        return lambda name: size_of(split.pair(name))
    if images is None:
        stated = {name: labels.size(name) for name in names}
        if unknown := [name for name, size in stated.items() if size is None]:
            raise DataError(f'The labels do not state the size of {len(unknown)} images, such as {unknown[0]}.',
                            'Give the folder of the images (--images), such as that of the infrared ones.')
        return stated.__getitem__
    deep = any('/' in name for name in names)
    files, problems = by_name(files_within(images, SUFFIXES, deep), deep, 'the images')
    problems += [f'{name} has no image in {images}; {contents_of(Path(images))}' for name in names
                 if composed(name) not in files]
    if problems:
        raise DataError(f'The images do not fit the labels:\n{listing(problems)}',
                        'Images have the names of their labels.')
    sizes: dict[str, tuple[int, int]] = {}

    def size(name: str) -> tuple[int, int]:
        if name not in sizes:
            sizes[name] = image_size(files[composed(name)])
        return sizes[name]
    return size


def _record(place: str | os.PathLike, labels: Labels, scores: SetScores, predictions: Predictions,
            rules: PredictionRules, most: int) -> dict[str, Any]:
    """Record of a scoring. The records of two equal scorings differ in `created` only."""
    boxes = labels.kind == 'boxes'
    if isinstance(labels, LabelFiles):
        files = by_file({name: labels.files[labels.listed(name)] for name in scores.names
                         if labels.listed(name) in labels.files})
    else:
        files = {path.name: path} if (path := getattr(labels, 'path', None)) else {}
    inputs = {'predictions': (str(place), predictions.files), 'labels': (str(getattr(labels, 'place', '')), files)}
    digests = {side: {name: file_digest(path) for name, path in sorted(sources.items())}
               for side, (_, sources) in inputs.items()}
    return {
        'schema': SCHEMA,
        'created': datetime.now(UTC).isoformat(timespec='seconds'),
        'versions': {'vlfusion': __version__, **{name: version(name) for name in ['faster-coco-eval'] * boxes}},
        'kind': 'detections' if boxes else 'masks',
        'classes': asdict(labels.classes),
        'variant': scores.variant,
        'definition': AVERAGE_PRECISIONS[scores.variant] if boxes else mean_iou_of(scores.variant).note,
        'rules': asdict(rules) | ({'most': most} if boxes else {}),
        'images': len(scores.names),
        'values': scores.values,
        'per_class': scores.per_class,
        'summary': summary(scores.rows) if scores.rows else {},
        'unlabelled': scores.unlabelled,
        'silent': list(predictions.silent),
        'unscored': list(predictions.unscored),
        'left_out': predictions.left_out,
        'inputs': {side: {'place': inputs[side][0], 'files': files, 'sha256': digest_of(files)}
                   for side, files in digests.items()},
    }
