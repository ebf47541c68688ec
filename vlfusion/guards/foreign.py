"""Code from elsewhere: configs, plugins, networks. It may raise anything, but it must not end the program."""

import dis
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vlfusion.errors import PluginError, VLFusionError

_RAISE = dis.opmap['RAISE_VARARGS']


@contextmanager
def foreign(what: str, kind: type[VLFusionError] = PluginError, remedy: str = '',
            let: tuple[type[BaseException], ...] = ()) -> Iterator[None]:
    """Turn every exception of the block into one error that says which code failed.

    Errors of vlfusion and Ctrl-C pass unchanged.

    Args:
        what: the code and its failure, such as `The backbone FILM fails`.
        kind: the class of the error to raise.
        remedy: advice to the user.
        let: other exceptions that pass unchanged.
    """
    try:
        yield
    except (VLFusionError, *let):
        raise
    except BaseException as error:
        if is_end(error):
            raise
        raise kind(f'{what}: {described(error)}', remedy) from error


def described(error: BaseException) -> str:
    """Describe an exception in one line: its type, the first line of its message, and where it was raised.

    >>> described(ValueError('no such thing'))
    'ValueError: no such thing'
    >>> described(SystemExit(3))
    'it called sys.exit(3)'
    """
    what = (str(error).strip().splitlines() or [''])[0]
    if isinstance(error, SystemExit):
        what = f'it called sys.exit({error.code!r})'
    elif isinstance(error, RecursionError):
        what = f'RecursionError: {what}; perhaps it refers to itself'
    elif not isinstance(error, VLFusionError):
        what = f'{type(error).__name__}: {what}' if what else type(error).__name__
    return f'{what}{_place(error)}'


def reason(error: BaseException) -> str:
    """Return the reason of a failed row in one line: problem and remedy of an error of vlfusion, or `described`.

    >>> reason(VLFusionError('No weights.', 'Add --get.'))
    'No weights. Add --get.'
    """
    parts = (error.problem, error.remedy) if isinstance(error, VLFusionError) else (described(error),)
    return ' '.join(' '.join(parts).split())


def is_end(error: BaseException) -> bool:
    """Tell whether an exception ends the program. Ctrl-C does; code that says `raise KeyboardInterrupt` does not."""
    if type(error) is not KeyboardInterrupt:
        return isinstance(error, KeyboardInterrupt | GeneratorExit)
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    handler = signal.getsignal(signal.SIGINT)
    return getattr(handler, '__code__', None) is code or code.co_code[trace.tb_lasti] != _RAISE


def _place(error: BaseException) -> str:
    """Return the innermost line of foreign code in the traceback; empty if only common packages are involved."""
    if isinstance(error, SyntaxError | VLFusionError):  # their messages name the place
        return ''
    places, trace = [], error.__traceback__
    while trace:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_absolute() and not _common(path):
            places.append(f' ({path.name}, line {trace.tb_lineno})')
        trace = trace.tb_next
    return places[-1] if places else ''


def _common(path: Path) -> bool:
    """Tell whether a file belongs to Python, to vlfusion or to one of its main dependencies."""
    if 'site-packages' in path.parts:
        return path.parts[path.parts.index('site-packages') + 1] in ('torch', 'mmengine', 'mmcv', 'numpy', 'vlfusion')
    return any(folder in path.parents for folder in (Path(os.__file__).parent, Path(__file__).parents[1]))
