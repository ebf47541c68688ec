"""Three stages of a description. They make the records of observations, paragraphs and features."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import islice
from threading import Event

import numpy as np

from vlfusion.errors import DataError
from vlfusion.language.answers.clean import prose, read, refusal, refused
from vlfusion.language.answers.structure import (
    combined,
    correction_request,
    in_order,
    invalid_answer,
    parse,
    schema_check,
    texts,
)
from vlfusion.language.batches import Prefetched, attempt, batches, overlapped, read_ahead
from vlfusion.language.interfaces import LLM, Captioner, Completion, Observation, Prompt, StreamingLLM, TextEncoder
from vlfusion.language.jobs import Job, Ledger
from vlfusion.language.prompt import PromptTemplate
from vlfusion.language.records import observation_facts, observations, texts_of
from vlfusion.language.report import Usage
from vlfusion.language.store import FAILURES, TextStore

#: Facts of a new record, and its array or None.
Outcome = tuple[dict, np.ndarray | None]


class Stage(ABC):
    """Step on the way from images to features."""

    name: str

    @abstractmethod
    def outcomes(self, jobs: Iterable[Job], stop: Event) -> Iterator[tuple[Job, Outcome | Exception]]:
        """Yield each job with its outcome or error, as soon as it is known.

        The part is built before the first job is taken, so a part that cannot be built stops the run. Jobs are taken
        one by one when they are needed. `jobs` ends once `stop` is set.
        """

    def keep(self, store: TextStore, job: Job, record: dict, array: np.ndarray | None) -> None:
        """Put a new record into the store."""
        store.write(self.name, job.key, record, array)


class Observing(Stage):
    """Stage in which captioners observe images, or both images of a pair.

    Args:
        captioners: a function that returns the captioners, each with its name in records.
    """

    name = 'observations'

    def __init__(self, captioners: Callable[[], Sequence[tuple[str, Captioner]]]):
        self._captioners = captioners

    def outcomes(self, jobs: Iterable[Job], stop: Event) -> Iterator[tuple[Job, Outcome | Exception]]:
        observe = partial(self._observe, self._captioners())
        for (job, _), outcome in overlapped(partial(attempt, observe), read_ahead(jobs)):
            yield job, outcome

    def _observe(self, captioners: Sequence[tuple[str, Captioner]],
                 readings: Sequence[Prefetched]) -> list[Outcome | Exception]:
        scenes = [tuple(image.result() for image in images) for _, images in readings]
        modalities = readings[0][0].modalities
        suited = [(name, captioner) for name, captioner in captioners if captioner.images == len(modalities)]
        start = time.perf_counter()
        answers = [attempt(partial(captioner.observe, modalities=modalities), scenes) for _, captioner in suited]
        seconds = (time.perf_counter() - start) / len(scenes)
        names = [name for name, _ in suited]
        return [_observed(names, of_scene, seconds) for of_scene in zip(*answers, strict=True)]


def _observed(names: Sequence[str], answers: Sequence[list[Observation] | Exception],
              seconds: float) -> Outcome | Exception:
    """Return the outcome of one scene, from the answer of each captioner."""
    for answer in answers:
        if isinstance(answer, Exception):
            return answer
    facts = [{'captioner': name, **observation_facts(observation)}
             for name, answer in zip(names, answers, strict=True) for observation in answer]
    return {'observations': facts, 'seconds': seconds}, None


class Writing(Stage):
    """Stage in which an LLM writes paragraphs from observations.

    An answer that does not fit the schema of the prompt is sent back once.

    Args:
        llm: a function that returns the LLM.
        prompt: the template of the prompt.
        ledger: the account of existing records, which reads the observations.
        usage: the count of tokens and cost.
    """

    name = 'paragraphs'

    def __init__(self, llm: Callable[[], LLM], *, prompt: PromptTemplate, ledger: Ledger, usage: Usage):
        self._llm, self._prompt, self._ledger, self._usage = llm, prompt, ledger, usage
        self._check = None if prompt.schema is None else schema_check(prompt.schema)

    def outcomes(self, jobs: Iterable[Job], stop: Event) -> Iterator[tuple[Job, Outcome | Exception]]:
        llm = self._llm()
        if isinstance(llm, StreamingLLM):
            yield from self._stream(llm, jobs, stop)
            return
        for batch in batches(jobs):  # the results of a batch are kept before the next, because an LLM may cost money
            yield from zip(batch, attempt(partial(self._write, llm), batch), strict=True)

    def prompt_of(self, job: Job) -> Prompt:
        """Render the prompt of a paragraph from the observations in the store."""
        observed = {need.content: observations(self._ledger.read(need)) for need in job.needs}
        if not self._prompt.of_pair:
            return self._prompt.render(observed[job.content], *job.modalities)
        a, b = job.content
        return self._prompt.render_pair(*(observed.get(scene, ()) for scene in ((a,), (b,), (a, b))), job.modalities)

    def _stream(self, llm: StreamingLLM, jobs: Iterable[Job],
                stop: Event) -> Iterator[tuple[Job, Outcome | Exception]]:
        pending: dict[int, Job] = {}
        unreadable: list[tuple[Job, Exception]] = []

        def prompts() -> Iterator[Prompt]:
            for index, job in enumerate(jobs):
                try:
                    prompt = self.prompt_of(job)
                except DataError as error:
                    unreadable.append((job, error))
                else:
                    pending[index - len(unreadable)] = job
                    yield prompt

        for index, answer in llm.stream(prompts()):
            yield pending.pop(index), answer if isinstance(answer, Exception) else self._outcome(answer)
        yield from unreadable
        if not stop.is_set():
            for job in pending.values():
                yield job, DataError(f'{type(llm).__name__} gave no answer for {job.path}.',
                                     'Let the stream of the LLM yield an answer or an error for each prompt.')

    def _write(self, llm: LLM, jobs: Sequence[Job]) -> list[Outcome | Exception]:
        prompts = [self.prompt_of(job) for job in jobs]
        answers = llm.complete(prompts)
        faults = {index: fault for index, answer in enumerate(answers) if (fault := self._fault(answer))}
        if faults:
            corrections = [replace(prompts[index], text='\n\n'.join((
                prompts[index].text, 'Your answer was:', answers[index].text, correction_request(fault))))
                for index, fault in faults.items()]
            second_answers = attempt(llm.complete, corrections)  # if one fails, the other answers are kept
            for index, second in zip(faults, second_answers, strict=True):
                if isinstance(second, Exception):
                    self._usage.add(answers[index])
                answers[index] = second if isinstance(second, Exception) else combined(answers[index], second)
        return [answer if isinstance(answer, Exception) else self._outcome(answer) for answer in answers]

    def _fault(self, completion: Completion) -> str | None:
        """Return the fault of an answer that does not fit the prompt's schema and is worth asking again."""
        try:
            return self._check and self._check(self._text(completion))
        except DataError:  # a model that refused would refuse again
            return None

    def _text(self, completion: Completion) -> str:
        return read(completion.text, completion.model, completion.finish_reason, self._check)

    def _outcome(self, completion: Completion) -> Outcome | Exception:
        """Return the outcome of a completion. Its tokens and cost count even if it is unusable."""
        self._usage.add(completion)
        try:
            text = self._text(completion)
            facts = asdict(completion) | {'text': text}
            return (facts | {'texts': self._texts(completion.model, text)} if self._check else facts), None
        except Exception as error:  # an LLM may write anything; other images must not suffer
            return error

    def _texts(self, model: str, answer: str) -> list[str]:
        """Return the texts that the encoder reads of a structured answer."""
        if fault := self._check(answer):
            raise invalid_answer(model, fault)
        written = [text for text in map(prose, texts(in_order(parse(answer), self._prompt.schema))) if text]
        if not written:
            raise DataError(f'{model} answered without any words: {answer.strip()[:80]}',
                            'Make the schema demand them, by required, minItems and minLength.')
        if all(map(refused, written)):
            raise refusal(model, written[0])
        return written


class Encoding(Stage):
    """Stage in which a text encoder makes token features of paragraphs.

    Features complete a description, so the record of an earlier failure is removed.

    Args:
        encoder: a function that returns the encoder.
        ledger: the account of existing records, which reads the paragraphs.
    """

    name = 'features'

    def __init__(self, encoder: Callable[[], TextEncoder], *, ledger: Ledger):
        self._encoder, self._ledger = encoder, ledger

    def outcomes(self, jobs: Iterable[Job], stop: Event) -> Iterator[tuple[Job, Outcome | Exception]]:
        encode = partial(self._encode, self._encoder())
        yield from overlapped(partial(attempt, encode), batches(jobs))

    def keep(self, store: TextStore, job: Job, record: dict, array: np.ndarray | None) -> None:
        super().keep(store, job, record, array)
        store.remove(FAILURES, job.key)

    def _encode(self, encoder: TextEncoder, jobs: Sequence[Job]) -> list[Outcome]:
        paragraphs = [self._ledger.read(job.encodes) for job in jobs]
        parts = [texts_of(record) for record in paragraphs]
        start = time.perf_counter()
        encoded = encoder.encode([text for of_record in parts for text in of_record])
        seconds = (time.perf_counter() - start) / len(jobs)
        rows = (features[mask].float().cpu().numpy()
                for features, mask in zip(encoded.features, encoded.mask, strict=True))
        outcomes = []
        for record, of_record in zip(paragraphs, parts, strict=True):
            array = np.concatenate(list(islice(rows, len(of_record))))
            facts = {name: record[name] for name in ('text', 'texts') if name in record}
            outcomes.append((facts | {'tokens': len(array), 'dim': array.shape[1], 'seconds': seconds}, array))
        return outcomes
