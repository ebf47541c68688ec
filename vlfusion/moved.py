"""Former names of modules and plugins. `import vlfusion.images` still works, with a warning that names the new module.
"""

import sys
import warnings
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType

#: Packages, and the former names of modules that moved into them.
_ROOMS = {
    'analysis': 'benchmark.ablation benchmark.conclusion benchmark.contact_sheet benchmark.diagram '
                'benchmark.leaderboard benchmark.numbers benchmark.published benchmark.reproduce benchmark.statistics',
    'console': 'notes progress',
    'data': 'language.joining',
    'engine': 'checkpoints compat config_tree hooks locks origin runner trust',
    'guards': 'arguments cells foreign outputs redaction remote_code',
    'imaging': 'arrays images lettering quantise reading data.tasks metrics.protocol evaluation.protocol',
    'inference': 'export tiling',
    'language.answers': 'language.decoding language.markdown language.phrases language.structure language.tags',
    'language.chat': 'language.api_key language.proxies',
    'metrics': 'evaluation.undefined',
    'scaffold': 'testing.skeleton',
    'system': 'devices footprint launchers memory processes threads',
}
MOVED = {f'vlfusion.{old}': f'vlfusion.{room}.{old.rpartition(".")[2]}'
         for room, olds in _ROOMS.items() for old in olds.split()} | {'vlfusion.numbers': 'vlfusion.guards.ranges'}
#: Former names of plugins' packages. Configs and checkpoints name classes of a plugin after its package.
RENAMED_PLUGINS = {'vlfusion_clip_directional': 'vlfusion_ldfusion'}
#: Former names of parts in configs and checkpoints that moved from a plugin to vlfusion.
RENAMED_PARTS = {f'vlfusion_textif.{name}': name for name in ('AxisGradientLoss', 'PackDegraded')}
_PRESENT = MOVED | RENAMED_PLUGINS


class _Former(MetaPathFinder, Loader):
    """Imports the module of the new name if the old name, or a module below it, is imported."""

    def find_spec(self, fullname: str, path=None, target=None) -> ModuleSpec | None:
        return spec_from_loader(fullname, self) if _present_module(fullname) else None

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__
        new = _present_module(old)
        warnings.warn(f'{old} is now {new}.', DeprecationWarning, stacklevel=2)
        # The import system returns the entry of `sys.modules`: one module under both names, never two copies.
        sys.modules[old] = import_module(new)


def present_name(name: str) -> str | None:
    """Return the present name of a part that a config names; None if it never moved.

    >>> present_name('vlfusion_clip_directional.CLIPDirectionalLoss')
    'vlfusion_ldfusion.CLIPDirectionalLoss'
    """
    return RENAMED_PARTS.get(name) or _present_module(name)


def _present_module(name: str) -> str | None:
    """Return the present name of a module, or of what lies in it; None if it never moved."""
    for old, new in _PRESENT.items():
        if name == old or name.startswith(f'{old}.'):
            return new + name[len(old):]
    return None


def install() -> None:
    """Make former names importable, ahead of the search for files."""
    if not any(isinstance(finder, _Former) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Former())
