"""From images to token features: captioners, LLM and text encoder in turn, each result kept in the store."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from threading import Event

import numpy as np

import vlfusion
from vlfusion.errors import ConfigError, DataError
from vlfusion.guards.arguments import check_arguments
from vlfusion.language.former import up_to_date
from vlfusion.language.interfaces import LLM, Captioner, Prompt, TextEncoder
from vlfusion.language.jobs import Job, Ledger, error_of, features_job
from vlfusion.language.keys import Keys, identity
from vlfusion.language.report import Plan, Report, Usage
from vlfusion.language.run import Progress, Run
from vlfusion.language.section import section
from vlfusion.language.stages import Encoding, Observing, Writing
from vlfusion.language.store import STAGES, TextStore
from vlfusion.language.subjects import ImageToDescribe, SourcePair, Subject, subjects_of
from vlfusion.registry import CAPTIONERS, LLMS, TEXT_ENCODERS

__all__ = ['DescriptionPipeline', 'ImageToDescribe', 'Plan', 'Report']

# For estimates, where nothing is known yet: characters of observations, of a paragraph, and of a token of English.
OBSERVATIONS, PARAGRAPH, CHARACTERS_PER_TOKEN = 500, 600, 4
SAMPLE = 200  # records that an estimate reads


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

    Attributes:
        store: the text store.
        keys: the keys of its records.
        prompt: the prompt that the LLM gets.
        usage: tokens and money that the LLM took so far.

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
        self._ledger = Ledger(self.store)
        self._writing = Writing(lambda: self.llm, prompt=self.prompt, ledger=self._ledger, usage=self.usage)
        self._stages = (Observing(self._named_captioners), self._writing,
                        Encoding(lambda: self.encoder, ledger=self._ledger))
        self._makers = _makers(language, self.keys)
        for index, part in enumerate(language['captioners']):
            check_arguments(CAPTIONERS.get(part['type']), part, f'language.captioners[{index}]')
        for key, registry in (('llm', LLMS), ('encoder', TEXT_ENCODERS)):
            check_arguments(registry.get(language[key]['type']), language[key], f'language.{key}')

    @cached_property
    def captioners(self) -> list[Captioner]:
        """The captioners, built, in the order of the config."""
        return [up_to_date(CAPTIONERS.build(part)) for part in self.language['captioners']]

    @cached_property
    def llm(self) -> LLM:
        """The LLM, built."""
        return LLMS.build(self.language['llm'])

    @cached_property
    def encoder(self) -> TextEncoder:
        """The text encoder, built."""
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
        report, jobs, same = Report(), {}, {}  # `same`: the subjects of each job, by its key
        for subject in subjects:
            try:
                job = self._job(subject)
            except DataError as error:
                report.failed[subject] = error
            else:
                jobs.setdefault(job.key, job)
                same.setdefault(job.key, []).append(subject)
        todo = {key: job for key, job in jobs.items() if not self._ledger.is_described(job)}
        damaged = {key for key, job in todo.items() if any(map(self._ledger.is_damaged, job.line()))}
        errors = self._make(list(todo.values()), progress, stop or Event()) if todo else {}
        for key, job in jobs.items():
            if key not in todo:
                report.skipped += same[key]
            elif error := error_of(job, errors):
                report.failed |= dict.fromkeys(same[key], error)
            elif not self._ledger.is_described(job):
                report.left += same[key]
            else:
                first, *others = same[key]
                report.done.append(first)
                report.repaired += [first] if key in damaged else []
                report.skipped += others
        return report

    def plan(self, subjects: Sequence[Subject]) -> Plan:
        """Plan what `run` would do. The first `SAMPLE` records that are there serve for the estimates."""
        jobs = {job.key: job for job in map(self._job, subjects)}
        missing = self._ledger.missing(jobs.values(), {})
        writing = [job.encodes for job in jobs.values()]
        prompts = [len(self._writing.prompt_of(job).text)
                   for job in islice(filter(self._ledger.can_make, writing), SAMPLE)]
        answers = [len(self._ledger.read(job)['text']) for job in islice(filter(self._ledger.has, writing), SAMPLE)]
        each_prompt = np.mean(prompts) if prompts else len(self.prompt.body) + OBSERVATIONS
        each_answer = np.mean(answers) if answers else PARAGRAPH
        count = len(missing['paragraphs'])
        read, written = (round(count * each / CHARACTERS_PER_TOKEN) for each in (each_prompt, each_answer))
        prices = [self.language['llm'].get(key) for key in ('price_prompt', 'price_completion')]
        cost = None if None in prices else (read * prices[0] + written * prices[1]) / 1e6
        return Plan(len(subjects), {stage: len(jobs) for stage, jobs in missing.items()}, read, written, cost)

    def paragraph(self, subject: Subject) -> str:
        """The paragraph of an image or a pair that is described; its features keep it too."""
        features = self._job(subject)
        job = features.encodes if self._ledger.has(features.encodes) else features
        return self._ledger.read(job).get('text', '')

    def prompt_of(self, subject: Subject) -> Prompt:
        """The question that the LLM gets about an image or a pair whose observations are in the store.

        Raises:
            DataError: they are not, or are damaged.
        """
        return self._writing.prompt_of(self._job(subject).encodes)

    def _job(self, subject: Subject) -> Job:
        """The job of the features of a subject."""
        if (len(subject.images) == 2) != self.keys.of_pairs:
            wanted = 'a pair' if self.keys.of_pairs else 'one image'
            raise ConfigError(f'The prompt {self.prompt.id} is about {wanted}, but it is to describe {subject}.',
                              'Use another prompt, or let `subjects` choose.')
        return features_job(self.keys, subject)

    def _make(self, jobs: Sequence[Job], progress: Progress | None, stop: Event) -> dict[str, Exception]:
        run = Run(self._stages, store=self.store, ledger=self._ledger, record_of=self._record, progress=progress,
                  stop=stop)
        return run.describe(jobs)

    def _named_captioners(self) -> list[tuple[str, Captioner]]:
        names = [identity(CAPTIONERS, part)['type'] for part in self.language['captioners']]
        return list(zip(names, self.captioners, strict=True))

    def _record(self, job: Job, facts: dict) -> dict:
        """Record of what a stage found, and of everything that it was made from."""
        keys: dict[str, list[str]] = {}
        for each in job.line():
            keys.setdefault(each.stage, []).append(each.key)
        images = [{'file': image.path.name, 'sha256': content.sha256, 'modality': content.modality,
                   **({'reading': str(image.reading)} if str(image.reading) else {})}
                  for image, content in zip(job.images, job.content, strict=True)]
        return {'keys': keys, 'images': images, **self._makers[job.stage], **facts,
                'date': datetime.now(UTC).isoformat(timespec='seconds'), 'vlfusion': vlfusion.__version__}


def _makers(language: Mapping, keys: Keys) -> dict[str, dict]:
    """Parts that a record of each stage is made by, as it names them."""
    observed = {'captioners': [identity(CAPTIONERS, part) for part in section(language, 'captioners')]}
    written = observed | {'prompt': {'id': keys.prompt.id, 'sha256': keys.prompt.sha256},
                          'llm': identity(LLMS, section(language, 'llm'))}
    encoded = written | {'encoder': identity(TEXT_ENCODERS, section(language, 'encoder'))}
    return dict(zip(STAGES, (observed, written, encoded), strict=True))
