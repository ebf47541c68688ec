"""Pipeline from images to token features: captioners, LLM and text encoder in turn, with each result in the store."""

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
from vlfusion.language.section import ENCODERS, section
from vlfusion.language.stages import Encoding, Observing, Writing
from vlfusion.language.store import STAGES, open_store
from vlfusion.language.subjects import ImageToDescribe, SourcePair, Subject, subjects_of
from vlfusion.registry import CAPTIONERS, LLMS, TEXT_ENCODERS

__all__ = ['DescriptionPipeline', 'ImageToDescribe', 'Plan', 'Report']

# Estimates for an empty store: characters of the observations, of a paragraph, and of an English token.
OBSERVATIONS, PARAGRAPH, CHARACTERS_PER_TOKEN = 500, 600, 4
SAMPLE = 200  # most records that an estimate reads


class DescriptionPipeline:
    """Description of images or pairs, as the `language` section of a config says. It makes only missing records.

    A part is built when there is work for it, so reading a full store needs no language library. If a batch fails, its
    images are tried one by one. Images that fail again are reported, and their errors stay in the store until they
    succeed; the other images go on. A streaming LLM is asked once for each image, and each answer is stored when it
    arrives. If the prompt has a JSON schema, an answer that does not fit is sent back once.

    Several processes, on several machines, may fill one store. A process claims each record before it makes it. A run
    ends when all of its images are described, by any process.

    Args:
        language: `dict(store='data/text', captioners=[...], llm=dict(...), prompt='paragraph', encoder=dict(...))`.

    Attributes:
        store: the text store.
        keys: the keys of its records.
        prompt: the template of the prompt.
        usage: tokens and cost of the LLM so far.

    Raises:
        ConfigError: the section lacks a key or holds something that is not plain data.
        UnknownNameError: a part or the prompt does not exist.
    """

    def __init__(self, language: Mapping):
        self.language = language
        self.store = open_store(section(language, 'store'))
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
        for registry, *keys in ((LLMS, 'llm'), (TEXT_ENCODERS, *ENCODERS)):
            for key in filter(language.get, keys):
                check_arguments(registry.get(language[key]['type']), language[key], f'language.{key}')

    @cached_property
    def captioners(self) -> list[Captioner]:
        """The captioners, built, in the order of the config."""
        return [up_to_date(CAPTIONERS.build(part)) for part in self.language['captioners']]

    @property
    def asked(self) -> tuple[int, float]:
        """Tokens and US dollars that captioners have spent at servers so far, as far as servers report them."""
        built = vars(self).get('captioners', ())  # none is built to be counted
        clients = [part.client for captioner in built for part in (captioner, getattr(captioner, 'labeller', None))
                   if hasattr(part, 'client')]
        return sum(client.tokens for client in clients), sum(client.cost for client in clients)

    @cached_property
    def llm(self) -> LLM:
        """The LLM, built."""
        return LLMS.build(self.language['llm'])

    @cached_property
    def encoder(self) -> TextEncoder:
        """The text encoder, built."""
        return TEXT_ENCODERS.build(self.language['encoder'])

    def subjects(self, pairs: Iterable[SourcePair]) -> list[Subject]:
        """Return the subjects of pairs, once each: the pairs if the prompt is about pairs, else their images."""
        return subjects_of(pairs, self.keys.of_pairs)

    def run(self, subjects: Sequence[Subject], progress: Progress | None = None, stop: Event | None = None) -> Report:
        """Describe what is not described yet. Subjects with equal content are described once.

        Args:
            subjects: images, or pairs if the prompt is about pairs; see `subjects`.
            progress: a callback for the progress of each stage.
            stop: an event; once it is set, records in work are finished and the rest is left.

        Raises:
            ConfigError: a part cannot be built, or the prompt is about pairs and the subjects are images, or vice
                versa.
        """
        report, jobs, same = Report(), {}, {}  # same: key of a job -> its subjects, which have equal content
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
        """Plan what `run` would do. Estimates use the first `SAMPLE` existing records."""
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
        """Return the paragraph of a described image or pair, from its own record or from that of its features."""
        features = self._job(subject)
        job = features.encodes if self._ledger.has(features.encodes) else features
        return self._ledger.read(job).get('text', '')

    def prompt_of(self, subject: Subject) -> Prompt:
        """Return the prompt that the LLM gets about an image or a pair, from the observations in the store.

        Raises:
            DataError: the observations are missing or damaged.
        """
        return self._writing.prompt_of(self._job(subject).encodes)

    def _job(self, subject: Subject) -> Job:
        """Return the job of the features of a subject."""
        if (len(subject.images) == 2) != self.keys.of_pairs:
            expected = 'a pair' if self.keys.of_pairs else 'one image'
            raise ConfigError(f'The prompt {self.prompt.id} is about {expected}, but the subject is {subject}.',
                              'Use another prompt, or take the subjects from `DescriptionPipeline.subjects`.')
        return features_job(self.keys, subject)

    def _make(self, jobs: Sequence[Job], progress: Progress | None, stop: Event) -> dict[str, Exception]:
        run = Run(self._stages, store=self.store, ledger=self._ledger, record_of=self._record, progress=progress,
                  stop=stop)
        return run.describe(jobs)

    def _named_captioners(self) -> list[tuple[str, Captioner]]:
        names = [identity(CAPTIONERS, part)['type'] for part in self.language['captioners']]
        return list(zip(names, self.captioners, strict=True))

    def _record(self, job: Job, facts: dict) -> dict:
        """Make a whole record: the facts of a stage, and everything that they were made from."""
        keys: dict[str, list[str]] = {}
        for each in job.line():
            keys.setdefault(each.stage, []).append(each.key)
        images = [{'file': image.path.name, 'sha256': content.sha256, 'modality': content.modality,
                   **({'reading': str(image.reading)} if str(image.reading) else {})}
                  for image, content in zip(job.images, job.content, strict=True)]
        return {'keys': keys, 'images': images, **self._makers[job.stage], **facts,
                'date': datetime.now(UTC).isoformat(timespec='seconds'), 'vlfusion': vlfusion.__version__}


def _makers(language: Mapping, keys: Keys) -> dict[str, dict]:
    """Return, for each stage, the identities of all parts that its records depend on."""
    observing = {'captioners': [identity(CAPTIONERS, part) for part in section(language, 'captioners')]}
    writing = observing | {'prompt': {'id': keys.prompt.id, 'sha256': keys.prompt.sha256},
                           'llm': identity(LLMS, section(language, 'llm'))}
    encoding = writing | {'encoder': identity(TEXT_ENCODERS, section(language, 'encoder'))}
    return dict(zip(STAGES, (observing, writing, encoding), strict=True))
