"""Docstrings are plain text with `code` in single backticks and indented examples; Sphinx reads reStructuredText."""

import ast
import re

SECTION = re.compile(r'(Args|Attributes|Example|Examples|Note|Raises|Returns|Yields):$')
#: Code may go on in the next line.
CODE = re.compile(r'(`+[^`\n]+(?:\n[^`\n]+)?`+)')
#: Characters with a meaning in reStructuredText that docstrings use as they are.
SPECIAL = re.compile(r'[\\*|]|(?<=\w)_(?!\w)')


def as_rst(lines: list[str]) -> list[str]:
    r"""Turn the lines of a docstring into reStructuredText with Google's sections.

    >>> print('\n'.join(as_rst(['Give `a|b` or |a|:', '', "    x = f('a')", '', 'Args:', '    a: `Pair`s, *not* c_'])))
    Give ``a|b`` or \|a\|:
    <BLANKLINE>
    .. code-block:: python
    <BLANKLINE>
        x = f('a')
    <BLANKLINE>
    Args:
        a: ``Pair``\ s, \*not\* c\_
    """
    done, prose, in_section, in_code, in_doctest = [], [], False, False, False
    for number, line in enumerate(lines):
        before = lines[number - 1] if number else ''
        indented = line.startswith('    ')
        if line.strip() and not indented:
            in_section, in_code = bool(SECTION.match(line)), False
        in_doctest = bool(line.strip()) and (in_doctest or line.lstrip().startswith('>>> '))
        begins_code = indented and not (in_section or in_code or in_doctest or before.strip())
        in_code = in_code or begins_code
        if not in_code and not in_doctest:
            prose.append(line)
            continue
        done += _inline(prose)
        prose = []
        done += [f'.. code-block:: {_language(lines[number:])}', ''] * begins_code + [line]
    return done + _inline(prose)


def _language(lines: list[str]) -> str:
    """Language of the indented block that `lines` begin with."""
    block = []
    for line in lines:
        if line.strip() and not line.startswith('    '):
            break
        block.append(line[4:])
    text = '\n'.join(block)
    if re.match(r'(\$|vlfusion|python|pip|make) ', text):
        return 'bash'
    try:
        ast.parse(text)
    except SyntaxError:
        return 'text'
    return 'python'


def _inline(lines: list[str]) -> list[str]:
    """Double the backticks of code, and escape special characters outside it."""
    if not lines:
        return []
    parts = CODE.split('\n'.join(lines))
    parts[::2] = [SPECIAL.sub(r'\\\g<0>', part) for part in parts[::2]]
    for place in range(1, len(parts), 2):
        # Where a word touches the code, as in `Pair`s, an escaped space keeps them apart for the parser alone.
        left = '\\ ' * bool(re.search(r'\w$', parts[place - 1]))
        right = '\\ ' * bool(re.match(r'\w', parts[place + 1]))
        parts[place] = f'{left}``{parts[place].strip("`")}``{right}'
    return ''.join(parts).split('\n')


def convert(app, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Convert a docstring before napoleon reads its sections.

    Of an attribute, napoleon takes words before a colon for its type. After an empty comment it does not.
    """
    lines[:] = ['..', ''] * (what in ('attribute', 'data', 'property')) + as_rst(lines)


def setup(app) -> dict:
    """Connect the extension to Sphinx."""
    app.connect('autodoc-process-docstring', convert, priority=100)
    return {'parallel_read_safe': True}
