"""Records to be made for a description, and which of them the text store has already."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from vlfusion.errors import DataError
from vlfusion.language.keys import Content, Keys
from vlfusion.language.records import texts_of
from vlfusion.language.store import STAGES, TextStore
from vlfusion.language.subjects import ImageToDescribe, Subject, content_of


@dataclass(frozen=True)
class Job:
    """A record to be made.

    Attributes:
        stage: the stage of the record.
        key: its key.
        images: the image or pair that it is about.
        content: these images by their content.
        needs: the jobs whose records it is made from.
        encodes: of features, the job of the paragraph whose texts they repeat.
    """

    stage: str
    key: str
    images: tuple[ImageToDescribe, ...]
    content: tuple[Content, ...]
    needs: tuple['Job', ...] = ()
    encodes: 'Job | None' = None

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modality of each image."""
        return tuple(image.modality for image in self.content)

    @property
    def path(self) -> str:
        """The files of its images, for messages."""
        return ' with '.join(str(image.path) for image in self.images)

    def line(self) -> Iterator['Job']:
        """The jobs that it needs, the earliest first, and the job itself."""
        for need in self.needs:
            yield from need.line()
        yield self


def features_job(keys: Keys, subject: Subject) -> Job:
    """The job of a subject's features, with the jobs before it.

    Raises:
        DataError: an image cannot be read.
    """
    images, content = subject.images, content_of(subject)
    observing = []
    for index, scene in enumerate(keys.scenes(*content)):
        shown = images if len(scene) == len(images) else images[index:index + 1]
        observing.append(Job('observations', keys.observation(*scene), shown, scene))
    writing = Job('paragraphs', keys.paragraph(*content), images, content, tuple(observing))
    return Job('features', keys.feature(*content), images, content, (writing,), encodes=writing)


def error_of(job: Job, errors: Mapping[str, Exception]) -> Exception | None:
    """Error by which a record cannot be made: its own, or that of a record it is made from."""
    return next((errors[each.key] for each in job.line() if each.key in errors), None) if errors else None


class Ledger:
    """Account of the jobs whose records are in the text store. What was read once is not read again."""

    def __init__(self, store: TextStore):
        self._store = store
        self._texts: dict[str, tuple[str, ...]] = {}  # of intact records, by key

    def has(self, job: Job) -> bool:
        """True if there is an intact record; features must be of the texts that their paragraph has now."""
        texts = self._texts_of(job)
        if texts and job.encodes and self._texts_of(job.encodes) not in (None, texts):
            del self._texts[job.key]  # the paragraph was written again since
            return False
        return texts is not None

    def can_make(self, job: Job) -> bool:
        """True if every record that a job needs is there."""
        return all(map(self.has, job.needs))

    def is_damaged(self, job: Job) -> bool:
        """True if there is a record, but not an intact one."""
        return self._store.has(job.stage, job.key) and not self.has(job)

    def is_described(self, job: Job) -> bool:
        """True if there are features, and no record before them is damaged; one may be missing."""
        return self.has(job) and not any(map(self.is_damaged, job.line()))

    def read(self, job: Job) -> dict:
        """The record of a job; DataError where there is none, or a damaged one."""
        return self._store.checked(job.stage, job.key)

    def missing(self, features: Iterable[Job], errors: Mapping[str, Exception]) -> dict[str, list[Job]]:
        """The jobs of each stage that are to be done for these, without those that failed or need one that did."""
        missing, level = {}, [(job, True) for job in features]
        for stage in reversed(STAGES):
            jobs = {job.key: job for job, wanted in level if (wanted or self.is_damaged(job))
                    and not self.has(job) and not error_of(job, errors)}
            missing[stage] = sorted(jobs.values(), key=lambda job: job.modalities)
            level = [(need, job.key in jobs) for job, _ in level for need in job.needs]
        return {stage: missing[stage] for stage in STAGES}

    def _texts_of(self, job: Job) -> tuple[str, ...] | None:
        """The texts of an intact record; None where there is no such record."""
        if job.key not in self._texts:
            try:
                if not self._store.has(job.stage, job.key):
                    return None
                self._texts[job.key] = texts_of(self.read(job))
            except DataError:
                return None
        return self._texts[job.key]
