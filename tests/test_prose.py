"""Rules of prose that a machine can check."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for folder in ('vlfusion', 'plugins', 'tests', 'tools', 'performance', 'scripts')
               for path in ROOT.glob(f'{folder}/**/*.py'))
#: A docstring begins with a verb in the imperative or a noun.
BEGINNINGS = re.compile(r'(By|How|Likewise|Of|So many|What|Whether|Where|Who|Whose|Why)\b')
PHRASES = re.compile(r'\b(anew|at hand|by whomever|in the place of|lest|mend|to be had)\b', re.IGNORECASE)


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_begin_with_a_verb_or_a_noun(path):
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
             if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [text for node in nodes if BEGINNINGS.match(text := ast.get_docstring(node) or '')] == []


@pytest.mark.parametrize('path', [
    *(path for path in FILES if path != Path(__file__)), *sorted(ROOT.glob('*.md')), *sorted(ROOT.glob('docs/**/*.md')),
    *sorted(ROOT.glob('plugins/*/*.md'))], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_archaic_phrases(path):
    assert PHRASES.findall(path.read_text(encoding='utf-8')) == []
