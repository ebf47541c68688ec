"""Conversion of a text store to the other kind, and compaction of a sharded one."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.store import FAILURES, SHARDED, STAGES, TextStore, open_store


@dataclass
class Copied:
    """Result of a conversion.

    Attributes:
        new: number of records that were copied.
        kept: number of records that the target had before.
        damaged: the problem of each record that cannot be read.
    """

    new: int = 0
    kept: int = 0
    damaged: list[str] = field(default_factory=list)


def convert(source: str | os.PathLike, target: str | os.PathLike,
            show: Callable[[list], Iterable] = iter) -> Copied:
    """Copy the records of a text store that another one lacks, byte by byte. If interrupted, call it again.

    A record that the target has already is kept, even if it differs. Damaged records are not copied.

    Args:
        source: path of the store to read.
        target: path of the store to write.
        show: wraps the list of the stages and keys to copy, to show progress.

    Raises:
        ConfigError: both are the same store, or there is no store to read.
    """
    source, target = open_store(_existing(source)), open_store(target)
    if source.root.absolute() == target.root.absolute():
        raise ConfigError(f'{source.root} cannot be converted to itself.',
                          f'Name a target of the other kind, such as {source.root.with_suffix("")}-2{SHARDED}.')
    copied, todo = Copied(), []
    for stage in (*STAGES, FAILURES):
        keys = list(source.keys(stage))
        missing = target.missing(stage, keys)
        copied.kept += len(keys) - len(missing)
        todo += [(stage, key) for key in missing]
    try:
        for stage, key in show(todo):
            try:
                source.checked(stage, key)
                target.put(stage, key, *source.content(stage, key, array=stage == 'features'))
                copied.new += 1
            except DataError as error:
                copied.damaged.append(error.problem)
    finally:
        target.close()
    return copied


def compact(store: str | os.PathLike) -> tuple[int, int]:
    """Merge the files of a sharded store; return the number of its files before and after.

    Raises:
        ConfigError: there is no store, or it is a folder of small files.
    """
    opened = open_store(_existing(store))
    if type(opened) is TextStore:
        raise ConfigError(f'{store} is a folder with a file for each record, which cannot be merged.',
                          f'Convert it: `vlfusion text convert {store} {Path(store).with_suffix(SHARDED)}`.')
    before = _count(opened.root)
    opened.compact()
    return before, _count(opened.root)


def _existing(store: str | os.PathLike) -> Path:
    """Return the path of a store, if it has the folder of a stage."""
    path = Path(store)
    if not any((path / stage).is_dir() for stage in (*STAGES, FAILURES)):
        raise ConfigError(f'There is no text store at {path.absolute()}.',
                          'Check the path; a store has folders such as observations/ and features/.')
    return path


def _count(root: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(root))
