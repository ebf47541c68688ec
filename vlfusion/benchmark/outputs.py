"""The files of a comparison.

    OUT/leaderboard.md              everything to read: tables, ties, what survives other ways of scoring, costs
    OUT/leaderboards/SET.tex .json  each table for a paper, or for a program; SET_SUBSET likewise
    OUT/leaderboards/SET_METRIC.pdf critical-difference diagrams
    OUT/scores.csv                  one line for each score of each image
    OUT/costs.csv                   parameters, multiplications, time and memory by method and size
    OUT/scores.json costs.json      what the columns of the two hold
    OUT/fused/SET/METHOD/NAME.png   what the methods made
    OUT/manifest.json               code, packages, hardware, inputs, protocol, time
    OUT/report.html                 all of it to look at
"""

import importlib.util
import json
import math
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from vlfusion.analysis.ablation import Ablation
from vlfusion.analysis.diagram import critical_difference
from vlfusion.analysis.leaderboard import Leaderboard, higher, places_of, print_board
from vlfusion.analysis.numbers import UNDEFINED, measured_time, numeral
from vlfusion.benchmark.cache import content_digest
from vlfusion.benchmark.methods import CONTROL
from vlfusion.benchmark.report import write_report
from vlfusion.benchmark.results import Cost, SetResult
from vlfusion.benchmark.run import Run, Unit
from vlfusion.data.names import inside
from vlfusion.errors import ConfigError, printable
from vlfusion.evaluation.record import SCHEMA, facts
from vlfusion.evaluation.rows import columns
from vlfusion.files import whole, whole_file, windows_fault, write_json
from vlfusion.guards.cells import markdown_cell, markdown_table, terminal_cell, write_table
from vlfusion.imaging.lettering import fonts_for, without_font_warnings
from vlfusion.imaging.protocol import code_of

#: The columns of tables that hold words.
WORDS = ('method', 'width x height', 'device')
#: The columns of scores.csv.
SCORE = {
    'dataset': 'name of the data set',
    'method': 'name of the method, or of the control image',
    'kind': 'method or control',
    'repeat': 'which run of a method that has several',
    'output': 'policy by which the output became grey levels',
    'name': 'of the pair',
    'protocol': 'label, such as film.1',
    'metric': 'full name, such as MI:film',
    'value': 'score',
    'reason': 'why a score is not finite',
}
#: The columns of costs.csv.
COSTS = {
    'dataset': 'name of the data set',
    'method': 'name of the method',
    'height': 'of the images, in pixels',
    'width': 'of the images, in pixels',
    'pairs': 'number of this size',
    'parameters': 'number of weights',
    'macs': 'multiplications with addition for one pair',
    'seconds': 'median time of one forward pass',
    'memory': 'most bytes that a forward pass takes beyond what the process held before',
    'device': 'where it ran',
}


def check_needs() -> None:
    """Raises ConfigError, before any work is done, where a package is missing that is needed after it."""
    for package in ('scipy', 'jinja2', 'matplotlib', 'scikit_posthocs'):
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f'A comparison needs {package}, which is not installed.',
                              "pip install 'vlfusion[benchmark]'")


def write_scores(path: Path, run: Run, units: Sequence[Unit]) -> None:
    """One line for each score; a value that is not finite has its reason. The record stands beside it (`.json`)."""
    with whole_file(path) as file:
        write_table(file, list(SCORE), _scores(run, units))
    scored = dict.fromkeys(column for unit in units for column in unit.columns)
    write_json(path.with_suffix('.json'), {**facts(run.plan.protocol, list(scored)), 'columns': SCORE})


def _scores(run: Run, units: Iterable[Unit]) -> Iterator[dict[str, Any]]:
    label = run.plan.protocol.label
    for unit in units:
        if (unit.dataset.name, unit.method) in run.failures:
            continue
        kind = 'control' if unit.method.startswith(CONTROL) else 'method'
        for column, value in run.scores(unit).items():
            reason = '' if math.isfinite(value) else run.reasons(unit, column)
            yield dict(zip(SCORE, (unit.dataset.name, unit.method.removeprefix(CONTROL), kind, unit.repeat,
                                   unit.output, unit.pair.name, label, column, value, reason), strict=True))


def write_boards(out: Path, sets: Sequence[SetResult]) -> list[Path]:
    """The tables and diagrams of every data set; returns the files."""
    boards = {f'{one.name} {name}'.rstrip(): board for one in sets
              for name, board in {'': one.board, **one.subsets}.items()}
    diagrams = {f'{one.name} {metric}': (one, metric, comparison) for one in sets
                for metric, comparison in one.board.comparisons.items() if len(comparison.ranks) > 2}
    names, written = file_names([*boards, *diagrams]), []
    folder = out / 'leaderboards'
    for name, board in boards.items():
        for ending in ('.tex', '.json'):
            written.append(folder / f'{names[name]}{ending}')
            board.write(written[-1])
    if diagrams and (note := fonts_for(method for one, *_ in diagrams.values() for method in one.board.methods).note):
        print(note, file=sys.stderr)
    for name, (one, metric, comparison) in diagrams.items():
        values = {method: columns(one.rows[method])[metric] for method in comparison.ranks}
        figure = critical_difference(values, comparison, higher(metric, code_of(one.board.protocol)))
        written.append(folder / f'{names[name]}.pdf')
        with whole(written[-1]) as file, without_font_warnings():
            figure.savefig(file, format='pdf', bbox_inches='tight', metadata={'CreationDate': None})
    with whole_file(out / 'leaderboard.md') as file:
        file.write('\n'.join(summary(one) for one in sets))
    return written


def summary(one: SetResult) -> str:
    """All tables of a data set in Markdown."""
    parts = []
    for heading, content in _parts(one):
        if isinstance(content, Leaderboard):
            warning = f'\n{content.warning}\n' if content.warning else ''
            parts += [f'{"###" if parts else "##"} {heading}', '', content.markdown() + warning]
        else:
            head, *rows = ([markdown_cell(cell) for cell in line] for line in content)
            parts += [f'### {heading}', '', markdown_table(head, rows)]
    return '\n'.join(parts)


def print_summary(one: SetResult, console: Console) -> None:
    """Print all tables of a data set: as tables on a terminal, in Markdown elsewhere."""
    if not console.is_terminal:
        print(summary(one))
        return
    for heading, content in _parts(one):
        if isinstance(content, Leaderboard):
            print_board(content, console, heading)
            if content.warning:
                console.print(content.warning, style='yellow', highlight=False)
        else:
            head, *rows = content
            console.print(printable(heading), markup=False, highlight=False, style='bold')
            table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
            for name in head:
                table.add_column(terminal_cell(name), justify='left' if name in WORDS else 'right', overflow='fold')
            for row in rows:
                table.add_row(*map(terminal_cell, row))
            console.print(table)
        console.print()


def _parts(one: SetResult) -> Iterator[tuple[str, Leaderboard | list[list[str]]]]:
    """The tables of a data set, each with its heading; the first line of one that is no leaderboard is its head."""
    yield f'{one.name}: {one.board.images} pairs, protocol {one.board.protocol}', one.board
    for name, subset in one.subsets.items():
        yield f'{one.name}, {name}: {subset.images} pairs', subset
    if len(one.robustness) > 1:
        yield 'Mean rank under other ways of scoring', _robustness(one.robustness)
    if one.costs:
        yield 'Costs', _costs(one.costs)


def _robustness(ways: Mapping[str, Mapping[str, float]]) -> list[list[str]]:
    """A column for each way, and the places, counted from 1, that a method takes under all of them."""
    places = {way: places_of(ranks) for way, ranks in ways.items()}
    methods = sorted(next(iter(places.values())), key=lambda method: next(iter(places.values()))[method])
    lines = [['method', *ways, 'places']]
    for method in methods:
        taken = sorted({place[method] for place in places.values() if place[method]})
        lines.append([method, *(numeral(ranks[method], '.2f') for ranks in ways.values()),
                      ' to '.join(map(str, dict.fromkeys([taken[0], taken[-1]]))) if taken else UNDEFINED])
    return lines


def _costs(costs: Sequence[Cost]) -> list[list[str]]:
    """One line for each method, at the size that most of its pairs have."""
    lines = [['method', 'width x height', 'parameters', 'MACs', 'time', 'memory', 'device']]
    for method in dict.fromkeys(cost.method for cost in costs):
        cost = max((cost for cost in costs if cost.method == method), key=lambda cost: cost.pairs)
        lines.append([method, f'{cost.width} x {cost.height}', f'{cost.parameters:,}',
                      f'{cost.macs / 1e9:.2f} G' if cost.macs else '', measured_time(cost.seconds),
                      f'{cost.memory / 2**20:.0f} MiB' if cost.memory is not None else '', cost.device])
    return lines


def write_costs(path: Path, sets: Sequence[SetResult]) -> None:
    """One line for each method and size; the meaning of the columns stands beside it (`.json`)."""
    with whole_file(path) as file:
        write_table(file, list(COSTS), ({'dataset': one.name, **asdict(cost)} for one in sets for cost in one.costs))
    write_json(path.with_suffix('.json'), {'schema': SCHEMA, 'columns': COSTS})


def write_pictures(out: Path, sets: Sequence[SetResult]) -> list[Path]:
    """The results of the methods by name, those copied that changed; returns the files."""
    folders, written = file_names([one.name for one in sets]), []
    for one in sets:
        methods = file_names(list(dict.fromkeys(method for pair in one.pairs for method in pair.fused)))
        for pair in one.pairs:
            for method, source in pair.fused.items():
                target = out / 'fused' / folders[one.name] / methods[method] / f'{pair.name}{source.suffix}'
                written.append(target)
                if not target.is_file() or content_digest(target) != content_digest(source):
                    with whole(target) as copy:
                        shutil.copyfile(source, copy)
    return written


def remove_others(out: Path, written: Iterable[Path]) -> list[str]:
    """Take away what an earlier run wrote and this one did not, by its manifest; returns what this one wrote.

    A manifest may be a stranger's: nothing goes but what a comparison writes.
    """
    new = sorted(path.relative_to(out).as_posix() for path in written)
    try:
        before = json.loads((out / 'manifest.json').read_text(encoding='utf-8'))['files']
        others = [inside(out, name, '') for name in set(before) - set(new)
                  if name == 'report.html' or name.startswith(('fused/', 'leaderboards/'))]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        others = []  # no manifest of an earlier run
    for path in others:
        path.unlink(missing_ok=True)
    return new


def write_manifest(path: Path, content: Mapping[str, Any]) -> None:
    """As strict JSON."""
    write_json(path, json.loads(json.dumps(content, default=str)))


def file_names(names: Sequence[str]) -> dict[str, str]:
    """For each name one that every file system takes, and no two the same, letter case aside.

    >>> file_names(['Ours (v2): MI:tang', 'Mean', 'Mean*', 'mean', '..'])
    {'Ours (v2): MI:tang': 'Ours_v2_MI_tang', 'Mean': 'Mean', 'Mean*': 'Mean_2', 'mean': 'mean_3', '..': 'unnamed'}
    """
    taken, found = set(), {}
    for name in names:
        plain = re.sub(r'[^\w.+-]+', '_', name).strip('_.') or 'unnamed'
        if windows_fault(plain):
            plain = f'_{plain}'
        chosen = next(choice for number in count(1) if (choice := plain if number == 1 else f'{plain}_{number}')
                      .casefold() not in taken)
        taken.add(chosen.casefold())
        found[name] = chosen
    return found


def write_all(out: Path, run: Run, units: Sequence[Unit], sets: Sequence[SetResult], manifest: Mapping[str, Any],
              report: bool = True, ablation: Ablation | None = None) -> list[Path]:
    """Write everything but the cache; returns what a reader should open."""
    write_scores(out / 'scores.csv', run, units)
    write_costs(out / 'costs.csv', sets)
    reports = [out / 'report.html'] if report else []
    written = [*write_pictures(out, sets), *write_boards(out, sets), *reports]
    manifest = {**manifest, 'files': remove_others(out, written)}
    write_manifest(out / 'manifest.json', manifest)
    for path in reports:
        write_report(path, sets, {**manifest, 'files': len(written)}, ablation, title=run.plan.title)
    return [out / 'leaderboard.md', *reports]
