"""From images to token features: captioners, LLM and text encoder in turn, each result kept in the store."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from itertools import islice
from operator import itemgetter
from pathlib import Path
from threading import Event

import numpy as np

import vlfusion
from vlfusion.errors import DataError, VLFusionError, listing
from vlfusion.images import read_image
from vlfusion.language.claims import Claims
from vlfusion.language.interfaces import (
    LLM,
    Captioner,
    Completion,
    Image,
    Observation,
    Prompt,
    StreamingLLM,
    TextEncoder,
)
from vlfusion.language.prompt import load_prompt
from vlfusion.language.store import FAILURES, STAGES, Keys, TextStore, identity, image_digest, section
from vlfusion.registry import CAPTIONERS, LLMS, TEXT_ENCODERS

#: Images that a part is given at once; what it makes of them is in the store before the next are begun.
BATCH = 16
READERS = 2  # threads that read images ahead of the captioners
WAIT = 0.5  # seconds between looks at what other processes have done
# For estimates, where nothing is known yet: characters of observations, of a paragraph, and of a token of English.
UNSEEN, UNWRITTEN, CHARACTERS_PER_TOKEN = 500, 600, 4
SAMPLE = 200
#: Called with a stage, how many of its images are through, and how many there are.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ImageToDescribe:
    """An image file, and what the captioners are told it is, such as `infrared`."""

    path: Path
    modality: str


@dataclass
class Report:
    """What became of each image: described now, described before (or twice in the list), failed and why, or left."""

    done: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    failed: dict[Path, Exception] = field(default_factory=dict)
    left: list[Path] = field(default_factory=list)  # only where the run was stopped

    def raise_if_failed(self) -> None:
        """Raises DataError, naming the images, if any failed."""
        if self.failed:
            total = len(self.done) + len(self.skipped) + len(self.failed) + len(self.left)
            raise DataError(f'{len(self.failed)} of {total} images could not be described:\n{self.failures()}',
                            'Mend what is named above and go on; what is described already is kept.')

    def failures(self) -> str:
        """The failed images on indented lines, each with its error."""
        return listing(f'{path}: {error if isinstance(error, VLFusionError) else repr(error)}'
                       for path, error in self.failed.items())


@dataclass(frozen=True)
class Plan:
    """What a run would do: missing records by stage, and what the LLM would read and write.

    Attributes:
        images: how many images there are.
        missing: for each stage how many records.
        prompt_tokens: an estimate, from four characters a token and the observations known so far.
        completion_tokens: an estimate, from the paragraphs known so far.
        cost: in US dollars, where the LLM's config has `price_prompt` and `price_completion`.
    """

    images: int
    missing: Mapping[str, int]
    prompt_tokens: int
    completion_tokens: int
    cost: float | None


@dataclass
class Usage:
    """What the LLM has read, written and cost in this run, as far as it says."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.

    def add(self, completion: Completion) -> None:
        self.prompt_tokens += completion.prompt_tokens or 0
        self.completion_tokens += completion.completion_tokens or 0
        self.cost += completion.cost or 0.


@dataclass(frozen=True)
class _Job:
    path: Path
    modality: str
    sha256: str
    keys: Mapping[str, str]  # stage -> key
    image: Future | None = None  # where it is being read for a captioner


#: What a stage makes of one image: the facts for its record, and an array where it has one.
Outcome = tuple[dict, np.ndarray | None]
Work = Callable[[Sequence], list]


class DescriptionPipeline:
    """Describes images as the `language` section of a config says, and only what the store does not have yet.

    A part is built when there is something for it to do, so that reading a full store needs no language library. If a
    batch fails, its images are tried one by one; those that fail again are reported, their errors are kept in the store
    until they succeed, and the others go on. An LLM that streams is asked once for each image, and what it wrote is in
    the store as soon as it answers.

    Several processes may run on one store, on several machines. Each record is claimed by the one that makes it, and a
    run ends when all of its images are described, by whomever.

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
        self.keys = Keys(language)
        self.usage = Usage()
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

    def run(self, images: Sequence[ImageToDescribe], progress: Progress | None = None,
            stop: Event | None = None) -> Report:
        """Describe every image that is not described yet; one that occurs twice, under any name, is described once.

        Args:
            images: what to describe.
            progress: called as the work goes on.
            stop: once it is set, what has begun is finished and the rest is left.
        """
        report, jobs = Report(), {}
        stop = stop or Event()
        for image in images:
            try:
                job = self._job(image)
            except DataError as error:
                report.failed[image.path] = error
            else:
                jobs.setdefault(job.keys['features'], []).append(job)
        todo = {key: twins[0] for key, twins in jobs.items() if not self._has_features(twins[0])}
        errors = self._describe(sorted(todo.values(), key=lambda job: job.modality), progress, stop) if todo else {}
        for key, twins in jobs.items():
            if key in errors:
                report.failed |= {job.path: errors[key] for job in twins}
            elif key in todo and not self._has_features(twins[0]):
                report.left += [job.path for job in twins]
            else:
                report.done += [job.path for job in twins[:1] if key in todo]
                report.skipped += [job.path for job in (twins[1:] if key in todo else twins)]
        return report

    def plan(self, images: Sequence[ImageToDescribe]) -> Plan:
        """What `run` would do, without doing it. The first `SAMPLE` records there are serve for the estimates."""
        jobs = {job.keys['features']: job for job in map(self._job, images)}
        todo = [job for job in jobs.values() if not self._has_features(job)]
        missing = {stage: self._needed(index, todo, {}) for index, stage in enumerate(STAGES)}
        known = {stage: list(islice((job for job in jobs.values() if self.store.has(stage, job.keys[stage])), SAMPLE))
                 for stage in ('observations', 'paragraphs')}
        seen = [self.prompt.render(self._observations(job), job.modality).text for job in known['observations']]
        written = [self.store.read('paragraphs', job.keys['paragraphs'])['text'] for job in known['paragraphs']]
        each_prompt = np.mean([len(text) for text in seen]) if seen else len(self.prompt.body) + UNSEEN
        each_answer = np.mean([len(text) for text in written]) if written else UNWRITTEN
        count = len(missing['paragraphs'])
        read, wrote = (round(count * each / CHARACTERS_PER_TOKEN) for each in (each_prompt, each_answer))
        prices = [self.language['llm'].get(key) for key in ('price_prompt', 'price_completion')]
        cost = None if None in prices else (read * prices[0] + wrote * prices[1]) / 1e6
        return Plan(len(images), {stage: len(jobs) for stage, jobs in missing.items()}, read, wrote, cost)

    def paragraph(self, image: ImageToDescribe) -> str:
        """The paragraph of an image that is described."""
        return self.store.read('features', self._job(image).keys['features'])['text']

    def _job(self, image: ImageToDescribe) -> _Job:
        sha256 = image_digest(image.path)
        makers = self.keys.observation, self.keys.paragraph, self.keys.feature
        keys = {stage: key(sha256, image.modality) for stage, key in zip(STAGES, makers, strict=True)}
        return _Job(image.path, image.modality, sha256, keys)

    def _has_features(self, job: _Job) -> bool:
        return self.store.has('features', job.keys['features'])

    def _needed(self, index: int, jobs: Sequence[_Job], errors: Mapping[str, Exception]) -> list[_Job]:
        """The jobs that a stage has to do, because neither it nor a later one is in the store."""
        return [job for job in jobs if job.keys['features'] not in errors
                and not any(self.store.has(later, job.keys[later]) for later in STAGES[index:])]

    def _describe(self, jobs: Sequence[_Job], progress: Progress | None, stop: Event) -> dict[str, Exception]:
        """Take the jobs, sorted by modality, through every stage; the errors of those that failed, by feature key."""
        errors: dict[str, Exception] = {}
        claims = Claims(self.store.root / 'claims')
        try:
            while not stop.is_set():
                made = sum(self._pass(index, jobs, errors, claims, progress, stop) for index in range(len(STAGES)))
                jobs = self._needed(len(STAGES) - 1, jobs, errors)
                if not jobs:
                    break
                if not made:  # other processes are at work on what is left
                    stop.wait(WAIT)
        finally:
            claims.close()
        return errors

    def _pass(self, index: int, jobs: Sequence[_Job], errors: dict[str, Exception], claims: Claims,
              progress: Progress | None, stop: Event) -> int:
        """Do what a stage can do now; how many jobs came to an end in it, well or not."""
        stage = STAGES[index]
        needed = self._needed(index, jobs, errors)
        if index:
            needed = [job for job in needed if self.store.has(STAGES[index - 1], job.keys[STAGES[index - 1]])]
        through = 0
        for job, outcome in self._outcomes(stage, needed, claims, stop) if needed else ():
            if isinstance(outcome, Exception):
                errors[job.keys['features']] = outcome
                self.store.write(FAILURES, job.keys['features'], self._record(stage, job, {
                    'stage': stage, 'error': str(outcome), 'kind': type(outcome).__name__}))
            else:
                facts, array = outcome
                self.store.write(stage, job.keys[stage], self._record(stage, job, facts), array)
                if index == len(STAGES) - 1:
                    self.store.remove(FAILURES, job.keys['features'])
            claims.release(job.keys[stage])
            through += 1
            if progress:
                progress(stage, through, len(needed))
        return through

    def _outcomes(self, stage: str, jobs: Sequence[_Job], claims: Claims,
                  stop: Event) -> Iterator[tuple[_Job, Outcome | Exception]]:
        """What a stage makes of each job that no other process has claimed, as soon as it is there."""
        work = self._work(stage)  # built before anything is claimed: a part that cannot be built stops the run
        mine = (job for job in jobs
                if not stop.is_set() and claims.take(job.keys[stage]) and self._still(stage, job, claims))
        if stage == 'paragraphs' and isinstance(self.llm, StreamingLLM):
            yield from self._stream(self.llm, mine, stop)
        else:
            for batch in _read_ahead(mine) if stage == 'observations' else _batches(mine):
                yield from zip(batch, _attempt(work, batch), strict=True)

    def _still(self, stage: str, job: _Job, claims: Claims) -> bool:
        """Whether a job that was just claimed is still to be done; another process may have ended it before."""
        if not self.store.has(stage, job.keys[stage]):
            return True
        claims.release(job.keys[stage])
        return False

    def _stream(self, llm: StreamingLLM, jobs: Iterable[_Job],
                stop: Event) -> Iterator[tuple[_Job, Outcome | Exception]]:
        asked: dict[int, _Job] = {}
        unreadable: list[tuple[_Job, Exception]] = []

        def prompts() -> Iterator[Prompt]:
            for index, job in enumerate(jobs):
                try:
                    prompt = self.prompt.render(self._observations(job), job.modality)
                except DataError as error:
                    unreadable.append((job, error))
                else:
                    asked[index - len(unreadable)] = job
                    yield prompt

        for index, answer in llm.stream(prompts()):
            yield asked.pop(index), answer if isinstance(answer, Exception) else self._outcome(answer)
        yield from unreadable
        if not stop.is_set():
            for job in asked.values():
                yield job, DataError(f'{type(llm).__name__} gave no answer for {job.path}.',
                                     'An LLM that streams must answer each prompt.')

    def _work(self, stage: str) -> Work:
        """What a stage does with a batch. Its part is built here: one that cannot be built stops the run."""
        if stage == 'observations':
            return partial(self._observe, self.captioners)
        if stage == 'paragraphs':
            return partial(self._write, self.llm)
        return partial(self._encode, self.encoder)

    def _observe(self, captioners: Sequence[Captioner], jobs: Sequence[_Job]) -> list[Outcome | Exception]:
        images = [job.image.result() for job in jobs]
        start = time.perf_counter()
        seen = [_seen(captioner, images, jobs[0].modality) for captioner in captioners]
        seconds = (time.perf_counter() - start) / len(jobs)
        names = [part['type'] for part in self._provenance['observations']['captioners']]
        outcomes = []
        for of_each in zip(*seen, strict=True):
            if errors := [of_one for of_one in of_each if isinstance(of_one, Exception)]:
                outcomes.append(errors[0])
                continue
            observations = [{'captioner': name, **asdict(observation)}
                            for name, of_one in zip(names, of_each, strict=True) for observation in of_one]
            outcomes.append(({'observations': observations, 'seconds': seconds}, None))
        return outcomes

    def _write(self, llm: LLM, jobs: Sequence[_Job]) -> list[Outcome]:
        completions = llm.complete([self.prompt.render(self._observations(job), job.modality) for job in jobs])
        outcomes = [self._outcome(completion) for completion in completions]
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        return outcomes

    def _outcome(self, completion: Completion) -> Outcome | DataError:
        """What is kept of a completion; its tokens and money count even where it says nothing."""
        self.usage.add(completion)
        if not completion.text.strip():
            return DataError(f'{completion.model} wrote nothing about this image (it ended with '
                             f'{completion.finish_reason!r}).', 'Try again, or use another LLM.')
        return asdict(completion), None

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


def _batches(jobs: Iterable[_Job]) -> Iterator[list[_Job]]:
    """Jobs of one modality together, so many as a part is given at once; none is taken before it is needed."""
    batch = []
    for job in jobs:
        if len(batch) == BATCH or (batch and job.modality != batch[0].modality):
            yield batch
            batch = []
        batch.append(job)
    if batch:
        yield batch


def _read_ahead(jobs: Iterable[_Job]) -> Iterator[list[_Job]]:
    """Batches whose images are read while a captioner looks at those before."""
    with ThreadPoolExecutor(READERS) as readers:
        ahead = None
        for batch in _batches(jobs):
            batch = [replace(job, image=readers.submit(read_image, job.path)) for job in batch]
            if ahead:
                yield ahead
            ahead = batch
        if ahead:
            yield ahead


def _seen(captioner: Captioner, images: Sequence[Image], modality: str) -> list[list[Observation] | Exception]:
    """What a captioner sees in each image, or its error; no image is shown again for another's or for a captioner's."""
    if hasattr(captioner, 'stream'):
        return [seen for _, seen in sorted(captioner.stream(images, modality), key=itemgetter(0))]
    return _attempt(lambda some: captioner.observe(some, modality), images)


def _attempt(work: Work, jobs: Sequence) -> list:
    """What `work` makes of each job, or the exception that it raises when given that job alone."""
    try:
        return work(jobs)
    except Exception as error:  # a captioner or LLM may fail in any way; the other images must not suffer
        return [error] if len(jobs) == 1 else [outcome for job in jobs for outcome in _attempt(work, [job])]
