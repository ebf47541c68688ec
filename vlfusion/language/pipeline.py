"""From images to token features: captioners, LLM and text encoder in turn, each result kept in the store."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from itertools import islice
from operator import itemgetter
from threading import Event, Thread

import numpy as np

import vlfusion
from vlfusion.errors import ConfigError, DataError, VLFusionError, listing
from vlfusion.guards.arguments import check_arguments
from vlfusion.imaging.images import read_image
from vlfusion.language.answers import prose, read, refusal, refused
from vlfusion.language.claims import Claims
from vlfusion.language.interfaces import (
    LLM,
    Captioner,
    Completion,
    Image,
    Observation,
    PairCaptioner,
    Prompt,
    StreamingLLM,
    TextEncoder,
)
from vlfusion.language.records import observations, texts_of
from vlfusion.language.section import section
from vlfusion.language.store import FAILURES, STAGES, Content, Keys, TextStore, identity, stored
from vlfusion.language.structure import combined, correction_request, parse, schema_check, texts, unfit_answer
from vlfusion.language.subjects import ImageToDescribe, SourcePair, Subject, content_of, subjects_of
from vlfusion.registry import CAPTIONERS, LLMS, TEXT_ENCODERS

#: Images that a part is given at once. What it makes of them is put into the store while it works on the next; what
#: an LLM wrote, before it is asked again.
BATCH = 16
READERS = 2  # threads that read images ahead of the captioners
WAIT = 0.5  # seconds between looks at what other processes have done
# For estimates, where nothing is known yet: characters of observations, of a paragraph, and of a token of English.
UNSEEN, UNWRITTEN, CHARACTERS_PER_TOKEN = 500, 600, 4
SAMPLE = 200
#: Called with a stage, how many of its images are through, and how many there are.
Progress = Callable[[str, int, int], None]


@dataclass
class Report:
    """Result of each image or pair: described now, described before (or twice in the list), failed, or left."""

    done: list[Subject] = field(default_factory=list)
    skipped: list[Subject] = field(default_factory=list)
    failed: dict[Subject, Exception] = field(default_factory=dict)
    left: list[Subject] = field(default_factory=list)  # only where the run was stopped
    repaired: list[Subject] = field(default_factory=list)  # those of `done` with a damaged record

    def raise_if_failed(self) -> None:
        """Raises DataError, naming the images, if any failed."""
        if self.failed:
            total = len(self.done) + len(self.skipped) + len(self.failed) + len(self.left)
            raise DataError(f'{len(self.failed)} of {total} images could not be described:\n{self.failures()}',
                            'Correct what is named above and go on; what is described already is kept.')

    def failures(self) -> str:
        """List of what failed, on indented lines, each with its error."""
        return listing(f'{subject}: {error if isinstance(error, VLFusionError) else repr(error)}'
                       for subject, error in self.failed.items())


@dataclass(frozen=True)
class Plan:
    """Work that a run would do: missing records by stage, and what the LLM would read and write.

    Attributes:
        subjects: how many images or pairs there are.
        missing: for each stage how many records.
        prompt_tokens: an estimate, from four characters a token and the observations known so far.
        completion_tokens: an estimate, from the paragraphs known so far.
        cost: in US dollars, where the LLM's config has `price_prompt` and `price_completion`.
    """

    subjects: int
    missing: Mapping[str, int]
    prompt_tokens: int
    completion_tokens: int
    cost: float | None


@dataclass
class Usage:
    """Tokens and money of the LLM in this run, as far as it says."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.

    def add(self, completion: Completion) -> None:
        self.prompt_tokens += completion.prompt_tokens or 0
        self.completion_tokens += completion.completion_tokens or 0
        self.cost += completion.cost or 0.


@dataclass(frozen=True)
class _Job:
    """A record to be made, and the jobs whose records it is made from."""

    stage: str
    key: str
    subject: tuple[ImageToDescribe, ...]
    content: tuple[Content, ...]
    needs: tuple['_Job', ...] = ()
    pixels: tuple[Future, ...] = ()  # where the images are being read for a captioner

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(image.modality for image in self.content)

    @property
    def path(self) -> str:
        return ' with '.join(str(image.path) for image in self.subject)


#: What a stage makes of one image or pair: the facts for its record, and an array where it has one.
Outcome = tuple[dict, np.ndarray | None]
Work = Callable[[Sequence[_Job]], list]


class DescriptionPipeline:
    """Describes images or pairs as the `language` section of a config says, and only what the store does not have yet.

    A part is built when there is something for it to do, so that reading a full store needs no language library. If a
    batch fails, its images are tried one by one; those that fail again are reported, their errors are kept in the store
    until they succeed, and the others go on. An LLM that streams is asked once for each image, and what it wrote is in
    the store as soon as it answers. Where the prompt has a JSON schema, an answer that does not fit is sent back once.

    Several processes may run on one store, on several machines. Each record is claimed by the one that makes it, and a
    run ends when all of its images are described, by whichever process.

    Args:
        language: `dict(store='data/text', captioners=[...], llm=dict(...), prompt='paragraph', encoder=dict(...))`.

    Raises:
        ConfigError: the section lacks a key or holds something that is not plain data.
        UnknownNameError: a part or the prompt does not exist.
    """

    def __init__(self, language: Mapping):
        self.language = language
        self.store = TextStore(section(language, 'store'))
        self.keys = Keys(language)
        self.prompt = self.keys.prompt
        self.usage = Usage()
        self._intact: dict[str, tuple[str, ...]] = {}  # what intact records say, by their keys
        self._check = None if self.prompt.schema is None else schema_check(self.prompt.schema)
        made_of = {'captioners': [identity(CAPTIONERS, part) for part in section(language, 'captioners')]}
        for index, part in enumerate(language['captioners']):
            check_arguments(CAPTIONERS.get(part['type']), part, f'language.captioners[{index}]')
        for key, registry in (('llm', LLMS), ('encoder', TEXT_ENCODERS)):
            check_arguments(registry.get(section(language, key)['type']), language[key], f'language.{key}')
        self._provenance = {}
        for stage, part in zip(STAGES, (
                {}, {'prompt': {'id': self.prompt.id, 'sha256': self.prompt.sha256},
                     'llm': identity(LLMS, section(language, 'llm'))},
                {'encoder': identity(TEXT_ENCODERS, section(language, 'encoder'))}), strict=True):
            made_of = self._provenance[stage] = made_of | part

    @cached_property
    def captioners(self) -> list[Captioner]:
        """Those that see one image at a time."""
        return [CAPTIONERS.build(part) for part in self.keys.captioners(1)]

    @cached_property
    def pair_captioners(self) -> list[PairCaptioner]:
        """Those that see both images of a pair at once."""
        return [CAPTIONERS.build(part) for part in self.keys.captioners(2)]

    @cached_property
    def llm(self) -> LLM:
        return LLMS.build(self.language['llm'])

    @cached_property
    def encoder(self) -> TextEncoder:
        return TEXT_ENCODERS.build(self.language['encoder'])

    def subjects(self, pairs: Iterable[SourcePair]) -> list[Subject]:
        """Subjects of pairs, once each: the pairs where the prompt is about pairs, else their images."""
        return subjects_of(pairs, self.keys.of_pairs)

    def run(self, subjects: Sequence[Subject], progress: Progress | None = None, stop: Event | None = None) -> Report:
        """Describe everything that is not described yet; what occurs twice, under any name, is described once.

        Args:
            subjects: images, or pairs if the prompt is about pairs; see `subjects`.
            progress: called as the work goes on.
            stop: once it is set, what has begun is finished and the rest is left.

        Raises:
            ConfigError: a part cannot be built, or images are given where pairs are wanted, or pairs for images.
        """
        report, twins, jobs = Report(), {}, {}
        stop = stop or Event()
        for subject in subjects:
            try:
                job = self._job(subject)
            except DataError as error:
                report.failed[subject] = error
            else:
                jobs.setdefault(job.key, job)
                twins.setdefault(job.key, []).append(subject)
        todo = [job for job in jobs.values() if not self._is_described(job)]
        damaged = {job.key for job in todo if any(map(self._is_damaged, _chain(job)))}
        errors = self._describe(todo, progress, stop) if todo else {}
        ours = {job.key for job in todo}
        for job in jobs.values():
            same = twins[job.key]
            error = _error(job, errors) if job.key in ours else None
            if error:
                report.failed |= dict.fromkeys(same, error)
            elif job.key in ours and not self._is_described(job):
                report.left += same
            else:
                report.done += same[:1] if job.key in ours else []
                report.repaired += same[:1] if job.key in damaged else []
                report.skipped += same[1:] if job.key in ours else same
        return report

    def plan(self, subjects: Sequence[Subject]) -> Plan:
        """Plan what `run` would do. The first `SAMPLE` records there are serve for the estimates."""
        jobs = {job.key: job for job in map(self._job, subjects)}
        writing = [job.needs[0] for job in jobs.values()]
        missing = self._missing(jobs.values(), {})
        seen = [self._render(job).text
                for job in islice((job for job in writing if all(map(self._has, job.needs))), SAMPLE)]
        written = [self._read(job)['text'] for job in islice(filter(self._has, writing), SAMPLE)]
        each_prompt = np.mean([len(text) for text in seen]) if seen else len(self.prompt.body) + UNSEEN
        each_answer = np.mean([len(text) for text in written]) if written else UNWRITTEN
        count = len(missing['paragraphs'])
        read, wrote = (round(count * each / CHARACTERS_PER_TOKEN) for each in (each_prompt, each_answer))
        prices = [self.language['llm'].get(key) for key in ('price_prompt', 'price_completion')]
        cost = None if None in prices else (read * prices[0] + wrote * prices[1]) / 1e6
        return Plan(len(subjects), {stage: len(jobs) for stage, jobs in missing.items()}, read, wrote, cost)

    def paragraph(self, subject: Subject) -> str:
        """The paragraph of an image or a pair that is described; its features keep it too."""
        features = self._job(subject)
        kept = next((job for job in (features.needs[0], features) if self._has(job)), features)
        return self._read(kept).get('text', '')

    def _job(self, subject: Subject) -> _Job:
        """The job that makes the features, with those before it."""
        images = subject.images
        if (len(images) == 2) != self.keys.of_pairs:
            wanted = 'a pair' if self.keys.of_pairs else 'one image'
            raise ConfigError(f'The prompt {self.prompt.id} is about {wanted}, but it is to describe {subject}.',
                              'Use another prompt, or let `subjects` choose.')
        content = content_of(subject)
        sights = [(sight, images if len(sight) == len(images) else images[index:index + 1])
                  for index, sight in enumerate(self.keys.sights(*content))]
        seen = tuple(_Job('observations', self.keys.observation(*sight), shown, sight) for sight, shown in sights)
        written = _Job('paragraphs', self.keys.paragraph(*content), images, content, seen)
        return _Job('features', self.keys.feature(*content), images, content, (written,))

    def _has(self, job: _Job) -> bool:
        """True if there is a record that is not damaged; of features also, if they are those of their paragraph."""
        if job.key in self._intact:
            return True
        if not self.store.has(job.stage, job.key):
            return False
        try:
            record = self._read(job)
        except DataError:
            return False
        said = () if job.stage == 'observations' else texts_of(record)
        if said and job.stage == 'features' and self._has(job.needs[0]) and self._intact[job.needs[0].key] != said:
            return False  # the paragraph was written again since
        self._intact[job.key] = said
        return True

    def _is_damaged(self, job: _Job) -> bool:
        return self.store.has(job.stage, job.key) and not self._has(job)

    def _is_described(self, job: _Job) -> bool:
        """True if there are features, and no record on the way to them is damaged; one may be missing."""
        return self._has(job) and not any(map(self._is_damaged, _chain(job)))

    def _read(self, job: _Job) -> dict:
        return self.store.checked(job.stage, job.key)

    def _missing(self, features: Iterable[_Job], errors: Mapping[str, Exception]) -> dict[str, list[_Job]]:
        """The jobs of each stage that are to be done for these, without those that failed or wait for one that did."""
        missing, level = {}, [(job, True) for job in features]
        for stage in reversed(STAGES):
            jobs = {job.key: job for job, wanted in level if (wanted or self._is_damaged(job))
                    and not self._has(job) and not _error(job, errors)}
            missing[stage] = sorted(jobs.values(), key=lambda job: job.modalities)
            level = [(need, job.key in jobs) for job, _ in level for need in job.needs]
        return {stage: missing[stage] for stage in STAGES}

    def _describe(self, jobs: Sequence[_Job], progress: Progress | None, stop: Event) -> dict[str, Exception]:
        """Take the jobs through every stage; the errors of the records that could not be made, by key."""
        errors: dict[str, Exception] = {}
        waiting: dict[str, list[str]] = {}  # for each record the features that are made of it
        for job in jobs:
            for one in _chain(job):
                waiting.setdefault(one.key, []).append(job.key)
        claims = Claims(self.store.root / 'claims')
        try:
            while not stop.is_set():
                made = 0
                for stage in STAGES:
                    for job, outcome in self._pass(stage, jobs, errors, claims, progress, stop):
                        made += 1
                        if isinstance(outcome, Exception):
                            errors[job.key] = outcome
                            failure = self._record(job, {'stage': stage, 'error': str(outcome),
                                                         'kind': type(outcome).__name__})
                            for key in waiting[job.key]:
                                self.store.write(FAILURES, key, failure)
                        elif stage == 'paragraphs':
                            for key in waiting[job.key]:  # these may be features of another text
                                self._intact.pop(key, None)
                jobs = [job for job in jobs if not self._is_described(job) and not _error(job, errors)]
                if not jobs:
                    break
                if not made:  # other processes are at work on what is left
                    stop.wait(WAIT)
        finally:
            claims.close()
        return errors

    def _pass(self, stage: str, jobs: Sequence[_Job], errors: Mapping[str, Exception], claims: Claims,
              progress: Progress | None, stop: Event) -> Iterator[tuple[_Job, Outcome | Exception]]:
        """Do what a stage can do now, and keep what it makes."""
        ready = [job for job in self._missing(jobs, errors)[stage] if all(map(self._has, job.needs))]
        if progress and ready:
            progress(stage, 0, len(ready))
        for through, (job, outcome) in enumerate(self._outcomes(stage, ready, claims, stop) if ready else (), 1):
            if not isinstance(outcome, Exception):
                facts, array = outcome
                try:
                    self.store.write(stage, job.key, self._record(job, facts), array)
                except (TypeError, ValueError, RecursionError) as error:  # a part made what is no plain data
                    outcome = error
                else:
                    if stage == 'features':
                        self.store.remove(FAILURES, job.key)
            yield job, outcome
            claims.release(job.key)
            if progress:
                progress(stage, through, len(ready))

    def _outcomes(self, stage: str, jobs: Sequence[_Job], claims: Claims,
                  stop: Event) -> Iterator[tuple[_Job, Outcome | Exception]]:
        """Results of a stage for each job that no other process has claimed, as soon as it is there."""
        work = self._work(stage)  # built before anything is claimed: a part that cannot be built stops the run
        mine = (job for job in jobs if not stop.is_set() and claims.take(job.key) and self._still(job, claims))
        if stage != 'paragraphs':
            batches = _read_ahead(mine) if stage == 'observations' else _batches(mine)
            yield from _overlapped(partial(_attempt, work), batches)
        elif isinstance(self.llm, StreamingLLM):
            yield from self._stream(self.llm, mine, stop)
        else:
            for batch in _batches(mine):  # none is begun before the last is kept: an LLM may cost money
                yield from zip(batch, _attempt(work, batch), strict=True)

    def _still(self, job: _Job, claims: Claims) -> bool:
        """Tell whether a job that was just claimed is still to be done; another process may have ended it before."""
        if not self._has(job):
            return True
        claims.release(job.key)
        return False

    def _work(self, stage: str) -> Work:
        """Function that works on a batch in a stage. Its part is built here: one that cannot be built stops the run."""
        if stage == 'observations':
            return partial(self._observe, {1: self.captioners, 2: self.pair_captioners})
        if stage == 'paragraphs':
            return partial(self._write, self.llm)
        return partial(self._encode, self.encoder)

    def _observe(self, captioners: Mapping[int, Sequence], jobs: Sequence[_Job]) -> list[Outcome | Exception]:
        """Observations by the captioners of images or of pairs; `captioners` has both by the number of images."""
        shown = [tuple(image.result() for image in job.pixels) for job in jobs]
        modalities = jobs[0].modalities
        start = time.perf_counter()
        seen = [_seen(captioner, shown, modalities) for captioner in captioners[len(modalities)]]
        seconds = (time.perf_counter() - start) / len(jobs)
        names = [identity(CAPTIONERS, part)['type'] for part in self.keys.captioners(len(modalities))]
        outcomes = []
        for of_each in zip(*seen, strict=True):
            if errors := [of_one for of_one in of_each if isinstance(of_one, Exception)]:
                outcomes.append(errors[0])
                continue
            observations = [{'captioner': name, **stored(observation)}
                            for name, of_one in zip(names, of_each, strict=True) for observation in of_one]
            outcomes.append(({'observations': observations, 'seconds': seconds}, None))
        return outcomes

    def _stream(self, llm: StreamingLLM, jobs: Iterable[_Job],
                stop: Event) -> Iterator[tuple[_Job, Outcome | Exception]]:
        asked: dict[int, _Job] = {}
        unreadable: list[tuple[_Job, Exception]] = []

        def prompts() -> Iterator[Prompt]:
            for index, job in enumerate(jobs):
                try:
                    prompt = self._render(job)
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

    def _write(self, llm: LLM, jobs: Sequence[_Job]) -> list[Outcome | Exception]:
        prompts = [self._render(job) for job in jobs]
        answers = llm.complete(prompts)
        faulty = {index: fault for index, answer in enumerate(answers) if (fault := self._fault(answer))}
        if faulty:
            again = _attempt(llm.complete, [replace(prompts[index], text='\n\n'.join((
                prompts[index].text, 'Your answer was:', answers[index].text, correction_request(fault))))
                for index, fault in faulty.items()])  # if that fails, the others' answers are kept
            for index, answer in zip(faulty, again, strict=True):
                if isinstance(answer, Exception):
                    self.usage.add(answers[index])
                answers[index] = answer if isinstance(answer, Exception) else combined(answers[index], answer)
        return [answer if isinstance(answer, Exception) else self._outcome(answer) for answer in answers]

    def _fault(self, completion: Completion) -> str | None:
        """Fault that keeps an answer from being JSON of the prompt's schema, so that it is worth to ask again."""
        try:
            return self._check and self._check(self._answer(completion))
        except DataError:  # a refusal would be another one
            return None

    def _answer(self, completion: Completion) -> str:
        return read(completion.text, completion.model, completion.finish_reason, self._check)

    def _outcome(self, completion: Completion) -> Outcome | Exception:
        """Facts that are kept of a completion; its tokens and money count even where it is of no use."""
        self.usage.add(completion)
        try:
            text = self._answer(completion)
            facts = asdict(completion) | {'text': text}
            return (facts | {'texts': self._texts(completion.model, text)} if self._check else facts), None
        except Exception as error:  # an LLM may write anything; the other images must not suffer
            return error

    def _texts(self, model: str, answer: str) -> list[str]:
        """Texts that the encoder reads of a structured answer."""
        if fault := self._check(answer):
            raise unfit_answer(model, fault)
        written = [text for text in map(prose, texts(parse(answer))) if text]
        if not written:
            raise DataError(f'{model} answered without any words: {answer.strip()[:80]}',
                            'Let the schema ask for them, by required, minItems and minLength.')
        if all(map(refused, written)):
            raise refusal(model, written[0])
        return written

    def _encode(self, encoder: TextEncoder, jobs: Sequence[_Job]) -> list[Outcome]:
        written = [self._read(job.needs[0]) for job in jobs]
        parts = [texts_of(record) for record in written]
        start = time.perf_counter()
        encoded = encoder.encode([text for of_one in parts for text in of_one])
        seconds = (time.perf_counter() - start) / len(jobs)
        rows = (features[mask].float().cpu().numpy()
                for features, mask in zip(encoded.features, encoded.mask, strict=True))
        outcomes = []
        for record, of_one in zip(written, parts, strict=True):
            array = np.concatenate(list(islice(rows, len(of_one))))
            facts = {name: record[name] for name in ('text', 'texts') if name in record}
            outcomes.append((facts | {'tokens': len(array), 'dim': array.shape[1], 'seconds': seconds}, array))
        return outcomes

    def _render(self, job: _Job) -> Prompt:
        """The prompt of a paragraph, from what was seen."""
        seen = {need.content: observations(self._read(need)) for need in job.needs}
        if not self.prompt.of_pair:
            return self.prompt.render(seen[job.content], *job.modalities)
        a, b = job.content
        return self.prompt.render_pair(*(seen.get(sight, ()) for sight in ((a,), (b,), (a, b))), job.modalities)

    def _record(self, job: _Job, facts: dict) -> dict:
        """Record of what was made, and of everything that it was made from."""
        keys: dict[str, list[str]] = {}
        for one in _chain(job):
            keys.setdefault(one.stage, []).append(one.key)
        images = [{'file': image.path.name, 'sha256': content.sha256, 'modality': content.modality,
                   **({'reading': str(image.reading)} if str(image.reading) else {})}
                  for image, content in zip(job.subject, job.content, strict=True)]
        return {'keys': keys, 'images': images, **self._provenance[job.stage], **facts,
                'date': datetime.now(UTC).isoformat(timespec='seconds'), 'vlfusion': vlfusion.__version__}


def _chain(job: _Job) -> Iterator[_Job]:
    """Jobs that a job needs, first things first, and the job itself."""
    for need in job.needs:
        yield from _chain(need)
    yield job


def _error(job: _Job, errors: Mapping[str, Exception]) -> Exception | None:
    """Error by which a record cannot be made: its own error, or that of one it is made from."""
    return next((errors[one.key] for one in _chain(job) if one.key in errors), None) if errors else None


def _batches(jobs: Iterable[_Job]) -> Iterator[list[_Job]]:
    """Batches of jobs of one modality; no job is taken before it is needed."""
    batch = []
    for job in jobs:
        if len(batch) == BATCH or (batch and job.modalities != batch[0].modalities):
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
            batch = [replace(job, pixels=tuple(readers.submit(read_image, image.path, image.reading)
                                               for image in job.subject)) for job in batch]
            if ahead:
                yield ahead
            ahead = batch
        if ahead:
            yield ahead


def _overlapped(work: Work, batches: Iterable[list[_Job]]) -> Iterator[tuple[_Job, Outcome | Exception]]:
    """Each job with what comes of it; the next batch is worked on while the caller keeps what came of the last."""
    before, running = [], None
    for batch in batches:
        made = running.result() if running else []  # one at a time: no part has to be safe for threads
        running = _begin(work, batch)
        yield from zip(before, made, strict=True)
        before = batch
    if running:
        yield from zip(before, running.result(), strict=True)


def _begin(work: Work, batch: list[_Job]) -> Future:
    """Begin work in a daemon thread, so that the end of the process need not wait for it."""
    future: Future = Future()

    def run() -> None:
        try:
            future.set_result(work(batch))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future


def _seen(captioner: Captioner | PairCaptioner, shown: Sequence[tuple[Image, ...]],
          modalities: tuple[str, ...]) -> list[list[Observation] | Exception]:
    """Observations of each image or pair, or its error; nothing is shown again because another failed."""
    single = len(modalities) == 1
    things, kind = ([image for image, in shown], modalities[0]) if single else (shown, modalities)

    def observe(some: Sequence) -> list:
        if hasattr(captioner, 'stream'):
            return [seen for _, seen in sorted(captioner.stream(some, kind), key=itemgetter(0))]
        return (captioner.observe if single else captioner.observe_pairs)(some, kind)

    return _attempt(observe, things)


def _attempt(work: Callable[[Sequence], list], jobs: Sequence) -> list:
    """Results of `work` for each job, or the exception that it raises when given that job alone.

    Raises:
        ConfigError: the config is at fault, so that every job would fail.
    """
    try:
        return work(jobs)
    except ConfigError:
        raise
    except Exception as error:  # a captioner or LLM may fail in any way; the other images must not suffer
        return [error] if len(jobs) == 1 else [outcome for job in jobs for outcome in _attempt(work, [job])]
