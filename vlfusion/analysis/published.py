"""Published numbers: the tables of FILM and CDDFuse, and the numbers beside their released weights, row by row.

`published.csv` holds one number a line: `paper,table,dataset,method,metric,value`, with the digits that were printed.
The table `README` is what the authors say their released weights give. A file of the same form may take its place, for
papers of one's own.

    Zhao et al., "Image Fusion via Vision-Language Model", ICML 2024 (FILM): Tables 1 to 4
    Zhao et al., "CDDFuse: Correlation-Driven Dual-Branch Feature Decomposition for Multi-Modality Image Fusion",
    CVPR 2023: the tables of infrared-visible and of medical fusion. Of the latter's two rows, `CDDFuse_IVF` has the
    weights that were trained on infrared-visible pairs, `CDDFuse_MIF` those trained on medical ones.
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

#: How many pairs a paper measured, where it is known. The same data set in two papers is not always the same pairs.
PAIRS = {
    ('film', 'MSRS'): 361, ('film', 'MEFB'): 40, ('film', 'RealMFF'): 71, ('film', 'Lytro'): 20,
    ('cddfuse', 'MSRS'): 361, ('cddfuse', 'TNO'): 25, ('cddfuse', 'RoadScene'): 50,
    ('cddfuse', 'MRI-CT'): 21, ('cddfuse', 'MRI-PET'): 42, ('cddfuse', 'MRI-SPECT'): 73,
}
#: Configs of data sets that have the layout of the VLF dataset only.
CONFIGS = {'MSRS': 'vlf_msrs', 'SICE': 'vlf_sice'}
HEADER = ('paper', 'table', 'dataset', 'method', 'metric', 'value')


@dataclass(frozen=True)
class PublishedRow:
    """Numbers that one table prints of one method on one data set.

    Attributes:
        paper: `film` or `cddfuse`.
        table: where it stands, such as `Table 4` or `README`.
        dataset: as the paper calls it.
        method: likewise.
        printed: for each metric the number with its digits, such as `59.15`.
    """

    paper: str
    table: str
    dataset: str
    method: str
    printed: dict[str, str]

    @property
    def pairs(self) -> int | None:
        """Number of pairs that the paper measured; None where that is not known."""
        return PAIRS.get((self.paper, self.dataset))

    def value(self, metric: str) -> float:
        """The number that is printed."""
        return float(self.printed[metric])

    def rounding(self, metric: str) -> float:
        """Amount by which the number may depart from what was computed: half a unit of its last digit.

        >>> PublishedRow('film', 'Table 4', 'Lytro', 'FILM', {'SD': '59.15'}).rounding('SD')
        0.005
        """
        return 0.5 * 10 ** -len(self.printed[metric].partition('.')[2])


def published(paper: str | None, dataset: str, method: str,
              path: str | os.PathLike | None = None) -> list[PublishedRow]:
    """The rows of a method on a data set, in the order of the file: of a table, and of the README where it has one.

    Letter case, hyphens, underlines and spaces do not count in names.

    Args:
        paper: whose tables; None for that of the method's own name, or the only one that has the method.
        dataset: as the paper calls it.
        method: likewise.
        path: a file like `published.csv`; None for that.

    Raises:
        UnknownNameError: there is no such paper, data set or method; the message says what there is.
        ConfigError: several papers have the method, and none is named.

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
                          'Say which is meant, with --paper.')
    return own or rows


def config_of(dataset: str) -> Path:
    """Config with the test pairs of a data set: of `configs/_base_/datasets` in the current folder, or that ships.

    Args:
        dataset: as the paper calls it, such as `MSRS`.

    Raises:
        ConfigError: no config has that data set.
    """
    try:
        return require_config(f'configs/_base_/datasets/{CONFIGS.get(dataset, dataset.lower())}.py')
    except ConfigError as error:
        known = [name.removeprefix('_base_/datasets/') for name in shipped() if name.startswith('_base_/datasets/')]
        raise ConfigError(f'There is no config of the data set {dataset}. {error.problem}',
                          f'Give the sources with --source-a and --source-b. Configs are there for {", ".join(known)}.'
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
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for number, line in enumerate(lines, 2):
        if tuple(line) != HEADER or not re.fullmatch(r'-?\d+(\.\d+)?', line['value'] or ''):
            raise DataError(f'Line {number} of {path} is {",".join(map(str, line.values()))}.',
                            f'Expected the columns {",".join(HEADER)}, and a number such as 59.15 as the last.')
        row = found.setdefault(tuple(line[key] for key in HEADER[:4]), {})
        if line['metric'] in row:
            raise DataError(f'Line {number} of {path} repeats {line["metric"]} of {line["method"]}.', 'Remove one.')
        row[line['metric']] = line['value']
    if not found:
        raise DataError(f'{path} holds no numbers.', f'Expected a line {",".join(HEADER)}, and one for each number.')
    return [PublishedRow(*key, printed) for key, printed in found.items()]


def overview(rows: Iterable[PublishedRow]) -> list[tuple[str, str, str, list[str]]]:
    """Overview: for each paper, table and data set its methods, in the order of the rows."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        found.setdefault((row.paper, row.table, row.dataset), []).append(row.method)
    return [(*key, methods) for key, methods in found.items()]


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
