"""README.md and README.zh-CN.md: short, and of the same commands, links, names and numbers."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGLISH, CHINESE = ((ROOT / name).read_text(encoding='utf-8') for name in ('README.md', 'README.zh-CN.md'))


def commands(text: str) -> list[str]:
    """Lines of code, without their comments."""
    fenced = [line for block in re.findall(r'^```\w*\n(.*?)^```$', text, re.MULTILINE | re.DOTALL)
              for line in block.splitlines()]
    return [re.sub(r'\s+#.*', '', line) for line in [*re.findall(r'^    (.*)$', text, re.MULTILINE), *fenced]]


def links(text: str) -> list[str]:
    """Targets of links and pictures, except those of the other language."""
    return [link for link in re.findall(r'\]\(([^)]*)\)', text) if not link.startswith('README')]


def inline_code(text: str) -> list[str]:
    """Code in sentences."""
    return sorted(re.findall(r'`([^`\n]+)`', text))


def names_of_methods(text: str) -> list[list[str]]:
    """Methods in the rows of the table, apart from the words around them."""
    rows = [re.sub(r'\[.*?\]\(.*?\)', '', line.split('|')[2]) for line in re.findall(r'^\| .*$', text, re.MULTILINE)]
    return [re.findall(r'\b(?=[\w-]*[A-Z])[A-Za-z][\w-]+', row, re.ASCII) for row in rows]


def numbers(text: str) -> list[str]:
    """Numbers with a decimal point, an exponent, or a percent sign."""
    return sorted(re.findall(r'\b\d+\.\d+\b|\b1e-\d\b|\b\d+(?= ?%)', text, re.ASCII))


@pytest.mark.parametrize('content', [commands, links, inline_code, names_of_methods, numbers])
def test_both_languages_have_the_same(content):
    assert content(ENGLISH)
    assert content(CHINESE) == content(ENGLISH)


def test_sections_are_the_same():
    levels = [re.findall(r'^#+', text, re.MULTILINE) for text in (ENGLISH, CHINESE)]
    assert levels[0] == levels[1]


@pytest.mark.parametrize('text', [ENGLISH, CHINESE])
def test_it_is_short(text):
    assert len(text.splitlines()) < 150


def test_each_leads_to_the_other():
    assert '](README.zh-CN.md)' in ENGLISH and '](README.md)' in CHINESE
