"""Notes: what a user may not expect though the work goes on. Each kind is said once a run, not once a file."""

import logging

#: Without handlers of its own, Python prints what it is told to stderr.
LOG = logging.getLogger('vlfusion')
_said: set[str] = set()


def new_run() -> None:
    """Let every kind of note be said again."""
    _said.clear()


def note(kind: str, text: str) -> None:
    """Say something, unless another note of its kind was said in this run."""
    if kind not in _said:
        _said.add(kind)
        LOG.warning('note: %s', text)
