"""Notes: facts that may surprise the user but do not stop the work. Each kind appears once a run, not once a file."""

import logging

#: Python prints its warnings to stderr unless the program adds handlers.
LOG = logging.getLogger('vlfusion')
_said: set[str] = set()


def new_run() -> None:
    """Begin a new run, in which every kind of note may appear again."""
    _said.clear()


def note(kind: str, text: str) -> None:
    """Log a note, unless one of the same kind was logged in this run."""
    if kind not in _said:
        _said.add(kind)
        LOG.warning('note: %s', text, extra={'kind': kind})
