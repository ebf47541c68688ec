"""Amount of output beside the results of a command: `-q` and `-v` of every verb."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from vlfusion.console.notes import LOG


class Verbosity(IntEnum):
    """Amount of output beside the results.

    `QUIET` prints neither progress nor notes, but warnings and errors; `VERBOSE` prints the whole log.
    """

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


#: Level of vlfusion's own log. Its notes are of the level WARNING.
_LEVELS = {Verbosity.QUIET: logging.ERROR, Verbosity.NORMAL: logging.NOTSET, Verbosity.VERBOSE: logging.DEBUG}
_current = Verbosity.NORMAL


def is_quiet() -> bool:
    """Tell whether only results, warnings and errors are printed."""
    return _current is Verbosity.QUIET


@contextmanager
def verbosity(value: Verbosity) -> Iterator[None]:
    """Set the amount of output inside the block.

    >>> with verbosity(Verbosity.QUIET):
    ...     is_quiet()
    True
    """
    global _current
    before, level = _current, LOG.level
    handler = logging.StreamHandler() if value is Verbosity.VERBOSE and not LOG.handlers else None
    if handler:
        LOG.addHandler(handler)
    _current = value
    LOG.setLevel(_LEVELS[value])
    try:
        yield
    finally:
        _current = before
        LOG.setLevel(level)
        if handler:
            LOG.removeHandler(handler)
