"""The files of a folder's scores. Imports no torch, so that a wrong name is reported at once."""

import json
import os
from pathlib import Path

from vlfusion.errors import ConfigError
from vlfusion.guards.outputs import check_outputs


def output_files(path: str | os.PathLike) -> list[Path]:
    """The files of the scores, of the controls' scores, and of the record."""
    return [Path(path).with_suffix(suffix) for suffix in ('.csv', '.controls.csv', '.json')]


def check_output(path: str | os.PathLike) -> None:
    """Refuse a path where `FolderScores.write` cannot write, or would replace a file of another origin.

    Raises:
        ConfigError: the ending is not `.csv`, or a folder or another file is in the way.
        DataError: the files cannot be written.
    """
    path = Path(path)
    if path.suffix != '.csv':
        raise ConfigError(f'Expected a file that ends in .csv, but got {path}.', 'The other files are named after it.')
    for other in output_files(path)[1:]:
        if other.is_file() and not _is_ours(other):
            raise ConfigError(f'{other} exists, was not written with scores, and would be replaced.',
                              'Choose another name for the table: the other files are named after it.')
    if taken := [str(output) for output in output_files(path) if output.is_dir()]:
        raise ConfigError(f'Cannot write {path}: {" and ".join(taken)} is a folder.', 'Choose another file.')
    check_outputs(output_files(path), ())


def _is_ours(path: Path) -> bool:
    """Tell whether a file beside a table of scores was written together with scores."""
    try:
        text = path.read_text(encoding='utf-8')
        return text.startswith('name,control,') if path.suffix == '.csv' else \
            {'schema', 'summary', 'inputs'} <= json.loads(text).keys()
    except (OSError, ValueError, AttributeError):
        return False
