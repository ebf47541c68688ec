"""Pages under docs/results: a chart of each table stands above it, and a script makes both."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / f'docs/results/{name}.md' for name in ('ivf', 'mef', 'mff', 'mif')]


@pytest.fixture(scope='module')
def results():
    """The script, as a module."""
    pytest.importorskip('matplotlib', reason="pip install 'vlfusion[benchmark]'")
    spec = importlib.util.spec_from_file_location('results', ROOT / 'scripts/results.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_the_script_makes_the_page_and_its_charts(results, page, tmp_path):
    copy = tmp_path / page.name
    copy.write_text(page.read_text(encoding='utf-8'), encoding='utf-8')
    results.main(copy, pictures=tmp_path)
    assert copy.read_text(encoding='utf-8') == page.read_text(encoding='utf-8')
    for chart in tmp_path.glob('*.svg'):
        drawn, committed = (re.findall(r'<text[^>]*>([^<]*)</text>', path.read_text(encoding='utf-8'))
                            for path in (chart, ROOT / 'docs/pictures' / chart.name))
        assert drawn == committed


def test_a_new_leaderboard_replaces_the_tables(results, tmp_path):
    page, board = tmp_path / 'page.md', tmp_path / 'leaderboard.md'
    page.write_text('# Title\n\nWords.\n\n## Old: 2 pairs\n\n| method | SD | mean rank |\n')
    board.write_text('## TNO: 3 pairs, protocol film.1\n\n'
                     '| method | SD ↑ | SF ↑ | VIF ↑ | Qabf:film ↑ | mean rank |\n'
                     '| --- | ---: | ---: | ---: | ---: | ---: |\n'
                     '| A | **5 (1)** | 2 (1) = | 1 (2) | n/a | 1.2 |\n| B | failed | | | | |\n'
                     '| *control: copy of A* | 4 | 3 | 1 | 1 |  |\n\nB failed: no weights\n\n### Costs\n\n| a |\n')
    results.main(page, board, tmp_path)
    text = page.read_text(encoding='utf-8')
    assert text.startswith('# Title\n\nWords.\n\n![TNO: ') and 'failed' not in text and 'Old' not in text
    assert text.index('![') < text.index('<details><summary>The table</summary>') < text.index('| A | **5 (1)**')
    assert text.endswith('<details><summary>Costs</summary>\n\n| a |\n\n</details>\n')
    assert '>A</text>' in (tmp_path / 'results_tno.svg').read_text(encoding='utf-8')
