"""Plugins: packages that announce themselves under the entry-point group `vlfusion.plugins`.

    [options.entry_points]
    vlfusion.plugins =
        cddfuse = vlfusion_cddfuse

An entry point is imported when a registry is first asked for a name that it lacks, never when vlfusion is imported.
The scope of a plugin's names is its import package, so a scoped name (`vlfusion_cddfuse.CDDFuse`) imports that plugin
alone. A plugin that fails is undone, remembered, and reported when somebody asks for a name that it might have brought.

The environment variable VLFUSION_PLUGINS limits what is loaded: unset means every plugin, empty means none, and
`a,b` means the entry points of these names.
"""

import json
import os
import re
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points, packages_distributions, version
from pathlib import Path
from typing import Protocol, runtime_checkable

from vlfusion.errors import PluginError, UnknownNameError, did_you_mean
from vlfusion.guards.foreign import described, is_end

GROUP = 'vlfusion.plugins'
SWITCH = 'VLFUSION_PLUGINS'


@runtime_checkable
class Snapshot(Protocol):
    """The registries before a plugin was loaded, as `vlfusion.registry.Snapshot` keeps them."""

    def __call__(self) -> None:
        """Go back to them."""

    def damage(self) -> str:
        """Damage since then, in words."""


@dataclass
class Plugin:
    """One entry point, and what became of it. `status` is found, disabled, loaded or failed."""

    entry: EntryPoint
    status: str = 'found'
    error: BaseException | None = None

    @property
    def package(self) -> str:
        """The top-level import package, which is the scope of its names."""
        return self.entry.value.partition(':')[0].partition('.')[0]

    @property
    def distribution(self) -> str:
        """Name and version of the installed distribution, such as `vlfusion-cddfuse 0.1.0`."""
        return f'{self.entry.dist.name} {self.entry.dist.version}' if self.entry.dist else 'unknown distribution'

    def explain(self) -> str:
        """Reason why this plugin cannot be used; empty where it can."""
        if self.status == 'failed':
            return (f'Plugin {self.entry.name!r} ({self.distribution}, {self.entry.value}) failed to load: '
                    f'{described(self.error)}')
        if self.status == 'disabled':
            return f'Plugin {self.entry.name!r} ({self.distribution}) is disabled by {SWITCH}={os.environ[SWITCH]!r}.'
        return ''


_lock = threading.RLock()


@cache
def found() -> tuple[Plugin, ...]:
    """Every installed plugin, sorted by name; nothing is imported."""
    chosen = os.environ.get(SWITCH)
    allowed = None if chosen is None else {name.strip() for name in chosen.split(',')}
    plugins = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        enabled = allowed is None or entry.name in allowed
        plugins.append(Plugin(entry, 'found' if enabled else 'disabled'))
    return tuple(plugins)


def named(name: str) -> Plugin:
    """An installed plugin by its entry point, import package or distribution; nothing is imported.

    Raises:
        UnknownNameError: no plugin has that name.
    """
    known = {}
    for plugin in found():
        aliases = (plugin.entry.name, plugin.package, plugin.distribution.rpartition(' ')[0])
        known |= {_normal(alias): plugin for alias in aliases}
    if _normal(name) not in known:
        raise UnknownNameError(f'No installed plugin is called {name!r}.',
                               did_you_mean(name, [plugin.entry.name for plugin in found()])
                               + f' A plugin announces itself under the entry-point group {GROUP!r}.')
    return known[_normal(name)]


def load_for(key: str, snapshot: Callable[[], Snapshot]) -> bool:
    """Import the plugins that may bring the name `key`; say whether anything new was imported.

    Args:
        key: `Name` (every plugin may have it) or `package.Name` (only the plugin of that package).
        snapshot: called before each import; what it returns takes back what a failing plugin registered.

    Raises:
        PluginError: `key` names a plugin, and that plugin is disabled or failed.
    """
    scope = key.rpartition('.')[0]
    with _lock:
        candidates = [plugin for plugin in found() if not scope or plugin.package == scope.partition('.')[0]]
        loaded = [_load(plugin, snapshot()) for plugin in candidates if plugin.status == 'found']
        if scope:
            for plugin in candidates:
                if plugin.explain():
                    raise PluginError(f'{key!r} cannot be had. {plugin.explain()}',
                                      f'Fix or reinstall {plugin.distribution}, or change {SWITCH}.') from plugin.error
    return any(loaded)


def load_all(snapshot: Callable[[], Snapshot]) -> None:
    """Import every plugin that is enabled and not yet imported."""
    load_for('', snapshot)


def why_missing(key: str) -> str:
    """Hint where a name was not found: the plugin that would bring it, those that failed or are off."""
    return '\n     '.join(filter(None, (_bringer(key), *(plugin.explain() for plugin in found()))))


def _bringer(key: str) -> str:
    """The plugin of vlfusion's repository that would bring a name, or one near to it, if it were installed."""
    scope, _, name = key.rpartition('.')
    bringers = {brought: package for package, names in _not_installed().items() for brought in names
                if scope in ('', package)}
    near = get_close_matches(name, bringers, n=1, cutoff=0.8)
    return f'{near[0]} comes with the plugin {how_to_install(bringers[near[0]])}' if near else ''


def how_to_install(package: str) -> str:
    """Name of a plugin of vlfusion's repository that is not installed, and how to install it; empty for any other."""
    if package not in _not_installed():
        return ''
    return (f'{package}, which is not installed. In a copy of the repository of vlfusion: pip install plugins/'
            f'{package.removeprefix("vlfusion_")}')


def _not_installed() -> dict[str, list[str]]:
    """The plugins of vlfusion's repository that are not installed, with the names that they bring."""
    packages = json.loads(Path(__file__).with_name('plugins.json').read_text(encoding='utf-8'))
    return {package: names for package, names in packages.items()
            if package not in {plugin.package for plugin in found()}}


@cache
def _distributions() -> dict[str, list[str]]:
    return packages_distributions()


def distribution_of(entry: Callable) -> str:
    """Which distribution a class or function came from: `vlfusion 0.1.0`; its module where it is not installed."""
    package = entry.__module__.partition('.')[0]
    for distribution in _distributions().get(package, ()):
        return f'{distribution} {version(distribution)}'
    return f'{entry.__module__} (not installed)'


def _load(plugin: Plugin, undo: Snapshot) -> bool:
    try:
        plugin.entry.load()
        if damage := undo.damage():
            raise PluginError(damage)
    except BaseException as error:  # a plugin's import may do anything; it must not take vlfusion along
        if is_end(error):
            raise
        undo()
        plugin.status, plugin.error = 'failed', error
        warnings.warn(plugin.explain(), stacklevel=4)
        return False
    plugin.status = 'loaded'
    return True


def _normal(name: str) -> str:
    return re.sub(r'[-_.]+', '-', name).lower()
