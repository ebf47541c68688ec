"""Every link and picture of a page leads to a file, and every anchor to a heading."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob('*.md'), *ROOT.glob('docs/**/*.md'), *ROOT.glob('plugins/*/README.md'),
                *ROOT.glob('configs/**/*.md'), *ROOT.glob('performance/*.md')])
LINK = re.compile(r'\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)')
CODE = re.compile(r'^```.*?^```|`[^`\n]*`|^(?: {4}|\t).*?$', re.MULTILINE | re.DOTALL)
MOST_BYTES = 100_000


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them.

    >>> sorted(anchors(ROOT / 'docs/reference/glossary.md'))
    ['glossary', 'images', 'numbers', 'software', 'words']
    """
    headings = re.findall(r'^#+ (.*)$', page.read_text(encoding='utf-8'), re.MULTILINE)
    plain = [re.sub(r'[^\w\- ]', '', heading.lower()).strip().replace(' ', '-') for heading in headings]
    # The second heading of a kind gets the number 1.
    return {f'{heading}-{before}' if (before := plain[:i].count(heading)) else heading
            for i, heading in enumerate(plain)}


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    nowhere = []
    for target, anchor in LINK.findall(CODE.sub('', page.read_text(encoding='utf-8'))):
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            nowhere.append(f'{target}#{anchor}' if anchor else target)
    return nowhere


def test_broken_links_are_found(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('# A title\n[a](page.md) [b](#a-title) [c](#another) ![d](none.png) `[e](code.md)` '
                    '[f](https://x.org)')
    assert broken(page) == ['#another', 'none.png']


@pytest.mark.parametrize('page', PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    assert broken(page) == []


@pytest.mark.parametrize('picture', sorted(ROOT.glob('docs/pictures/*')) + sorted(ROOT.glob('plugins/*/*.webp')),
                         ids=lambda path: str(path.relative_to(ROOT)))
def test_pictures_load_at_once(picture):
    assert picture.stat().st_size < MOST_BYTES
