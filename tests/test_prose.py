"""Rules of prose that a machine can check."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = sorted(path for folder in ('vlfusion', 'plugins', 'tests', 'tools', 'performance', 'scripts')
               for path in ROOT.glob(f'{folder}/**/*.py'))
PAGES = sorted([*ROOT.glob('*.md'), *ROOT.glob('docs/**/*.md'), *ROOT.glob('plugins/*/*.md')])
#: A docstring begins with a verb in the imperative or a noun.
BEGINNINGS = re.compile(r'(By|How|Likewise|Of|So many|What|Whether|Where|Who|Whose|Why)\b')
#: Words that a modern reader has to translate.
PHRASES = re.compile(r'\b(afresh|anew|at hand|by whomever|in the place of|lest|likewise|mend|there are such|thereof|'
                     r'to be had|whereby|wherein|what comes of)\b', re.IGNORECASE)


def docstrings(text: str) -> list[str]:
    """The docstrings of a module, its classes and its functions."""
    return [ast.get_docstring(node) or '' for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)]


def offences(paths: list[Path], rule) -> dict[str, list[str]]:
    """Map each file that breaks a rule to what breaks it."""
    texts = {path: path.read_text(encoding='utf-8') for path in paths}
    return {str(path.relative_to(ROOT)): offending for path, text in texts.items() if (offending := rule(text))}


def test_the_rules_find_what_they_forbid():
    assert PHRASES.findall('Likewise of source B; to be had anew.') == ['Likewise', 'to be had', 'anew']
    assert [bool(BEGINNINGS.match(text)) for text in ('What it is.', 'Whatever.', 'Of a pair.', 'Offer it.')] == [
        True, False, True, False]


def test_docstrings_begin_with_a_verb_or_a_noun():
    assert offences(FILES, lambda text: [words for words in docstrings(text) if BEGINNINGS.match(words)]) == {}


def test_no_archaic_phrases():
    assert offences([path for path in [*FILES, *PAGES] if path != Path(__file__)], PHRASES.findall) == {}
