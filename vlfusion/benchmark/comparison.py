"""A comparison from its plan to its files: methods fuse, pictures are scored, results are written."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from vlfusion.analysis.ablation import Ablation
from vlfusion.benchmark.manifest import manifest
from vlfusion.benchmark.needs import download, needs_of
from vlfusion.benchmark.outputs import check_needs, write_all
from vlfusion.benchmark.plan import Plan
from vlfusion.benchmark.processes import Group
from vlfusion.benchmark.results import SetResult
from vlfusion.benchmark.run import Progress, Run
from vlfusion.benchmark.study import load_studies
from vlfusion.benchmark.study_result import StudyResult, run_study
from vlfusion.benchmark.tables import results
from vlfusion.guards.foreign import is_end, reason


@dataclass(frozen=True)
class Comparison:
    """Result of `run_plan`.

    Attributes:
        sets: results on each data set: leaderboards, ranks under other ways of scoring, costs.
        failures: reasons why methods have no result, by data set and method.
        counts: numbers of pairs `fused` and pictures `scored`, and of those in the cache: `known pairs`,
            `known scores`.
        seconds: duration of each part of the work.
        files: files that a reader should open.
        studies: downstream studies, by name.
    """

    sets: Sequence[SetResult]
    failures: Mapping[tuple[str, str], str]
    counts: Mapping[str, int]
    seconds: Mapping[str, float] = field(default_factory=dict)
    files: Sequence[Path] = ()
    studies: Mapping[str, StudyResult] = field(default_factory=dict)


def run_plan(plan: Plan, *, get: bool = False, describe: bool = False, report: bool = True,
             ablation: str | PathLike | None = None, group: Group | None = None,
             progress: Progress = lambda *_: None) -> Comparison:
    """Compare methods on data sets as a plan says, and write tables, scores, pictures and a report to `plan.out`.

    Results are cached by the content of weights, code, images, text and protocol, and are not computed again. A method
    that fails is named in `failures`; the others go on.

        plan = vlfusion.load_plan('benchmark/mif')
        for dataset in vlfusion.run_plan(plan).sets:
            print(dataset.board.markdown())

    Args:
        plan: plan of `load_plan`.
        get: first download the weights of named models and the public data sets that are not on this machine. Models
            whose weights cannot be had are failures.
        describe: describe images for models that read text, with parts that need a network, a key or files of a hub.
            Parts that need nothing from outside are always used.
        report: write `report.html` too, beside the tables.
        ablation: folder of an ablation (`ablate_text`) to show in the report.
        group: processes that share the work; by default this process only. The first of them writes; the others return
            a comparison without `sets` and `files`.
        progress: called with a step, the items done and the items in total.

    Raises:
        ConfigError: a package for tables or report is missing.
        DataError: a fused picture is missing, a data set has no pair, or the folder contains no ablation.
    """
    check_needs()
    planned = load_studies(plan)
    shown = None if ablation is None else Ablation.read(ablation)
    group, clock = group or Group(), _Clock()
    refused = download(needs_of(plan), progress) if get else {}
    run = Run(plan, group.rank, group.world, progress, describe, refused)
    run.check()
    clock.lap('preparing')
    units = run.fuse()
    clock.lap('fusing')
    run.score(units)
    clock.lap('scoring')
    group.gather(run)
    if group.rank:
        return Comparison((), run.failures, run.counts, clock.seconds)
    units = units if group.world == 1 else run.units()
    sets = results(run, units)
    clock.lap('comparing')
    studies, failures = {}, dict(run.failures)
    for name, study in planned.items():
        try:
            studies[name] = run_study(study, get=get, describe=describe, progress=progress)
        except BaseException as error:  # the tables of the pictures are done, and must not be lost
            if is_end(error):
                raise
            failures[name, 'the whole study'] = reason(error)
    if planned:
        clock.lap('downstream')
    files = write_all(plan.out, run, units, sets, manifest(run, clock.seconds), report=report, ablation=shown,
                      studies=list(studies.values()))
    clock.lap('writing')
    failures |= {(name, row): why for name, study in studies.items() for row, why in study.failures.items()}
    return Comparison(sets, failures, run.counts, clock.seconds, files, studies)


class _Clock:
    """A clock that measures each part of the work, in seconds."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self._began = time.perf_counter()

    def lap(self, part: str) -> None:
        """End a part of the work, and begin the next."""
        now = time.perf_counter()
        self.seconds[part], self._began = round(now - self._began, 3), now
