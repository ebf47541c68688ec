"""Jobs: the records of a description, and the account of those that the text store has already."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from vlfusion.errors import DataError
from vlfusion.language.keys import Content, Keys
from vlfusion.language.records import texts_of
from vlfusion.language.store import STAGES, TextStore
from vlfusion.language.subjects import ImageToDescribe, Subject, content_of


@dataclass(frozen=True)
class Job:
    """Record to be made.

    Attributes:
        stage: the stage of the record.
        key: its key.
        images: the files of the image or pair.
        content: the content and modality of each image.
        needs: the jobs of the records that it is made from.
        encodes: for features, the job of their paragraph; None for other stages.
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
        """Yield the jobs that it needs, the earliest first, then the job itself."""
        for need in self.needs:
            yield from need.line()
        yield self


def features_job(keys: Keys, subject: Subject) -> Job:
    """Make the job of a subject's features, with the jobs before it.

    Raises:
        DataError: an image cannot be read.
    """
    images, content = subject.images, content_of(subject)
    observing = []
    for index, scene in enumerate(keys.scenes(*content)):
        files = images if len(scene) == len(images) else images[index:index + 1]
        observing.append(Job('observations', keys.observation(*scene), files, scene))
    writing = Job('paragraphs', keys.paragraph(*content), images, content, tuple(observing))
    return Job('features', keys.feature(*content), images, content, (writing,), encodes=writing)


def error_of(job: Job, errors: Mapping[str, Exception]) -> Exception | None:
    """Return the error that prevents a record: its own, or that of a record it is made from; None without one."""
    return next((errors[each.key] for each in job.line() if each.key in errors), None) if errors else None


class Ledger:
    """Account of the jobs whose records are in the text store. Each intact record is read once."""

    def __init__(self, store: TextStore):
        self._store = store
        self._texts: dict[str, tuple[str, ...]] = {}  # key of an intact record -> its texts

    def has(self, job: Job) -> bool:
        """True if there is an intact record. Features must match the present texts of their paragraph."""
        texts = self._texts_of(job)
        if texts and job.encodes and self._texts_of(job.encodes) not in (None, texts):
            del self._texts[job.key]  # the paragraph was written again after the features
            return False
        return texts is not None

    def can_make(self, job: Job) -> bool:
        """True if every record that a job needs is there."""
        return all(map(self.has, job.needs))

    def is_damaged(self, job: Job) -> bool:
        """True if there is a record, but it is not intact."""
        return self._store.has(job.stage, job.key) and not self.has(job)

    def is_described(self, job: Job) -> bool:
        """True if there are features and no record before them is damaged. Earlier records may be missing."""
        return self.has(job) and not any(map(self.is_damaged, job.line()))

    def read(self, job: Job) -> dict:
        """Return the record of a job.

        Raises:
            DataError: the record is missing or damaged.
        """
        return self._store.checked(job.stage, job.key)

    def missing(self, features: Iterable[Job], errors: Mapping[str, Exception]) -> dict[str, list[Job]]:
        """Return the jobs of each stage that these features still need, without those that `errors` prevent."""
        missing, level = {}, [(job, True) for job in features]
        for stage in reversed(STAGES):
            jobs = {job.key: job for job, required in level if (required or self.is_damaged(job))
                    and not self.has(job) and not error_of(job, errors)}
            missing[stage] = sorted(jobs.values(), key=lambda job: job.modalities)
            level = [(need, job.key in jobs) for job, _ in level for need in job.needs]
        return {stage: missing[stage] for stage in STAGES}

    def _texts_of(self, job: Job) -> tuple[str, ...] | None:
        """Return the texts of an intact record; None if there is no intact record."""
        if job.key not in self._texts:
            try:
                if not self._store.has(job.stage, job.key):
                    return None
                self._texts[job.key] = texts_of(self.read(job))
            except DataError:
                return None
        return self._texts[job.key]
