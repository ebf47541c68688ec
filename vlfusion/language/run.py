"""A run of the language stage: jobs go through the stages, shared with other processes that fill the same store."""

from collections.abc import Callable, Iterator, Sequence
from threading import Event

from vlfusion.language.claims import Claims
from vlfusion.language.jobs import Job, Ledger, error_of
from vlfusion.language.stages import Outcome, Stage
from vlfusion.language.store import FAILURES, TextStore

WAIT = 0.5  # seconds between looks at what other processes have done
#: Called with a stage, the number of its records that are through, and their total.
Progress = Callable[[str, int, int], None]


class Run:
    """One run over a list of jobs.

    Args:
        stages: in the order in which a job goes through them.
        store: the text store.
        ledger: knows which records are there.
        record_of: the whole record of a job, from the facts that its stage found.
        progress: called as the work goes on.
        stop: once it is set, what has begun is finished and the rest is left.
    """

    def __init__(self, stages: Sequence[Stage], *, store: TextStore, ledger: Ledger,
                 record_of: Callable[[Job, dict], dict], progress: Progress | None, stop: Event):
        self._stages, self._store, self._ledger, self._record_of = stages, store, ledger, record_of
        self._progress, self._stop = progress or (lambda stage, through, total: None), stop
        self._claims = Claims(store.root / 'claims')
        self._errors: dict[str, Exception] = {}

    def describe(self, jobs: Sequence[Job]) -> dict[str, Exception]:
        """Take the jobs of features through every stage; return the errors of records that failed, by their keys.

        Raises:
            ConfigError: a part cannot be built.
        """
        affected: dict[str, list[str]] = {}  # for each record, the keys of the features that are made of it
        for job in jobs:
            for each in job.line():
                affected.setdefault(each.key, []).append(job.key)
        try:
            while jobs and not self._stop.is_set():
                made = 0
                for stage in self._stages:
                    for job, outcome in self._results(stage, jobs):
                        made += 1
                        if isinstance(outcome, Exception):
                            self._keep_failure(job, outcome, affected[job.key])
                jobs = [job for job in jobs
                        if not self._ledger.is_described(job) and not error_of(job, self._errors)]
                if jobs and not made:  # other processes are at work on what is left
                    self._stop.wait(WAIT)
        finally:
            self._claims.close()
        return self._errors

    def _results(self, stage: Stage, jobs: Sequence[Job]) -> Iterator[tuple[Job, Outcome | Exception]]:
        """Do what a stage can do now, keep its records, and yield each job with its outcome or error."""
        ready = list(filter(self._ledger.can_make, self._ledger.missing(jobs, self._errors)[stage.name]))
        if not ready:
            return
        self._progress(stage.name, 0, len(ready))
        for through, (job, outcome) in enumerate(stage.outcomes(self._claimed(ready), self._stop), 1):
            if not isinstance(outcome, Exception):
                facts, array = outcome
                try:
                    stage.keep(self._store, job, self._record_of(job, facts), array)
                except (TypeError, ValueError, RecursionError) as error:  # a part made what is no plain data
                    outcome = error
            yield job, outcome
            self._claims.release(job.key)
            self._progress(stage.name, through, len(ready))

    def _claimed(self, jobs: Sequence[Job]) -> Iterator[Job]:
        """Jobs that no other process works on or has done; each is claimed when it is taken."""
        for job in jobs:
            if self._stop.is_set():
                return
            if self._claims.take(job.key):
                if not self._ledger.has(job):
                    yield job
                else:
                    self._claims.release(job.key)

    def _keep_failure(self, job: Job, error: Exception, keys: Sequence[str]) -> None:
        """Keep an error for this run, and in the store for each of the features that cannot be made."""
        self._errors[job.key] = error
        record = self._record_of(job, {'stage': job.stage, 'error': str(error), 'kind': type(error).__name__})
        for key in keys:
            self._store.write(FAILURES, key, record)
