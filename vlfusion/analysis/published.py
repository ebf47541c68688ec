"""Published numbers: the tables of FILM and CDDFuse, and the numbers stated with their released weights.

Each line of `published.csv` has a number: `paper,table,dataset,method,metric,value`, with the digits that were printed.
The table `README` has the numbers that the authors state for their released weights. For other papers, give a file of
the same form.

    Zhao et al., "Image Fusion via Vision-Language Model", ICML 2024 (FILM): Tables 1 to 4
    Zhao et al., "CDDFuse: Correlation-Driven Dual-Branch Feature Decomposition for Multi-Modality Image Fusion",
    CVPR 2023: the tables of infrared-visible and of medical fusion. The medical tables have two rows: `CDDFuse_IVF`
    used weights trained on infrared-visible pairs, `CDDFuse_MIF` weights trained on medical pairs.
"""

import csv
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from vlfusion.config_names import require_config, shipped
from vlfusion.errors import ConfigError, DataError, UnknownNameError, did_you_mean

#: Number of pairs that a paper measured, if known. The same data set may have other pairs in another paper.
PAIRS = {
    ('film', 'MSRS'): 361, ('film', 'MEFB'): 40, ('film', 'RealMFF'): 71, ('film', 'Lytro'): 20,
    ('cddfuse', 'MSRS'): 361, ('cddfuse', 'TNO'): 25, ('cddfuse', 'RoadScene'): 50,
    ('cddfuse', 'MRI-CT'): 21, ('cddfuse', 'MRI-PET'): 42, ('cddfuse', 'MRI-SPECT'): 73,
}
#: Configs of data sets that exist in the layout of the VLF dataset only.
CONFIGS = {'MSRS': 'vlf_msrs', 'SICE': 'vlf_sice'}
HEADER = ('paper', 'table', 'dataset', 'method', 'metric', 'value')


@dataclass(frozen=True)
class PublishedRow:
    """Numbers in a table for a method on a data set.

    Attributes:
        paper: `film` or `cddfuse`.
        table: name of the table, such as `Table 4` or `README`.
        dataset: name of the data set in the paper.
        method: name of the method in the paper.
        printed: numbers by metric, with the printed digits, such as `59.15`.
    """

    paper: str
    table: str
    dataset: str
    method: str
    printed: dict[str, str]

    @property
    def pairs(self) -> int | None:
        """Number of pairs that the paper measured; None if it is not known."""
        return PAIRS.get((self.paper, self.dataset))

    def value(self, metric: str) -> float:
        """The printed number of a metric."""
        return float(self.printed[metric])

    def rounding(self, metric: str) -> float:
        """Largest rounding error of the printed number: half a unit of its last digit.

        >>> PublishedRow('film', 'Table 4', 'Lytro', 'FILM', {'SD': '59.15'}).rounding('SD')
        0.005
        """
        return 0.5 * 10 ** -len(self.printed[metric].partition('.')[2])


def published(paper: str | None, dataset: str, method: str,
              path: str | os.PathLike | None = None) -> list[PublishedRow]:
    """The rows of a method on a data set, in the order of the file: of tables, and of the README if it has a row.

    Letter case, hyphens, underlines and spaces in names are ignored.

    Args:
        paper: paper with the tables; by default the paper named like the method, or the only paper with the method.
        dataset: name of the data set in the paper.
        method: name of the method in the paper.
        path: file like `published.csv`; by default that file.

    Raises:
        UnknownNameError: the paper, data set or method is unknown; the message names known ones.
        ConfigError: several papers have the method, and `paper` is not given.

    >>> [(row.table, row.printed['SF']) for row in published('film', 'msrs', 'film')]
    [('Table 1', '11.70'), ('README', '11.55')]
    """
    rows = read_published(path)
    if paper is not None:
        rows = _choose(rows, 'paper', paper, 'There is no paper {!r} among the published tables.')
    rows = _choose(rows, 'dataset', dataset, f'There is no data set {{!r}} in {_tables(rows)}.')
    rows = _choose(rows, 'method', method, f'There is no method {{!r}} on {rows[0].dataset} in {_tables(rows)}.')
    papers = {row.paper for row in rows}
    own = [row for row in rows if _same(row.paper, row.method)]
    if len(papers) > 1 and not own:
        raise ConfigError(f'{rows[0].method} on {rows[0].dataset} is printed by {" and ".join(sorted(papers))}.',
                          'Choose one with --paper.')
    return own or rows


def config_of(dataset: str) -> Path:
    """The config with the test pairs of a data set, from `configs/_base_/datasets` in the current folder or shipped.

    Args:
        dataset: name of the data set in the paper, such as `MSRS`.

    Raises:
        ConfigError: no config has that data set.
    """
    try:
        return require_config(f'configs/_base_/datasets/{CONFIGS.get(dataset, dataset.lower())}.py')
    except ConfigError as error:
        known = [name.removeprefix('_base_/datasets/') for name in shipped() if name.startswith('_base_/datasets/')]
        raise ConfigError(f'There is no config of the data set {dataset}. {error.problem}',
                          f'Give the sources with --source-a and --source-b. Configs exist for {", ".join(known)}.'
                          ) from error


def read_published(path: str | os.PathLike | None = None) -> list[PublishedRow]:
    """Every row of the published tables, in the order of the file.

    Args:
        path: a file like `published.csv`; None for that.

    Raises:
        DataError: the file is absent, or not of that form; the first line that is wrong is named.
    """
    path = Path(path or Path(__file__).with_name('published.csv'))
    try:
        with path.open(newline='', encoding='utf-8') as file:
            lines = list(csv.DictReader(file))
    except OSError as error:
        raise DataError(f'Cannot read the published numbers: {error}.', 'Check the path.') from error
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for number, line in enumerate(lines, 2):
        if tuple(line) != HEADER or not re.fullmatch(r'-?\d+(\.\d+)?', line['value'] or ''):
            raise DataError(f'Line {number} of {path} is {",".join(map(str, line.values()))}.',
                            f'Expected the columns {",".join(HEADER)}, and a number such as 59.15 as the last.')
        row = rows.setdefault(tuple(line[key] for key in HEADER[:4]), {})
        if line['metric'] in row:
            raise DataError(f'Line {number} of {path} repeats {line["metric"]} of {line["method"]}.', 'Remove one.')
        row[line['metric']] = line['value']
    if not rows:
        raise DataError(f'{path} contains no numbers.',
                        f'Expected a line {",".join(HEADER)}, and a line for each number.')
    return [PublishedRow(*key, printed) for key, printed in rows.items()]


def overview(rows: Iterable[PublishedRow]) -> list[tuple[str, str, str, list[str]]]:
    """The methods of each paper, table and data set, in the order of the rows."""
    overview: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        overview.setdefault((row.paper, row.table, row.dataset), []).append(row.method)
    return [(*key, methods) for key, methods in overview.items()]


def _choose(rows: list[PublishedRow], key: str, name: str, problem: str) -> list[PublishedRow]:
    """The rows whose paper, data set or method has that name."""
    chosen = [row for row in rows if _same(getattr(row, key), name)]
    if chosen:
        return chosen
    known = {_folded(value): value for row in rows if (value := getattr(row, key))}
    starts = [value for folded, value in known.items() if _folded(name) and folded.startswith(_folded(name))]
    if len(starts) > 1:  # both rows of CDDFuse
        raise UnknownNameError(problem.format(name), f'Did you mean {" or ".join(starts)}?')
    near = get_close_matches(_folded(name), known, n=1, cutoff=0.5)  # 'cddfuse' is near 'CDDF', whatever its case
    raise UnknownNameError(problem.format(name), did_you_mean(known[near[0]] if near else name, known.values()))


def _tables(rows: list[PublishedRow]) -> str:
    return f'the tables of {" and ".join(sorted({row.paper for row in rows}))}'


def _same(one: str, other: str) -> bool:
    return _folded(one) == _folded(other)


def _folded(name: str) -> str:
    return re.sub(r'[-_\s]', '', name).casefold()
