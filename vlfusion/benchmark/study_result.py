"""The result of a downstream study: scores of every row, significant differences, and the files of both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from vlfusion.analysis.leaderboard import Leaderboard
from vlfusion.analysis.numbers import numeral
from vlfusion.benchmark.run import Progress
from vlfusion.benchmark.study import StudyPlan
from vlfusion.benchmark.study_run import StudyRun
from vlfusion.benchmark.study_sheet import draw_cases, worst_cases
from vlfusion.data.names import file_names
from vlfusion.downstream.scoring.comparing import board_of_sets
from vlfusion.downstream.scoring.detections import score_detections
from vlfusion.downstream.scoring.masks import score_masks
from vlfusion.downstream.scoring.seeds import AcrossSeeds
from vlfusion.evaluation.rows import write_csv
from vlfusion.files import make_folder, whole_file, write_json
from vlfusion.guards.cells import markdown_cell, markdown_table


@dataclass(frozen=True)
class StudyResult:
    """Result of `run_study`.

    Attributes:
        plan: plan of the study.
        scores: scores of each row, the mean over its seeds.
        board: rows compared under every score of the set, by drawing images (`compare_sets`).
        failures: reason why a row has no scores, by its name.
        counts: numbers of networks `trained` and `known`.
        files: files that a reader should open.
    """

    plan: StudyPlan
    scores: Mapping[str, AcrossSeeds]
    board: Leaderboard
    failures: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    files: Sequence[Path] = ()

    @property
    def main(self) -> str:
        """The usual score: `AP50` or `mIoU`, with its variant; empty if every row failed."""
        return next(iter(self.board.comparisons), '')

    @property
    def class_score(self) -> str:
        """The score of a class: `AP50` with its variant, or `IoU`."""
        return 'IoU' if self.plan.kind == 'masks' else self.main

    @property
    def network(self) -> str:
        """The network and its training, in words."""
        use = f'trained {self.plan.training.max_iters:,} steps on the pictures of each row' if self.plan.training else \
            'as it is'
        return f'{self.plan.network["type"]} {use}'

    def verdicts(self) -> dict[str, str]:
        """Say for each method whether fusing helped: by the main score, against the better source alone."""
        alone = self.plan.alone
        comparison = self.board.comparisons.get(self.main)
        sources = {name: comparison.means[name] for name in alone if name in comparison.means} if comparison else {}
        if len(sources) < 2:  # the better of the two is not known
            return {}
        better = max(sources, key=sources.get)
        verdicts = {}
        for method in self.board.methods:
            if method in alone or method not in comparison.means:
                continue
            score = comparison.means[method]
            p = next(level for pair, level in comparison.pairs.items() if {*pair} == {method, better})
            finding = 'does not differ significantly from' if p >= self.plan.alpha else (
                'beats' if score > sources[better] else 'loses to')
            verdicts[method] = (f'{method} {finding} {better}: {self.main} {numeral(score, ".3f")} and '
                                f'{numeral(sources[better], ".3f")}, p = {numeral(p, ".2g")}.')
        return verdicts

    def per_class(self) -> list[list[str]]:
        """The main score of each row by class; the first line holds the names of the classes."""
        classes = list(next(iter(self.scores.values())).per_class) if self.scores else []
        values = {name: [scores.per_class[of][self.class_score] for of in classes]
                  for name, scores in self.scores.items()}
        return [['method', *classes],
                *([name, *(numeral(value, '.3f') for value in of)] for name, of in values.items())]

    def markdown(self) -> str:
        """All tables in Markdown."""
        spread = [['method', *(f'seed {seed}' for seed in self.plan.seeds)],
                  *([name, *(numeral(one.values[self.main], '.3f') for one in scores.by_seed)]
                    for name, scores in self.scores.items())]
        parts = [f'## {self.plan.title}: {self.board.images} images, {self.network}', '', self.board.markdown(),
                 *(f'- {markdown_cell(verdict)}' for verdict in self.verdicts().values())]
        if self.scores:
            parts += ['', f'### {self.class_score} by class', '', _table(self.per_class())]
        if self.scores and len(self.plan.seeds) > 1:
            parts += [f'### {self.main} by seed', '', _table(spread)]
        return '\n'.join(parts)

    def write(self) -> list[Path]:
        """Write tables and scores of images to the folder of the plan, and return the files."""
        out, names = self.plan.out, file_names(list(self.scores))
        with whole_file(out / 'table.md') as file:
            file.write(self.markdown())
        for ending in ('tex', 'json'):
            self.board.write(out / f'table.{ending}')
        tables = {out / 'scores' / f'{names[name]}.csv': scores.rows for name, scores in self.scores.items()
                  if scores.rows}
        make_folder(out / 'scores')
        for path in {*(out / 'scores').glob('*.csv')} - tables.keys():  # of a row that an earlier run had
            path.unlink()
        for path, rows in tables.items():
            write_csv(path, rows)
        write_json(out / 'study.json', dict(
            title=self.plan.title, images=self.board.images, seeds=list(self.plan.seeds), verdicts=self.verdicts(),
            failures=dict(self.failures), config=self.plan.config,
            scores={name: dict(values=scores.values, per_class=scores.per_class,
                               by_seed=[one.values for one in scores.by_seed])
                    for name, scores in self.scores.items()}))
        return [out / 'table.md', out / 'table.tex', out / 'table.json', out / 'study.json']


def run_study(plan: StudyPlan, *, get: bool = False, describe: bool = False,
              progress: Progress = lambda *_: None) -> StudyResult:
    """Fuse, train, find and score as a plan says, and write the tables to `plan.out`.

    What an earlier run finished is not done again, and a killed training continues. A row that fails is named in
    `failures`; the others go on.

        result = vlfusion.run_study(vlfusion.load_study('my_study.py'))
        print(result.markdown())

    Args:
        plan: plan of `load_study`.
        get, describe: as for `vlfusion.run_plan`.
        progress: called with a step, the items done and the items in total.

    Raises:
        DataError: a picture, a pair or a label is missing or not valid.
        ConfigError: a package is not installed.
    """
    run = StudyRun.begin(plan, get=get, describe=describe, progress=progress)
    pictures = run.fuse()
    found = run.predict(pictures)
    test = plan.sets['test']
    labels = dict(test.by_name) if plan.kind == 'boxes' else test.by_name
    score = partial(score_detections if plan.kind == 'boxes' else score_masks, labels=labels, classes=test.classes,
                    variant=plan.variant)
    scored = {name: run.attempt(name, lambda seeds=seeds: AcrossSeeds([score(predicted) for predicted in seeds]))
              for name, seeds in found.items()}
    scores = {name: scores for name, scores in scored.items() if scores is not None}
    board = board_of_sets(scores, alpha=plan.alpha, correction=plan.correction,
                          resamples=plan.resamples) if scores else Leaderboard('', len(test), {}, plan.alpha)
    board = replace(board, failures=run.failures)
    result = StudyResult(plan, scores, board, run.failures, run.counts)
    files = result.write()
    if not (worst := worst_cases(scores)):
        return replace(result, files=files)
    sheet = draw_cases(plan.out, worst, board.methods,
                       {name: splits['test'] for name, splits in pictures.items()},
                       {name: seeds[0] for name, seeds in found.items()}, labels, scores, test.classes)
    return replace(result, files=[*files, sheet])


def _table(lines: Sequence[Sequence[str]]) -> str:
    head, *rows = ([markdown_cell(cell) for cell in line] for line in lines)
    return markdown_table(head, rows) + '\n'
