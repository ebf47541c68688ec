"""Configuration of the documentation's site: reading order, links, docstrings. `make docs` builds the site itself."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / 'docs'
PAGES = sorted(path.relative_to(DOCS).with_suffix('').as_posix()
               for pattern in ('*.md', '[a-z]*/*.md', '[a-z]*/*.ipynb') for path in DOCS.glob(pattern))


@pytest.fixture(autouse=True)
def extensions(monkeypatch):
    """Let the extensions of the site be imported."""
    monkeypatch.syspath_prepend(DOCS / '_extensions')
    yield
    for path in (DOCS / '_extensions').glob('*.py'):
        sys.modules.pop(path.stem, None)


def test_index_pages_name_every_page_once():
    order = importlib.import_module('reading_order')
    named = []
    for index in [page for page in PAGES if Path(page).name == 'index']:
        folder = Path(index).parent
        pages = order.pages_in_order(index, (DOCS / f'{index}.md').read_text(encoding='utf-8'))
        named += [(folder / page).as_posix() for page in pages]
    assert sorted(['index', *named]) == PAGES


def test_sections_come_in_the_order_of_reading():
    order = importlib.import_module('reading_order')
    sections = order.pages_in_order('index', (DOCS / 'index.md').read_text(encoding='utf-8'))
    assert list(sections.values()) == ['Start', 'Tutorials', 'How to', 'Explanations', 'Reference', 'Results']


@pytest.mark.parametrize('module', ['docstrings', 'reading_order'])
def test_examples_of_the_extensions(module):
    doctest = importlib.import_module('doctest')
    results = doctest.testmod(importlib.import_module(module))
    assert results.attempted and not results.failed


def test_links_out_of_the_pages_lead_to_the_repository():
    links = importlib.import_module('repository_links')
    page = '[a](../../setup.cfg) [b](../../plugins/auif#x) [c](../index.md) ![d](../../README.md) [e](../../none)'
    there = links.to_repository(page, DOCS / 'howto', DOCS, 'https://forge.example/o/r')
    assert there == ('[a](https://forge.example/o/r/blob/main/setup.cfg) '
                     '[b](https://forge.example/o/r/tree/main/plugins/auif#x) [c](../index.md) ![d](../../README.md) '
                     '[e](../../none)')
    assert links.to_repository('[a](../../setup.cfg)', DOCS / 'howto', DOCS, '') == 'a'


def test_links_of_notebooks_lead_somewhere():
    for path in DOCS.glob('tutorials/*.ipynb'):
        words = ''.join(''.join(cell['source']) for cell in json.loads(path.read_text(encoding='utf-8'))['cells']
                        if cell['cell_type'] == 'markdown')
        targets = re.findall(r'\]\((?!https?:)([^)#]+)', words)
        assert targets and [target for target in targets if not (path.parent / target).is_file()] == [], path.name


def test_every_room_has_a_page_of_its_names(tmp_path):
    api = importlib.import_module('api_pages')
    api.write_pages(tmp_path)
    rooms, functions = api.front_door()
    door = (tmp_path / 'vlfusion.rst').read_text(encoding='utf-8')
    assert re.findall(r'auto\w+:: vlfusion\.(\w+)$', door, re.MULTILINE) == functions
    assert {path.stem for path in tmp_path.glob('*.rst')} == {
        'index', 'vlfusion', *(f'vlfusion.{room}' for room in [*rooms, *api.MODULES])}
    metrics = (tmp_path / 'vlfusion.metrics.rst').read_text(encoding='utf-8')
    assert 'autofunction:: vlfusion.metrics.Qabf\n' in metrics and ':py:obj:`vlfusion.score` is' in metrics
    assert '   Luminance in [0, 1].\n' in (tmp_path / 'vlfusion.losses.rst').read_text(encoding='utf-8')
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob('*.rst')}
    api.write_pages(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob('*.rst')} == written, 'unchanged, so not written'


def test_the_extra_docs_has_what_the_configuration_names():
    setup = (DOCS.parent / 'setup.cfg').read_text(encoding='utf-8')
    extra = re.search(r'^docs =\n((?: {4}.*\n)+)', setup, re.MULTILINE)[1]
    packages = {re.match(r'[\w-]+', line.strip())[0].replace('-', '_') for line in extra.splitlines()}
    text = (DOCS / 'conf.py').read_text(encoding='utf-8')
    names = re.findall(r"'([\w.]+)'", re.search(r'extensions = \[(.*?)\]', text, re.DOTALL)[1])
    own = {path.stem for path in (DOCS / '_extensions').glob('*.py')}
    assert {name.partition('.')[0] for name in names if name not in own} | {'furo'} <= packages
    assert own <= set(names)


def test_words_before_a_colon_are_no_type():
    napoleon = pytest.importorskip('sphinx.ext.napoleon', reason="pip install 'vlfusion[docs]'")
    docstrings = importlib.import_module('docstrings')
    lines = ['Label of each row of scores: name and version.', '', 'More.']
    docstrings.convert(None, 'property', 'label', None, None, lines)
    shown = str(napoleon.GoogleDocstring(lines, what='property', name='label', obj=None, options=None))
    assert 'Label of each row of scores: name and version.\n' in shown and ':type:' not in shown


@pytest.mark.slow
def test_the_site_has_no_warning(tmp_path):
    """Read every page and docstring, and resolve all links; `make docs` also writes the pages."""
    for package in ('furo', 'myst_nb', 'sphinx_copybutton'):
        pytest.importorskip(package, reason="pip install 'vlfusion[docs]'")
    done = subprocess.run([sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', '-b', 'dummy', '-d',
                           str(tmp_path / 'trees'), str(DOCS), str(tmp_path / 'site')], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
