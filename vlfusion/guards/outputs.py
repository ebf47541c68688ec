"""Checks of output paths: results never replace their own inputs, and must be writable before work begins."""

import os
from collections.abc import Iterable
from pathlib import Path

from vlfusion.errors import DataError, listing

Place = str | os.PathLike
#: Longest file name, in bytes, that all common file systems allow.
LONGEST = 255


def check_outputs(outputs: Iterable[Place], inputs: Iterable[Place | None]) -> None:
    """Refuse outputs that would replace an input, and outputs that cannot be written.

    Call it before anything is read. Files are compared by identity, not by path: another spelling of the path, a
    symbolic link and a hard link all count as the same file. A folder that is an input must not be an output.

    Args:
        outputs: the files or folders to write.
        inputs: the files and folders that the results are made from. None and missing paths are ignored.

    Raises:
        DataError: names every refused output.
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
                        'Choose another output. Nothing was read or written.')


def _identity(path: Place) -> tuple[int, int] | None:
    """Return device and inode of a path, or None if nothing is there."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _obstacle(output: Path) -> str:
    """Say why nothing can be written at a path; empty if it can."""
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
