"""Plugins: packages that announce themselves under the entry-point group `vlfusion.plugins`.

    [options.entry_points]
    vlfusion.plugins =
        cddfuse = vlfusion_cddfuse

Entry points are imported when a registry first lacks a requested name, never when vlfusion is imported. The scope of a
plugin's names is its import package, so a scoped name (`vlfusion_cddfuse.CDDFuse`) imports that plugin alone. If a
plugin fails, its changes are undone, and the failure is reported when a name is missing that it might provide.

The environment variable VLFUSION_PLUGINS limits which plugins load. Unset means all, empty means none, and `a,b` means
the entry points of these names.
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
    """The state of the registries before a plugin loads, see `vlfusion.registry.Snapshot`."""

    def __call__(self) -> None:
        """Restore that state."""

    def damage(self) -> str:
        """Describe what was broken since then; empty if nothing was."""


@dataclass
class Plugin:
    """One entry point and its status: `found`, `disabled`, `loaded` or `failed`."""

    entry: EntryPoint
    status: str = 'found'
    error: BaseException | None = None

    @property
    def package(self) -> str:
        """Top-level import package, which is the scope of the plugin's names."""
        return self.entry.value.partition(':')[0].partition('.')[0]

    @property
    def distribution(self) -> str:
        """Name and version of the installed distribution, such as `vlfusion-cddfuse 0.1.0`."""
        return f'{self.entry.dist.name} {self.entry.dist.version}' if self.entry.dist else 'unknown distribution'

    def explain(self) -> str:
        """Say why this plugin cannot be used; empty if it can."""
        if self.status == 'failed':
            return (f'Plugin {self.entry.name!r} ({self.distribution}, {self.entry.value}) failed to load: '
                    f'{described(self.error)}')
        if self.status == 'disabled':
            return f'Plugin {self.entry.name!r} ({self.distribution}) is disabled by {SWITCH}={os.environ[SWITCH]!r}.'
        return ''


_lock = threading.RLock()


@cache
def found() -> tuple[Plugin, ...]:
    """Return every installed plugin, sorted by name, without importing any."""
    chosen = os.environ.get(SWITCH)
    allowed = None if chosen is None else {name.strip() for name in chosen.split(',')}
    plugins = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        enabled = allowed is None or entry.name in allowed
        plugins.append(Plugin(entry, 'found' if enabled else 'disabled'))
    return tuple(plugins)


def named(name: str) -> Plugin:
    """Return an installed plugin by its entry point, import package or distribution, without importing it.

    Raises:
        UnknownNameError: no plugin has that name.
    """
    by_alias = {}
    for plugin in found():
        aliases = (plugin.entry.name, plugin.package, plugin.distribution.rpartition(' ')[0])
        by_alias |= {_normal(alias): plugin for alias in aliases}
    if _normal(name) not in by_alias:
        raise UnknownNameError(f'No installed plugin is called {name!r}.',
                               did_you_mean(name, [plugin.entry.name for plugin in found()])
                               + f' A plugin announces itself under the entry-point group {GROUP!r}.')
    return by_alias[_normal(name)]


def load_for(key: str, snapshot: Callable[[], Snapshot]) -> bool:
    """Import the plugins that may provide the name `key`. Return True if any was imported now.

    Args:
        key: `Name`, which any plugin may provide, or `package.Name`, which only that package can.
        snapshot: takes a snapshot of the registries before each import, to undo a plugin that fails.

    Raises:
        PluginError: `key` names a plugin that is disabled or failed to load.
    """
    scope = key.rpartition('.')[0]
    with _lock:
        candidates = [plugin for plugin in found() if not scope or plugin.package == scope.partition('.')[0]]
        loaded = [_load(plugin, snapshot()) for plugin in candidates if plugin.status == 'found']
        if scope:
            for plugin in candidates:
                if plugin.explain():
                    raise PluginError(f'{key!r} is not available. {plugin.explain()}',
                                      f'Fix or reinstall {plugin.distribution}, or change {SWITCH}.') from plugin.error
    return any(loaded)


def load_all(snapshot: Callable[[], Snapshot]) -> None:
    """Import every enabled plugin."""
    load_for('', snapshot)


def why_missing(key: str) -> str:
    """Explain why a name is missing: a plugin that is not installed, has failed or is disabled."""
    return '\n     '.join(filter(None, (_provider(key), *(plugin.explain() for plugin in found()))))


def _provider(key: str) -> str:
    """Name the plugin of vlfusion's repository that would provide a name, or a similar one, if it were installed."""
    scope, _, name = key.rpartition('.')
    return _provided(name, {provided: package for package, names in _not_installed().items()
                            for provided in names['classes'] if scope in ('', package)})


def model_provider(name: str) -> str:
    """Name the plugin of vlfusion's repository that would bring the model of a name, or of a similar one; else ''.

    The plugin is not installed, or it is disabled.
    """
    disabled = {plugin.package for plugin in found() if plugin.status == 'disabled'}
    models = {model: package for package, names in _of_repository().items() if package in disabled
              for model in names['models']}
    if near := get_close_matches(name, models, n=1, cutoff=0.8):
        return (f'{near[0]} comes with the plugin {models[near[0]]}, which is disabled by '
                f'{SWITCH}={os.environ.get(SWITCH)!r}.')
    return _provided(name, {model: package for package, names in _not_installed().items() for model in names['models']})


def _provided(name: str, providers: dict[str, str]) -> str:
    near = get_close_matches(name, providers, n=1, cutoff=0.8)
    return f'{near[0]} comes with the plugin {how_to_install(providers[near[0]])}' if near else ''


def how_to_install(package: str) -> str:
    """Say how to install a plugin of vlfusion's repository that is not installed; empty for any other package."""
    if package not in _not_installed():
        return ''
    return (f'{package}, which is not installed. In a copy of the repository of vlfusion: pip install plugins/'
            f'{package.removeprefix("vlfusion_")}')


def _not_installed() -> dict[str, dict[str, list[str]]]:
    """Return the plugins of vlfusion's repository that are not installed, with names of their classes and models."""
    return {package: names for package, names in _of_repository().items()
            if package not in {plugin.package for plugin in found()}}


def _of_repository() -> dict[str, dict[str, list[str]]]:
    """Return names of the classes and models of each plugin of vlfusion's repository."""
    return json.loads(Path(__file__).with_name('plugins.json').read_text(encoding='utf-8'))


@cache
def _distributions() -> dict[str, list[str]]:
    return packages_distributions()


def distribution_of(entry: Callable) -> str:
    """Return the distribution of a class or function, such as `vlfusion 0.1.0`, or its module if not installed."""
    package = entry.__module__.partition('.')[0]
    for distribution in _distributions().get(package, ()):
        return f'{distribution} {version(distribution)}'
    return f'{entry.__module__} (not installed)'


def _load(plugin: Plugin, undo: Snapshot) -> bool:
    try:
        plugin.entry.load()
        if damage := undo.damage():
            raise PluginError(damage)
    except BaseException as error:  # a plugin's import may raise anything, and must not end vlfusion
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
