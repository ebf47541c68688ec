"""Checks of places for results: never onto what they are made from, and only where writing can succeed."""

import os
from collections.abc import Iterable
from pathlib import Path

from vlfusion.errors import DataError, listing

Place = str | os.PathLike
#: Bytes that a file's name may have on every common file system.
LONGEST = 255


def check_outputs(outputs: Iterable[Place], inputs: Iterable[Place | None]) -> None:
    """Refuse outputs that are, or would replace, one of the inputs, and those that cannot be written.

    Call it before anything is read. A file is known by what it is, not by its path: another spelling, a link to it and
    a second name of it count as well. An input that is a folder must not be an output itself.

    Args:
        outputs: the files, or folders, that will be written.
        inputs: the files and folders that the results are made from; None and what is not there are passed over.

    Raises:
        DataError: names every such output.
    """
    sources = {}
    for path in inputs:
        if path is not None and (identity := _identity(path)):
            sources.setdefault(identity, Path(path))
    problems = []
    for output in map(Path, outputs):
        if source := sources.get(_identity(output)):
            problems.append(f'{output} is ' + ('an input' if source == output else f'the input {source}'))
        elif problem := _obstacle(output):
            problems.append(problem)
    if problems:
        raise DataError(f'The result cannot be written there:\n{listing(problems)}',
                        'Choose another place for it. Nothing was read or written.')


def _identity(path: Place) -> tuple[int, int] | None:
    """Device and number of what is at a path; None where there is nothing."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _obstacle(output: Path) -> str:
    """The reason why nothing can be written at a path; empty where something can."""
    if any(len(os.fsencode(part)) > LONGEST for part in output.parts):
        return f'{output} has a name of more than {LONGEST} bytes'
    above = output if os.path.isdir(output) else output.parent
    while not os.path.lexists(above) and above != above.parent:
        above = above.parent
    if not above.is_dir():
        return f'{output} lies under {above}, which is not a folder'
    if not os.access(above, os.W_OK | os.X_OK):
        return f'{output} lies in {above}, where you may not write'
    return ''
