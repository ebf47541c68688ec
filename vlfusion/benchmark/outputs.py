"""The files of a comparison.

    OUT/leaderboard.md              everything to read: tables, ties, what survives other ways of scoring, costs
    OUT/leaderboards/SET.tex .json  each table for a paper, or for a program; SET_SUBSET likewise
    OUT/leaderboards/SET_METRIC.pdf critical-difference diagrams
    OUT/scores.csv                  one line for each score of each image
    OUT/costs.csv                   parameters, multiplications, time and memory by method and size
    OUT/fused/SET/METHOD/NAME.png   what the methods made
    OUT/manifest.json               code, packages, hardware, inputs, protocol, time
    OUT/report.html                 all of it to look at
"""

import csv
import json
import math
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from vlfusion.benchmark.diagram import critical_difference
from vlfusion.benchmark.leaderboard import UNDEFINED, Leaderboard, higher
from vlfusion.benchmark.results import Cost, SetResult, places_of
from vlfusion.benchmark.run import CONTROL, Run, Unit
from vlfusion.evaluation.protocol import code_of
from vlfusion.evaluation.record import write_record
from vlfusion.evaluation.scores import columns, whole_file

#: The columns of scores.csv.
SCORE = ('dataset', 'method', 'kind', 'repeat', 'output', 'name', 'protocol', 'metric', 'value', 'reason')


def write_scores(path: Path, run: Run, units: Iterable[Unit]) -> None:
    """One line for each score; a value that is not finite has its reason."""
    label = run.plan.protocol.label
    with whole_file(path) as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(SCORE)
        for unit in units:
            kind = 'control' if unit.method.startswith(CONTROL) else 'method'
            for column, value in run.scores(unit).items():
                reason = '' if math.isfinite(value) else run.reasons(unit, column)
                writer.writerow([unit.dataset.name, unit.method.removeprefix(CONTROL), kind, unit.repeat, unit.output,
                                 unit.pair.name, label, column, value, reason])


def write_boards(out: Path, sets: Sequence[SetResult]) -> None:
    """The tables and diagrams of every data set."""
    folder = out / 'leaderboards'
    for one in sets:
        for name, board in {'': one.board, **one.subsets}.items():
            stem = file_name(f'{one.name}_{name}' if name else one.name)
            for ending in ('.tex', '.json'):
                board.write(folder / f'{stem}{ending}')
        for metric, comparison in one.board.comparisons.items():
            if len(comparison.ranks) > 2:
                values = {method: columns(one.rows[method])[metric] for method in comparison.ranks}
                figure = critical_difference(values, comparison, higher(metric, code_of(one.board.protocol)))
                figure.savefig(folder / f'{file_name(f"{one.name}_{metric}")}.pdf', bbox_inches='tight')
    with whole_file(out / 'leaderboard.md') as file:
        file.write('\n'.join(summary(one) for one in sets))


def summary(one: SetResult) -> str:
    """All tables of a data set in Markdown."""
    board = one.board
    parts = [f'## {one.name}: {board.images} pairs, protocol {board.protocol}', '', _with_warning(board)]
    for name, subset in one.subsets.items():
        parts += [f'### {one.name}, {name}: {subset.images} pairs', '', _with_warning(subset)]
    if len(one.robustness) > 1:
        parts += ['### Mean rank under other ways of scoring', '', _robustness(one.robustness)]
    if one.costs:
        parts += ['### Costs', '', _costs(one.costs)]
    return '\n'.join(parts)


def _with_warning(board: Leaderboard) -> str:
    return board.markdown() + (f'\n{board.warning}\n' if board.warning else '')


def _robustness(ways: Mapping[str, Mapping[str, float]]) -> str:
    """A column for each way, and the places, counted from 1, that a method takes under all of them."""
    places = {way: places_of(ranks) for way, ranks in ways.items()}
    methods = sorted(next(iter(places.values())), key=lambda method: next(iter(places.values()))[method])
    lines = [['method', *ways, 'places'], ['---', *['---:'] * (len(ways) + 1)]]
    for method in methods:
        taken = [place[method] for place in places.values() if place[method]]
        lines.append([method, *(f'{ranks[method]:.2f}' if math.isfinite(ranks[method]) else UNDEFINED
                                for ranks in ways.values()),
                      f'{min(taken)}' if min(taken) == max(taken) else f'{min(taken)} to {max(taken)}'])
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def _costs(costs: Sequence[Cost]) -> str:
    """One line for each method, at the size that most of its pairs have."""
    lines = [['method', 'width x height', 'parameters', 'MACs', 'seconds', 'memory', 'device'],
             ['---', '---', *['---:'] * 4, '---']]
    for method in dict.fromkeys(cost.method for cost in costs):
        cost = max((cost for cost in costs if cost.method == method), key=lambda cost: cost.pairs)
        lines.append([method, f'{cost.width} x {cost.height}', f'{cost.parameters:,}',
                      f'{cost.macs / 1e9:.2f} G' if cost.macs else '', f'{cost.seconds:.3g}',
                      f'{cost.memory / 2**20:.0f} MiB' if cost.memory is not None else '', cost.device])
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def write_costs(path: Path, sets: Sequence[SetResult]) -> None:
    """One line for each method and size."""
    with whole_file(path) as file:
        writer = csv.DictWriter(file, ['dataset', *(one.name for one in fields(Cost))], lineterminator='\n')
        writer.writeheader()
        writer.writerows({'dataset': one.name, **asdict(cost)} for one in sets for cost in one.costs)


def write_pictures(out: Path, sets: Sequence[SetResult]) -> None:
    """The results of the methods by name; they share their place on the disk with the cache where it can be."""
    for one in sets:
        for pair in one.pairs:
            for method, source in pair.fused.items():
                target = out / 'fused' / file_name(one.name) / file_name(method) / f'{pair.name}{source.suffix}'
                if target.exists() and os.path.samefile(source, target):
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                target.unlink(missing_ok=True)
                try:
                    os.link(source, target)
                except OSError:
                    shutil.copyfile(source, target)


def write_manifest(path: Path, content: Mapping[str, Any]) -> None:
    """As strict JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_record(path, json.loads(json.dumps(content, default=str)))


def file_name(text: str) -> str:
    """A name that every file system takes.

    >>> file_name('Ours (v2): MI:tang')
    'Ours_v2_MI_tang'
    """
    return re.sub(r'[^\w.+-]+', '_', text).strip('_')


def write_all(out: Path, run: Run, units: Sequence[Unit], sets: Sequence[SetResult], manifest: Mapping[str, Any],
              report: bool = True, ablation: str | None = None) -> list[Path]:
    """Write everything but the cache; returns what a reader should open."""
    from vlfusion.benchmark.ablation import Ablation
    from vlfusion.benchmark.report import write_report
    write_scores(out / 'scores.csv', run, units)
    write_costs(out / 'costs.csv', sets)
    write_pictures(out, sets)
    write_boards(out, sets)
    write_manifest(out / 'manifest.json', manifest)
    if report:
        write_report(out / 'report.html', sets, manifest, Ablation.read(ablation) if ablation else None,
                     title=run.plan.title)
    return [out / 'leaderboard.md', *([out / 'report.html'] if report else [])]
