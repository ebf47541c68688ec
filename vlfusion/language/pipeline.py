"""From images to token features: captioners, LLM and text encoder in turn, each result kept in the store."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path

import numpy as np

import vlfusion
from vlfusion.errors import DataError, VLFusionError, listing
from vlfusion.images import read_image
from vlfusion.language.interfaces import LLM, Captioner, Observation, TextEncoder
from vlfusion.language.prompt import load_prompt
from vlfusion.language.store import (
    STAGES,
    TextStore,
    feature_key,
    identity,
    image_digest,
    observation_key,
    paragraph_key,
    section,
)
from vlfusion.registry import CAPTIONERS, LLMS, TEXT_ENCODERS

#: Images that a part is given at once; what it makes of them is in the store before the next are begun.
BATCH = 16
#: Called with a stage, how many of its images are through, and how many there are.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ImageToDescribe:
    """An image file, and what the captioners are told it is, such as `infrared`."""

    path: Path
    modality: str


@dataclass
class Report:
    """What became of each image: described now, described before (or twice in the list), or failed and why."""

    done: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    failed: dict[Path, Exception] = field(default_factory=dict)

    def raise_if_failed(self) -> None:
        """Raises DataError, naming the images, if any failed."""
        if self.failed:
            total = len(self.done) + len(self.skipped) + len(self.failed)
            raise DataError(f'{len(self.failed)} of {total} images could not be described:\n{self.failures()}',
                            'Mend what is named above and go on; what is described already is kept.')

    def failures(self) -> str:
        """The failed images on indented lines, each with its error."""
        return listing(f'{path}: {error if isinstance(error, VLFusionError) else repr(error)}'
                       for path, error in self.failed.items())


@dataclass(frozen=True)
class _Job:
    path: Path
    modality: str
    sha256: str
    keys: Mapping[str, str]  # stage -> key


#: What a stage makes of one image: the facts for its record, and an array where it has one.
Outcome = tuple[dict, np.ndarray | None]
Work = Callable[[Sequence[_Job]], list[Outcome]]


class DescriptionPipeline:
    """Describes images as the `language` section of a config says, and only what the store does not have yet.

    A part is built when there is something for it to do, so that reading a full store needs no language library. If a
    batch fails, its images are tried one by one; those that fail again are reported and the others go on.

    Args:
        language: `dict(store='data/text', captioners=[...], llm=dict(...), prompt='paragraph', encoder=dict(...))`.

    Raises:
        ConfigError: the section lacks a key or holds something that is not plain data.
        UnknownNameError: a part or the prompt does not exist.
    """

    def __init__(self, language: Mapping):
        self.language = language
        self.store = TextStore(section(language, 'store'))
        self.prompt = load_prompt(section(language, 'prompt'))
        observations = {'captioners': [identity(CAPTIONERS, part) for part in section(language, 'captioners')]}
        paragraphs = observations | {'prompt': {'id': self.prompt.id, 'sha256': self.prompt.sha256},
                                     'llm': identity(LLMS, section(language, 'llm'))}
        features = paragraphs | {'encoder': identity(TEXT_ENCODERS, section(language, 'encoder'))}
        self._provenance = dict(zip(STAGES, (observations, paragraphs, features), strict=True))

    @cached_property
    def captioners(self) -> list[Captioner]:
        return [CAPTIONERS.build(part) for part in self.language['captioners']]

    @cached_property
    def llm(self) -> LLM:
        return LLMS.build(self.language['llm'])

    @cached_property
    def encoder(self) -> TextEncoder:
        return TEXT_ENCODERS.build(self.language['encoder'])

    def run(self, images: Sequence[ImageToDescribe], progress: Progress | None = None) -> Report:
        """Describe every image that is not described yet; one that occurs twice, under any name, is described once."""
        report, jobs = Report(), {}
        for image in images:
            try:
                job = self._job(image)
            except DataError as error:
                report.failed[image.path] = error
            else:
                jobs.setdefault(job.keys['features'], []).append(job)
        todo = {key: twins[0] for key, twins in jobs.items() if not self._has_features(twins[0])}
        errors = self._describe(sorted(todo.values(), key=lambda job: job.modality), progress)
        for key, twins in jobs.items():
            if key in errors:
                report.failed |= {job.path: errors[key] for job in twins}
            else:
                report.done += [job.path for job in twins[:1] if key in todo]
                report.skipped += [job.path for job in (twins[1:] if key in todo else twins)]
        return report

    def paragraph(self, image: ImageToDescribe) -> str:
        """The paragraph of an image that is described."""
        return self.store.read('features', self._job(image).keys['features'])['text']

    def _job(self, image: ImageToDescribe) -> _Job:
        sha256 = image_digest(image.path)
        keys = {stage: key(self.language, sha256, image.modality)
                for stage, key in zip(STAGES, (observation_key, paragraph_key, feature_key), strict=True)}
        return _Job(image.path, image.modality, sha256, keys)

    def _has_features(self, job: _Job) -> bool:
        return self.store.has('features', job.keys['features'])

    def _describe(self, jobs: Sequence[_Job], progress: Progress | None) -> dict[str, Exception]:
        """Take the jobs, sorted by modality, through every stage; the errors of those that failed, by feature key."""
        errors = {}
        for index, stage in enumerate(STAGES):
            needed = [job for job in jobs if job.keys['features'] not in errors
                      and not any(self.store.has(later, job.keys[later]) for later in STAGES[index:])]
            work, through = self._work(stage) if needed else None, 0
            for batch in _batches(needed):
                for job, outcome in zip(batch, _attempt(work, batch), strict=True):
                    if isinstance(outcome, Exception):
                        errors[job.keys['features']] = outcome
                    else:
                        facts, array = outcome
                        self.store.write(stage, job.keys[stage], self._record(stage, job, facts), array)
                through += len(batch)
                if progress:
                    progress(stage, through, len(needed))
        return errors

    def _work(self, stage: str) -> Work:
        """What a stage does with a batch. Its part is built here: one that cannot be built stops the run."""
        if stage == 'observations':
            return partial(self._observe, self.captioners)
        if stage == 'paragraphs':
            return partial(self._write, self.llm)
        return partial(self._encode, self.encoder)

    def _observe(self, captioners: Sequence[Captioner], jobs: Sequence[_Job]) -> list[Outcome]:
        images = [read_image(job.path) for job in jobs]
        start = time.perf_counter()
        seen = [captioner.observe(images, jobs[0].modality) for captioner in captioners]
        seconds = (time.perf_counter() - start) / len(jobs)
        names = [part['type'] for part in self._provenance['observations']['captioners']]
        outcomes = []
        for of_each in zip(*seen, strict=True):
            observations = [{'captioner': name, **asdict(observation)}
                            for name, of_one in zip(names, of_each, strict=True) for observation in of_one]
            outcomes.append(({'observations': observations, 'seconds': seconds}, None))
        return outcomes

    def _write(self, llm: LLM, jobs: Sequence[_Job]) -> list[Outcome]:
        completions = llm.complete([self.prompt.render(self._observations(job), job.modality) for job in jobs])
        for completion in completions:
            if not completion.text.strip():
                raise DataError(f'{completion.model} wrote nothing about this image (it ended with '
                                f'{completion.finish_reason!r}).', 'Try again, or use another LLM.')
        return [(asdict(completion), None) for completion in completions]

    def _encode(self, encoder: TextEncoder, jobs: Sequence[_Job]) -> list[Outcome]:
        texts = [self.store.read('paragraphs', job.keys['paragraphs'])['text'] for job in jobs]
        start = time.perf_counter()
        encoded = encoder.encode(texts)
        seconds = (time.perf_counter() - start) / len(jobs)
        outcomes = []
        for text, features, mask in zip(texts, encoded.features, encoded.mask, strict=True):
            array = features[mask].float().cpu().numpy()
            outcomes.append(({'text': text, 'tokens': len(array), 'dim': array.shape[1], 'seconds': seconds}, array))
        return outcomes

    def _observations(self, job: _Job) -> list[Observation]:
        names = {one.name for one in fields(Observation)}
        records = self.store.read('observations', job.keys['observations'])['observations']
        return [Observation(**{name: tuple(value) if name == 'box' and value else value
                               for name, value in record.items() if name in names}) for record in records]

    def _record(self, stage: str, job: _Job, facts: dict) -> dict:
        """What was made, and everything that it was made from."""
        keys = {one: job.keys[one] for one in STAGES[:STAGES.index(stage) + 1]}
        return {'keys': keys, 'image': {'sha256': job.sha256, 'file': job.path.name}, 'modality': job.modality,
                **self._provenance[stage], **facts,
                'date': datetime.now(UTC).isoformat(timespec='seconds'), 'vlfusion': vlfusion.__version__}


def _batches(jobs: Sequence[_Job]) -> Iterator[list[_Job]]:
    """Jobs of one modality together, so many as a part is given at once."""
    for _, group in groupby(jobs, key=lambda job: job.modality):
        same = list(group)
        yield from (same[start:start + BATCH] for start in range(0, len(same), BATCH))


def _attempt(work: Work, jobs: Sequence[_Job]) -> list[Outcome | Exception]:
    """What `work` makes of each job, or the exception that it raises when given that job alone."""
    try:
        return work(jobs)
    except Exception as error:  # a captioner or LLM may fail in any way; the other images must not suffer
        return [error] if len(jobs) == 1 else [outcome for job in jobs for outcome in _attempt(work, [job])]
