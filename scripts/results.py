"""Put the tables of a comparison into its page under docs/results, folded, and charts of them above its text.

    vlfusion benchmark mif --get
    python scripts/results.py docs/results/mif.md work_dirs/benchmark/mif/leaderboard.md
    python scripts/results.py docs/results/mif.md        # draw the charts again, from the tables of the page

Rows of methods that failed are left out, because the text of the page names them.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from vlfusion.analysis.contact_sheet import COLOURS, write_sheet

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / 'docs/pictures'
#: Summary of the fold that holds the first table of a data set.
TABLE = 'The table'
#: Metrics of a chart: the contrast and detail of a picture, and two of what it keeps of the sources.
METRICS = ('SD', 'SF', 'VIF', 'Qabf')
#: Controls of a chart, with the style of their lines.
CONTROLS = {'copy of A': '--', 'copy of B': ':', 'noisy mean': '-.'}
CHART = re.compile(r'^!\[.*\]\(\.\./pictures/results_.*\n\*.*\*\n\n', re.MULTILINE)
FOLD = re.compile(r'<details><summary>(.*?)</summary>\n\n(.*?)\n\n</details>', re.DOTALL)


@dataclass(frozen=True)
class Cell:
    """A mean of a table.

    Attributes:
        value: the mean; None without one.
        unbeaten: whether no method is significantly better.
    """

    value: float | None
    unbeaten: bool


def main(page: Path, leaderboard: Path | None = None, pictures: Path = PICTURES) -> None:
    """Replace the tables of `page` by those of `leaderboard`, if given, and draw a chart of each data set.

    Charts stand below the first paragraph, tables at the end, folded.
    """
    text, _, own = page.read_text(encoding='utf-8').partition('\n## ')
    tables = leaderboard.read_text(encoding='utf-8') if leaderboard else _unfolded(f'## {own}')
    lines = [line for line in tables.splitlines()
             if not re.match(r'\| [^|]+ \| failed \|', line) and not re.match(r'\S+ failed: ', line)]
    tables = re.sub(r'\n{3,}', '\n\n', '\n'.join(lines)).strip()
    blocks = [*filter(None, re.split(r'^(?=##)', tables, flags=re.MULTILINE))]
    charts = [_chart(block, pictures) for block in blocks if not block.startswith('###')]
    title, summary, *rest = re.sub(CHART, '', text).strip().split('\n\n')
    page.write_text('\n\n'.join([title, summary, *charts, *rest, *map(_folded, blocks)]) + '\n', encoding='utf-8')


def _unfolded(tables: str) -> str:
    """Undo `_folded`."""
    return FOLD.sub(lambda fold: fold[2] if fold[1] == TABLE else f'### {fold[1]}\n\n{fold[2]}', tables)


def _chart(block: str, pictures: Path) -> str:
    """Draw the chart of a data set, and return the picture with its caption."""
    title, _, body = block.strip().partition('\n')
    name = title.lstrip('# ').partition(':')[0]
    path = pictures / f'results_{name.lower()}.svg'
    draw(read_cells(body), path)
    return (f'![{name}: {", ".join(METRICS)} of each method, beside control images](../pictures/{path.name})\n'
            f'*{name}. Filled dots: no method is significantly better. Lines: control images, which no method made.*')


def _folded(block: str) -> str:
    """Return a block of the leaderboard with its table folded."""
    title, _, body = block.strip().partition('\n')
    deeper = title.startswith('###')
    fold = f'<details><summary>{title.lstrip("# ") if deeper else TABLE}</summary>\n\n{body.strip()}\n\n</details>'
    return fold if deeper else f'{title}\n\n{fold}'


def read_cells(table: str) -> dict[str, dict[str, Cell]]:
    """Read the means of a table, by metric and then by row. Controls are named as such; printed rows are left out.

    >>> read_cells('''| method | SD ↑ | mean rank |
    ... | --- | ---: | ---: |
    ... | Average | **5.5 (1)** | 1.00 |
    ... | *control: copy of A* | 4 |  |
    ... | *FILM (paper)* | 9 |  |''')
    {'SD': {'Average': Cell(value=5.5, unbeaten=True), 'control: copy of A': Cell(value=4.0, unbeaten=False)}}
    """
    head, _, *rows = ([cell.strip() for cell in line.strip('|').split('|')]
                      for line in table.splitlines() if line.startswith('|'))
    cells: dict[str, dict[str, Cell]] = {}
    for name, *values in rows:
        if name.startswith('*') and not name.startswith('*control: '):
            continue
        for metric, text in zip(head[1:-1], values, strict=False):
            number = re.match(r'[*]*(-?[\d.]+)', text)
            cells.setdefault(re.split('[ :]', metric)[0], {})[name.strip('*')] = Cell(
                float(number[1]) if number else None, text.startswith('**') or text.endswith('='))
    return cells


def draw(cells: dict[str, dict[str, Cell]], path: Path) -> None:
    """Draw a column of dots for each metric, and lines for the controls."""
    from matplotlib.figure import Figure

    metrics = [metric for metric in METRICS if metric in cells]
    methods = [name for name in cells[metrics[0]] if not name.startswith('control: ')]
    figure = Figure(figsize=(7.16, 0.75 + 0.17 * len(methods)), facecolor='white', layout='constrained')
    panels = figure.subplots(1, len(metrics), sharey=True)
    for axes, metric in zip(panels, metrics, strict=True):
        for unbeaten, face in ((True, COLOURS[-1]), (False, 'white')):
            dots = [(cell.value, place) for place, method in enumerate(methods)
                    if (cell := cells[metric][method]).unbeaten == unbeaten and cell.value is not None]
            axes.scatter(*zip(*dots, strict=True) if dots else ([], []), s=22, facecolor=face, edgecolor=COLOURS[-1],
                         zorder=3, label='no method is better' if unbeaten else 'some method is significantly better')
        for control, style in CONTROLS.items():
            if (cell := cells[metric].get(f'control: {control}')) and cell.value is not None:
                axes.axvline(cell.value, color=COLOURS[0], linestyle=style, linewidth=1, label=f'control: {control}')
        axes.set_title(metric, fontsize=8)
        axes.tick_params(labelsize=7, length=2)
        axes.grid(axis='y', color='0.9', linewidth=0.6)
        axes.spines[['top', 'right']].set_visible(False)
    panels[0].set_yticks(range(len(methods)), methods)
    panels[0].invert_yaxis()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside lower center', ncols=5, fontsize=6.5, frameon=False, columnspacing=1,
                  handletextpad=0.4)
    write_sheet(figure, path)


if __name__ == '__main__':
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
