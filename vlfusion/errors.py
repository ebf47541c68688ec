"""Errors that name their remedy: what was expected, what came, and what to do."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

#: Characters that control a terminal, change the direction of text, are invisible or cannot be encoded.
_ORDERS = re.compile('[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff'
                     '\ud800-\udfff]')


class VLFusionError(Exception):
    """A problem that the user can fix. The command line prints it without a traceback.

    Args:
        problem: what was expected and what came, naming the file, key or value.
        remedy: advice to the user, one sentence or several lines.
    """

    def __init__(self, problem: str, remedy: str = ''):
        super().__init__(problem, remedy)
        self.problem, self.remedy = problem, remedy

    def __str__(self) -> str:
        return printable(f'{self.problem}\n  -> {self.remedy}' if self.remedy else self.problem)


class ConfigError(VLFusionError, ValueError):
    """A config asks for something that does not exist or does not fit together."""


class UnknownNameError(VLFusionError, KeyError):
    """A name that no registry entry, file or option has."""


class PluginError(VLFusionError, ImportError):
    """A plugin was found but could not be loaded."""


class DataError(VLFusionError, ValueError):
    """Images, splits or text features that are missing, unreadable or do not fit together."""


class CheckpointError(VLFusionError, ValueError):
    """A checkpoint that is unsafe, truncated, or belongs to another model."""


class DownloadError(VLFusionError, RuntimeError):
    """A public file that cannot be loaded, or has another content than expected."""


class NetworkError(VLFusionError, RuntimeError):
    """A network that fails, or returns something other than a fused image."""


@contextmanager
def needs(part: str, package: str, extra: str = '', remedy: str = '') -> Iterator[None]:
    """Explain what to install if an import inside the block fails.

    Args:
        part: the part that needs the package, as users call it, such as `PerceptualLoss`.
        package: name of the package.
        extra: extras of vlfusion that include the package, such as `vision` or `language,vision`.
        remedy: advice that replaces the command to install the extras.

    Raises:
        ConfigError: the package is not installed, or its import fails.

    >>> with needs('A report', 'jinja3', 'benchmark'):
    ...     import jinja3
    Traceback (most recent call last):
    vlfusion.errors.ConfigError: A report needs jinja3, which cannot be imported: No module named 'jinja3'.
      -> pip install 'vlfusion[benchmark]'
    """
    try:
        yield
    except ImportError as error:
        raise ConfigError(f'{part} needs {package}, which cannot be imported: {error}.',
                          remedy or f"pip install 'vlfusion[{extra}]'") from error


def printable(text: object, lines: bool = True) -> str:
    r"""Make text of unknown origin safe for a terminal: control and invisible characters become escapes.

    Args:
        text: for example a file name, or a model's answer.
        lines: False to escape line breaks and tabs too.

    >>> printable('a\x1b[31mb')
    'a\\x1b[31mb'
    """
    shown = _ORDERS.sub(_spelt_out, str(text))
    return shown if lines else re.sub('[\n\t]', _spelt_out, shown)


def one_line(text: str) -> str:
    """Join text into one line, and escape control characters."""
    return printable(' '.join(text.split()))


def short_repr(value: object, most: int = 80) -> str:
    """Return the `repr` of a value, cut to `most` characters."""
    shown = repr(value)
    return shown if len(shown) <= most else f'{shown[:most - 3]}...'


def _spelt_out(sign: re.Match) -> str:
    return sign[0].encode('unicode_escape').decode()


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest of the known names, then list all of them.

    >>> did_you_mean('FLIM', ['FILM', 'CDDFuse'])
    'Did you mean FILM? Available: CDDFuse, FILM.'
    """
    known, name = sorted(known), str(name).casefold()
    # `CDDFuse` may stand for `vlfusion_cddfuse.CDDFuse`, so it is compared with both.
    spellings = {} if '.' in name else {word.rpartition('.')[2].casefold(): word for word in known}
    spellings |= {word.casefold(): word for word in known}
    near = get_close_matches(name, spellings, n=1, cutoff=0.5)
    guess = f'Did you mean {spellings[near[0]]}? ' if near else ''
    return f'{guess}Available: {", ".join(known) or "nothing yet"}.'


def listing(items: Iterable[str], most: int = 20) -> str:
    """List the first `most` items on indented lines, then the count of the rest."""
    items = list(items)
    shown = [f'    {printable(item)}' for item in items[:most]]
    return '\n'.join(shown + ([f'    ... and {len(items) - most} more'] if len(items) > most else []))

