"""Run of the language stage: jobs pass through the stages. Several processes may share the jobs of one store."""

from collections.abc import Callable, Iterator, Sequence
from threading import Event

from vlfusion.language.claims import Claims
from vlfusion.language.jobs import Job, Ledger, error_of
from vlfusion.language.stages import Outcome, Stage
from vlfusion.language.store import FAILURES, TextStore

WAIT = 0.5  # seconds between checks of other processes' results
#: Callback with a stage, the number of its finished records, and their total.
Progress = Callable[[str, int, int], None]


class Run:
    """Run over a list of jobs.

    Args:
        stages: the stages, in the order in which a job passes them.
        store: the text store.
        ledger: the account of existing records.
        record_of: a function from a job and the facts of its stage to the whole record.
        progress: a callback for the progress of each stage.
        stop: an event; once it is set, records in work are finished and the rest is left.
    """

    def __init__(self, stages: Sequence[Stage], *, store: TextStore, ledger: Ledger,
                 record_of: Callable[[Job, dict], dict], progress: Progress | None, stop: Event):
        self._stages, self._store, self._ledger, self._record_of = stages, store, ledger, record_of
        self._progress, self._stop = progress or (lambda stage, through, total: None), stop
        self._claims = Claims(store.root / 'claims')
        self._errors: dict[str, Exception] = {}

    def describe(self, jobs: Sequence[Job]) -> dict[str, Exception]:
        """Take the jobs of features through every stage; return the errors of failed records by their keys.

        Raises:
            ConfigError: a part cannot be built.
        """
        affected: dict[str, list[str]] = {}  # key of a record -> keys of the features that depend on it
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
                if jobs and not made:  # other processes work on the remaining jobs
                    self._stop.wait(WAIT)
        finally:
            self._claims.close()
            self._store.close()
        return self._errors

    def _results(self, stage: Stage, jobs: Sequence[Job]) -> Iterator[tuple[Job, Outcome | Exception]]:
        """Do the jobs that a stage can do now, keep their records, and yield each job with its outcome or error."""
        ready = list(filter(self._ledger.can_make, self._ledger.missing(jobs, self._errors)[stage.name]))
        if not ready:
            return
        self._progress(stage.name, 0, len(ready))
        for through, (job, outcome) in enumerate(stage.outcomes(self._claimed(ready), self._stop), 1):
            if not isinstance(outcome, Exception):
                facts, array = outcome
                try:
                    stage.keep(self._store, job, self._record_of(job, facts), array)
                except (TypeError, ValueError, RecursionError) as error:  # the facts are not plain data
                    outcome = error
            yield job, outcome
            self._claims.release(job.key)
            self._progress(stage.name, through, len(ready))

    def _claimed(self, jobs: Sequence[Job]) -> Iterator[Job]:
        """Yield the jobs that no other process works on or has done. Each is claimed when it is taken."""
        for job in jobs:
            if self._stop.is_set():
                return
            if self._claims.take(job.key):
                if not self._ledger.has(job):
                    yield job
                else:
                    self._claims.release(job.key)

    def _keep_failure(self, job: Job, error: Exception, keys: Sequence[str]) -> None:
        """Keep an error for this run, and in the store for each of the features that it prevents."""
        self._errors[job.key] = error
        record = self._record_of(job, {'stage': job.stage, 'error': str(error), 'kind': type(error).__name__})
        for key in keys:
            self._store.write(FAILURES, key, record)
