"""Options of the form `KEY=VALUE`."""

import argparse
import re
from collections.abc import Sequence

from mmengine.config import DictAction


class KeyValues(DictAction):
    """MMEngine's `KEY=VALUE`, but blanks inside a value stay, and malformed values give a clear error."""

    #: A blank between two characters of a value; other blanks, as in `[a, b]`, only separate elements.
    inner_blank = re.compile(r'(?<=[^\s=,(\[]) +(?=[^\s,)\]])')

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Sequence[str],
                 option_string: str | None = None) -> None:
        for value in values:
            if not value.partition('=')[1]:
                parser.error(f'argument {option_string}: expected KEY=VALUE, but got {value!r}')
        pairs = [map(str.strip, value.split('=', 1)) for value in values]
        marked = ['='.join((key, self.inner_blank.sub(lambda blanks: '\0' * len(blanks[0]), value)))
                  for key, value in pairs]
        try:
            super().__call__(parser, namespace, marked, option_string)
        except RecursionError:  # MMEngine's parser calls itself without end for `dict(x=1, y=2)`
            parser.error(f'argument {option_string}: a value cannot be read; a list of dicts must be in a config file')
        except AssertionError as error:  # brackets that do not match
            parser.error(f'argument {option_string}: {error}'.replace('\0', ' '))
        setattr(namespace, self.dest, _with_blanks(getattr(namespace, self.dest)))


def _with_blanks(value):
    if isinstance(value, dict):
        return {key: _with_blanks(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_with_blanks, value))
    return value.replace('\0', ' ') if isinstance(value, str) else value
