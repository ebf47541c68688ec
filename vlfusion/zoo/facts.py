"""Facts in TOML files of installed packages: finding, reading and checking them, without importing the packages."""

import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any, Generic, TypeVar

from vlfusion import plugins
from vlfusion.errors import ConfigError, PluginError, UnknownNameError, VLFusionError, did_you_mean
from vlfusion.guards.arguments import fits, words_of
from vlfusion.imaging.tasks import TASKS

#: What a package describes: a model, or a data set.
Entry = TypeVar('Entry')


def packages() -> list[str]:
    """List the packages that may bring facts, vlfusion first."""
    return ['vlfusion', *(plugin.package for plugin in plugins.found() if plugin.status != 'disabled')]


def data_file(package: str, name: str) -> Path | None:
    """Return a data file of an installed package without importing it; None if it has no such file.

    The files of vlfusion itself lie in this room.
    """
    if package == 'vlfusion':
        return Path(__file__).with_name(name)
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return None
    return next((path for place in (spec and spec.submodule_search_locations) or ()
                 if (path := Path(place, name)).is_file()), None)


@cache
def read_package(package: str, name: str,
                 read: Callable[[Path, str], list[Entry]]) -> tuple[list[Entry], PluginError | None]:
    """Read a data file of a package. An error is returned, so that a faulty plugin does not hide the others.

    Args:
        package: the package.
        name: name of the file.
        read: function that reads the file, given its path and the package.
    """
    path = data_file(package, name)
    try:
        return read(path, package) if path else [], None
    except VLFusionError as error:
        return [], PluginError(f'{name} of {package} cannot be read. {error.problem}', error.remedy)


@dataclass(frozen=True)
class Facts(Generic[Entry]):
    """The entries of one kind that vlfusion and the installed plugins describe.

    Args:
        kind: the kind in words, such as `model`.
        file: name of the file that describes them.
        read: function that reads the file, given its path and the package.
    """

    kind: str
    file: str
    read: Callable[[Path, str], list[Entry]]

    def entries(self, scope: str = '') -> list[Entry]:
        """Return all entries, or those of one package; raise PluginError if the file of that package is faulty."""
        read = {package: read_package(package, self.file, self.read) for package in packages()}
        if scope in read and (fault := read[scope][1]):
            raise fault
        return [entry for package, (entries, _) in read.items() if scope in ('', package) for entry in entries]

    def only(self, name: str, matching: Sequence[Entry]) -> Entry | None:
        """Return the entry that matches a name, or None; raise UnknownNameError if several do."""
        if len(matching) > 1:
            raise UnknownNameError(f'{name!r} is ambiguous: several packages have a {self.kind} of that name.',
                                   f'Write one of {", ".join(sorted(entry.scoped for entry in matching))}.')
        return matching[0] if matching else None

    def faults(self) -> dict[str, str]:
        """Return the problem of each package whose file cannot be read."""
        return {package: str(fault) for package in packages()
                if (fault := read_package(package, self.file, self.read)[1])}


def by_name(entries: Iterable[Entry], spell: Callable[[str], str] = str) -> dict[str, Entry]:
    """Return entries by name. Those whose name another one has too are under their scoped names, `package.name`.

    Args:
        entries: the entries, each with the attributes `name` and `scoped`.
        spell: function that gives names one spelling, to compare them.
    """
    entries = list(entries)
    counts = Counter(spell(entry.name) for entry in entries)
    return {entry.name if counts[spell(entry.name)] == 1 else entry.scoped: entry for entry in entries}


def tasks_of(where: str, task: Any) -> tuple[str, ...]:
    """Return the tasks that a fact `task` names, one or several; raise ConfigError if it names none or another."""
    tasks = (task,) if isinstance(task, str) else tuple(task or ())
    if not tasks or {*tasks} - TASKS.keys():
        raise ConfigError(f'{where} has task = {task!r}.', f'Give one or several of {", ".join(TASKS)}.')
    return tasks


def stays_below(place: str) -> bool:
    """Tell whether a relative path stays below the folder that it is relative to."""
    parts = PurePosixPath(place).parts
    return bool(parts) and '..' not in parts and not parts[0].startswith('/') and '\\' not in place


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raise ConfigError if that fails."""
    try:
        return tomllib.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise ConfigError(f'{path} cannot be read: {error}.', 'Correct the file.') from error


def check_facts(where: str, facts: Any, hints: Mapping[str, Any], required: Sequence[str] = ()) -> None:
    """Check that facts are a table, have known keys of the right types, and all required ones.

    Args:
        where: place of the table in its file.
        facts: the table.
        hints: type of each known key.
        required: keys that must be there.

    Raises:
        ConfigError: they do not; names the key.
    """
    if not isinstance(facts, Mapping):
        raise ConfigError(f'{where} is {facts!r:.200}.', f'Give a table of {", ".join(hints)}.')
    for key, value in facts.items():
        if key not in hints:
            raise ConfigError(f'{where} has an unknown key {key!r}.', did_you_mean(key, hints))
        if not fits(value, hints[key]):
            raise ConfigError(f'{where}.{key} is {value!r:.200}.', f'Give {words_of(hints[key])}.')
    for key in required:
        if key not in facts:
            raise ConfigError(f'{where} lacks {key}.', f'Add {key} = ...')
