"""One comparison from its plan to its files: every method fuses, every picture is scored, all is written."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from vlfusion.analysis.ablation import Ablation
from vlfusion.benchmark.manifest import manifest
from vlfusion.benchmark.outputs import check_needs, write_all
from vlfusion.benchmark.plan import Plan
from vlfusion.benchmark.processes import Group
from vlfusion.benchmark.results import SetResult
from vlfusion.benchmark.run import Progress, Run
from vlfusion.benchmark.tables import results


@dataclass(frozen=True)
class Comparison:
    """Result of `run_plan`.

    Attributes:
        sets: the tables of each data set: leaderboards, ranks under other ways of scoring, costs.
        failures: why a method has no result, by data set and method.
        counts: pairs `fused` and pictures `scored`, and how many of both were known: `known pairs`, `known scores`.
        seconds: that each part of the work took.
        files: what a reader should open.
    """

    sets: Sequence[SetResult]
    failures: Mapping[tuple[str, str], str]
    counts: Mapping[str, int]
    seconds: Mapping[str, float] = field(default_factory=dict)
    files: Sequence[Path] = ()


def run_plan(plan: Plan, *, describe: bool = False, report: bool = True, ablation: str | PathLike | None = None,
             group: Group | None = None, progress: Progress = lambda *_: None) -> Comparison:
    """Compare methods on data sets as a plan says, and write tables, scores, pictures and a report to `plan.out`.

    Results are kept by the content of weights, code, images, text and protocol, and are not computed again. A method
    that fails is named in `failures`; the others go on.

        plan = vlfusion.load_plan('benchmark/mif')
        for dataset in vlfusion.run_plan(plan).sets:
            print(dataset.board.markdown())

    Args:
        plan: as `load_plan` reads it.
        describe: let models that read text have images described by parts that need a network, a key or files of a
            hub. Parts that need nothing from outside are always used.
        report: write `report.html` too, beside the tables.
        ablation: the folder of an ablation (`ablate_text`) that the report shows.
        group: the processes that share the work; by default this one alone. The first of them writes; the others
            return a comparison without `sets` and `files`.
        progress: called with a step, how much of it is done, and how much there is.

    Raises:
        ConfigError: a package is missing that tables or report need.
        DataError: a fused picture is missing, a data set has no pair, or the folder holds no ablation.
    """
    check_needs()
    shown = None if ablation is None else Ablation.read(ablation)
    group, clock = group or Group(), _Clock()
    run = Run(plan, group.rank, group.world, progress, describe)
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
    files = write_all(plan.out, run, units, sets, manifest(run, clock.seconds), report=report, ablation=shown)
    clock.lap('writing')
    return Comparison(sets, run.failures, run.counts, clock.seconds, files)


class _Clock:
    """Seconds that each part of the work took."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self._began = time.perf_counter()

    def lap(self, part: str) -> None:
        """End a part."""
        now = time.perf_counter()
        self.seconds[part], self._began = round(now - self._began, 3), now
