"""The work of a downstream study: methods fuse, a network learns the pictures of each, and finds things in others."""

import hashlib
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from vlfusion.benchmark.needs import download, needs_of
from vlfusion.benchmark.run import Progress, Run
from vlfusion.benchmark.study import StudyPlan
from vlfusion.console.notes import new_run
from vlfusion.data.names import file_names
from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.interfaces import Mask
from vlfusion.downstream.predictions import read_predictions, write_coco_results, write_masks
from vlfusion.downstream.sets import image_size, size_of
from vlfusion.downstream.training import NETWORK, bytes_of, identity, predict, train_network
from vlfusion.engine.digests import key_of
from vlfusion.errors import DataError, VLFusionError, printable
from vlfusion.files import content_digest, whole_folder
from vlfusion.guards.foreign import is_end, reason
from vlfusion.guards.redaction import without_secrets
from vlfusion.imaging.images import read_image, to_8bit
from vlfusion.imaging.reading.rule import AS_STORED, Reading


@dataclass
class StudyRun:
    """A run of a study. What an earlier run finished is not done again; a changed picture, label or setting is.

        OUT/runs/ROW/seed_0/KEY/            checkpoints of a training, and its log
        OUT/runs/ROW/seed_0/KEY/predictions  boxes (COCO json) or masks (index PNG) of the test pictures

    Attributes:
        plan: plan of the study.
        progress: called at every step.
        describe, refused: as for `vlfusion.benchmark.run.Run`.
        failures: reason why a row has no result, by its name.
        counts: number of networks `trained` and `known`.
    """

    plan: StudyPlan
    progress: Progress = lambda *_: None
    describe: bool = False
    refused: Mapping[str, VLFusionError] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    counts: Counter = field(default_factory=Counter)

    @classmethod
    def begin(cls, plan: StudyPlan, *, get: bool, describe: bool, progress: Progress) -> 'StudyRun':
        """Begin a run; arguments as for `vlfusion.benchmark.study_result.run_study`."""
        return cls(plan, progress, describe, download(needs_of(plan.fusing), progress) if get else {})

    def __post_init__(self):
        self._run = Run(self.plan.fusing, progress=self.progress, describe=self.describe, refused=self.refused)
        self._folders = file_names(self.plan.names)

    def fuse(self) -> dict[str, dict[str, dict[str, Path]]]:
        """Fuse all splits.

        Returns:
            The picture of each pair, by row, split and name. A row that failed is left out.
        """
        self._run.check()
        new_run()
        pictures: dict[str, dict[str, dict[str, Path]]] = {
            name: {split: {} for split in self.plan.sets} for name in self.plan.names}
        for unit in self._run.fuse():
            pictures[unit.method][unit.dataset.name][unit.pair.name] = unit.colour
        for (_, method), why in self._run.failures.items():
            self.failures.setdefault(method, why)
        for method in self.plan.fusing.methods:
            self.attempt(method.name, partial(self._check_sizes, pictures[method.name]))
        pictures = {name: splits for name, splits in pictures.items() if name not in self.failures}
        if self.plan.sources:
            for split, labelled in self.plan.sets.items():
                for pair in labelled.pairs:
                    for name, (path, reading) in zip(self.plan.alone, pair.sources, strict=True):
                        pictures[name][split][pair.name] = self._source(path, reading)
        return pictures

    def train(self, pictures: Mapping[str, Mapping[str, Mapping[str, Path]]]) -> None:
        """Train the networks of all rows and seeds; continues where a killed run ended."""
        if self.plan.training is None:
            return
        for name, splits in pictures.items():
            for seed in self.plan.seeds:
                self.attempt(name, partial(self._trained, name, seed, splits))

    def predict(self, pictures: Mapping[str, Mapping[str, Mapping[str, Path]]]
                ) -> dict[str, list[Mapping[str, Boxes | Mask]]]:
        """Return what the networks of each row find in the test pictures, by seed and name; trains what is not."""
        return {name: found for name, splits in pictures.items() if (found := self.attempt(name, partial(
            self._found, name, splits))) is not None}

    def _check_sizes(self, pictures: Mapping[str, Mapping[str, Path]]) -> None:
        """Refuse pictures of another size than their sources: boxes and masks would not fit the labels."""
        for split, labelled in self.plan.sets.items():
            for pair in labelled.pairs:
                path, (height, width) = pictures[split][pair.name], size_of(pair)
                if (size := image_size(path)) != (height, width):
                    raise DataError(f'{path} is {size[1]}x{size[0]}, but its sources are {width}x{height} (width x '
                                    'height).', 'Fuse the pair again at the size of its sources.')

    def attempt(self, name: str, work: Callable[[], Any]) -> Any:
        """Do some work for a row; if it fails, the row says why, and the others go on."""
        if name in self.failures:
            return None
        try:
            return work()
        except BaseException as error:
            if is_end(error):
                raise
            self.failures[name] = reason(error)
            print(printable(f'{name} failed: {reason(error)}'), file=sys.stderr)
            return None

    def _found(self, name: str, splits: Mapping[str, Mapping[str, Path]]) -> list[Mapping[str, Boxes | Mask]]:
        return [self._predicted(name, seed, splits) for seed in self.plan.seeds]

    def _trained(self, name: str, seed: int, splits: Mapping[str, Mapping[str, Path]]) -> Path:
        """The checkpoint of a row's network."""
        plan, folder = self.plan, self._folder(name, seed, splits['train'])
        labels = plan.sets['train'].labels
        known = (folder / NETWORK).is_file()
        checkpoint = train_network(plan.network, labels, splits['train'], plan.training, folder, seed=seed,
                                   progress=partial(self.progress, f'training on {name}, seed {seed}'))
        self.counts['known' if known else 'trained'] += 1
        return checkpoint

    def _predicted(self, name: str, seed: int, splits: Mapping[str, Mapping[str, Path]]
                   ) -> Mapping[str, Boxes | Mask]:
        """Return the findings of a row's network in each test picture."""
        plan, test = self.plan, splits['test']
        labels = plan.sets['test'].labels
        checkpoint = self._trained(name, seed, splits) if plan.training else None
        folder = self._folder(name, seed, splits['train'] if plan.training else test)
        key = key_of(pictures=_digests(test), network=without_secrets(dict(plan.network)))
        place = folder / 'predictions' / f'{key[:12]}{".json" * (labels.kind == "boxes")}'
        pairs = {pair.name: pair for pair in plan.sets['test'].pairs}
        read = partial(read_predictions, place, labels, list(test), lambda pair: size_of(pairs[pair]))
        if place.exists():
            with suppress(DataError):  # a file was removed or damaged: find again
                return read().images
            shutil.rmtree(place) if place.is_dir() else place.unlink()
        results = predict(plan.network, labels.classes, test, checkpoint)
        if labels.kind == 'boxes':
            write_coco_results(place, dict(self._counted(results, name)))
        else:
            with whole_folder(place) as temporary:  # masks of a large set do not fit into memory together
                for pair, mask in self._counted(results, name):
                    write_masks(temporary, {pair: mask}, labels.classes)
        return read().images

    def _counted(self, results: Iterable[tuple[str, Boxes | Mask]], name: str) -> Iterator[tuple[str, Boxes | Mask]]:
        """Pass on the results of a row, and report each."""
        plan = self.plan
        for done, result in enumerate(results, 1):
            yield result
            self.progress(f'finding {plan.kind} in {name}', done, len(plan.sets['test']))

    def _folder(self, name: str, seed: int, pictures: Mapping[str, Path]) -> Path:
        """The folder of a row's network: its name changes with everything that the network depends on."""
        plan = self.plan
        learnt = dict(pictures=_digests(pictures), labels=self._taught) if plan.training else {}
        key = key_of(**identity(plan.network, plan.sets['test'].classes, plan.training), **learnt)
        return plan.out / 'runs' / self._folders[name] / f'seed_{seed}' / key[:12]

    @cached_property
    def _taught(self) -> str:
        """A digest of the training labels."""
        digest = hashlib.sha256()
        for pair, label in self.plan.sets['train']:
            digest.update(pair.name.encode())
            digest.update(bytes_of(label))
        return digest.hexdigest()

    def _source(self, path: Path, reading: Reading) -> Path:
        """A source as an 8-bit picture: its own file if it is one."""
        image = read_image(path, reading)
        if reading == AS_STORED and image.dtype.itemsize == 1:
            return path
        return self._run.cache.picture(self._run.cache.keep_picture(to_8bit(image)))


def _digests(pictures: Mapping[str, Path]) -> dict[str, str]:
    return {name: content_digest(path) for name, path in pictures.items()}
