"""All registries of vlfusion. MMEngine imports `vlfusion.registry` by this name when it meets the scope `vlfusion`.

Classes of vlfusion have their plain name (`FILM`). Classes of other packages have their top-level import package in
front (`vlfusion_cddfuse.CDDFuse`), which may be left out if the name stays unambiguous.

Lookup order: vlfusion, MMEngine and mmcv, code that is already imported, then installed plugins. So nothing can shadow
a core name, and a plugin is imported only when a name is missing.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import mmengine.registry as root
from mmengine.config import Config

from vlfusion import plugins
from vlfusion.errors import ConfigError, UnknownNameError, did_you_mean
from vlfusion.guards.arguments import arguments_of, check_arguments
from vlfusion.guards.foreign import foreign
from vlfusion.guards.remote_code import refuse_remote_code
from vlfusion.moved import present_name
from vlfusion.system import loggers  # noqa: F401

SCOPE = 'vlfusion'
#: Top-level config keys that all data sets and evaluators of the config receive.
SHARED_KEYS = ('task', 'data_root', 'language', 'text_source', 'text_policy', 'protocol', 'range_a', 'range_b',
               'page_a', 'page_b', 'bands_a', 'bands_b')
#: Every registry by its name, in the order of this file.
REGISTRIES: dict[str, 'Registry'] = {}


class Registry(root.Registry):
    """An MMEngine registry that finds plugins and explains a failed lookup.

    Args:
        name: word for its entries in messages, such as `backbone`.
        parent: MMEngine registry whose entries can also be looked up here.
        locations: modules that register vlfusion's own entries, imported at the first lookup.
    """

    def __init__(self, name: str, parent: root.Registry | None = None, locations: tuple[str, ...] = ()):
        super().__init__(name, parent=parent, scope=SCOPE, locations=list(locations))
        REGISTRIES[name] = self

    def get(self, key: str) -> Callable:
        """Return the class or function registered as `key`: `Name`, or `package.Name` with a scope.

        Unlike MMEngine's lookup, this one never imports an arbitrary dotted path. So the config of a checkpoint can
        name registered entries only.

        Raises:
            UnknownNameError: no entry has that name, or several plugins have it.
            PluginError: the plugin that registers it failed to load.
        """
        self.import_from_location()
        if present := present_name(key):
            warnings.warn(f'{key} is now {present}. The former name still works.', FutureWarning, stacklevel=2)
            key = present
        entry = self._find(key)
        if entry is None and plugins.load_for(key, snapshot):
            entry = self._find(key)
        if entry is None:
            known = [*self.names(), *(self.parent.module_dict if self.parent else ())]
            remedy = did_you_mean(key.rpartition('.')[2], known)
            hint = plugins.why_missing(key)
            if not hint and not remedy.startswith('Did you mean'):
                hint = 'If a module of yours registers it, name the module in custom_imports, or with --import.'
            raise UnknownNameError(f'{key!r} is not a known {self.name}.', remedy + (f'\n     {hint}' if hint else ''))
        return entry

    def __contains__(self, key: str) -> bool:
        self.import_from_location()
        return self._find(present_name(key) or key) is not None

    def build(self, cfg: dict, *args, **kwargs) -> Any:
        """Build an object from a config.

        Raises:
            ConfigError: the config is not a dict with a `type`, has an unknown argument, or the class raises any error.
            UnknownNameError, PluginError: as for `get`.
        """
        kind = cfg.get('type') if isinstance(cfg, dict) else None
        if not isinstance(kind, str) and not callable(kind):
            raise ConfigError(f'The {self.name} is {cfg!r}.', f"Write dict(type='NAME', ...): {self._examples()}.")
        name = kind if isinstance(kind, str) else kind.__name__
        entry = self.get(kind) if isinstance(kind, str) else kind
        refuse_remote_code(cfg, name)
        check_arguments(entry, cfg)
        with foreign(f'The {self.name} {name} cannot be built', ConfigError, 'Check its arguments.'):
            return super().build(cfg, *args, **kwargs)

    def _examples(self) -> str:
        return ', '.join(self.names()[:5])

    @contextmanager
    def switch_scope_and_registry(self, scope: str | None) -> Iterator['Registry']:
        # MMEngine's own method imports other packages if the config has a key `_scope_`.
        yield self

    def names(self) -> list[str]:
        """Return the names that this registry holds itself, with a scope if they come from another package."""
        self.import_from_location()
        return sorted(self._module_dict)

    def _find(self, key: str) -> Callable | None:
        scope, _, name = key.rpartition('.')
        if scope in ('', SCOPE) and name in self._module_dict:
            return self._module_dict[name]
        if scope in ('', 'mmengine') and self.parent is not None and name in self.parent.module_dict:
            return self.parent.module_dict[name]
        if scope:
            return self._module_dict.get(key)
        homes = [full for full in self._module_dict if full.rpartition('.')[2] == name]
        if len(homes) > 1:
            raise UnknownNameError(f'{name!r} is ambiguous: several packages register a {self.name} of that name.',
                                   f'Write one of {", ".join(sorted(homes))}.')
        return self._module_dict[homes[0]] if homes else None

    def _register_module(self, module, module_name=None, force=False):
        names = [module_name or module.__name__] if not isinstance(module_name, list) else module_name
        package = module.__module__.partition('.')[0]
        prefix = '' if package == SCOPE else f'{package}.'
        super()._register_module(module, [prefix + name for name in names], force)


class Snapshot:
    """The present state of all registries. Calling it undoes what other packages register or break afterwards.

    New entries of vlfusion stay: a plugin may be the first to import them, and a module registers only once.
    """

    def __init__(self):
        self._held = {name: set(registry._module_dict) for name, registry in REGISTRIES.items()}
        self._methods = [(owner, dict(vars(owner))) for owner in (Registry, root.Registry)]

    def __call__(self) -> None:
        for owner, methods in self._methods:
            for name in self._changed(owner, methods):
                setattr(owner, name, methods[name])
        for name, registry in REGISTRIES.items():
            for method in self._shadows(registry):
                delattr(registry, method)
            for key in [key for key in registry._module_dict if '.' in key and key not in self._held[name]]:
                del registry._module_dict[key]

    def damage(self) -> str:
        """Describe what was broken since then; empty if nothing was."""
        for owner, methods in self._methods:
            if changed := self._changed(owner, methods):
                return f'it replaces {owner.__name__}.{changed[0]}'
        for name, registry in REGISTRIES.items():
            if shadows := self._shadows(registry):
                return f'it replaces the method {shadows[0]} of the registry {name!r}'
            if keys := [key for key, entry in registry._module_dict.items() if not callable(entry)]:
                return f'it registers {registry._module_dict[keys[0]]!r} as the {name} {keys[0]}'
        return ''

    @staticmethod
    def _changed(owner: type, methods: dict) -> list[str]:
        return [name for name, method in methods.items() if callable(method) and vars(owner).get(name) is not method]

    @staticmethod
    def _shadows(registry: Registry) -> list[str]:
        return [name for name in vars(registry) if callable(getattr(type(registry), name, None))]


def snapshot() -> Snapshot:
    """Take a snapshot of all registries."""
    return Snapshot()


def share_keys(config: Config, part: dict, registry: Registry) -> None:
    """Pass top-level keys of a config to a data set or evaluator that accepts them and does not set them itself."""
    entry = registry.get(part['type'])
    check_arguments(entry, part)
    accepted, _ = arguments_of(entry)
    for key in SHARED_KEYS:
        if key in config and key in accepted:
            part.setdefault(key, config[key])
    # Only `describe` reads `fixed`, and it would lengthen every dump of the config.
    if isinstance(part.get('language'), Mapping):
        part['language'] = {name: value for name, value in part['language'].items() if name != 'fixed'}


# Parts that users choose by config.
CAPTIONERS = Registry('captioner', locations=('vlfusion.language.captioners',))
LLMS = Registry('llm', locations=('vlfusion.language.llms',))
TEXT_ENCODERS = Registry('text encoder', locations=('vlfusion.language.encoders',))
BACKBONES = Registry('backbone', locations=('vlfusion.models.backbones',))
LOSSES = Registry('loss', locations=('vlfusion.losses',))
FUSION_METRICS = Registry('fusion metric', locations=('vlfusion.metrics',))
TRUTH_METRICS = Registry('truth metric', locations=('vlfusion.metrics',))
CHROMA_RULES = Registry('colour rule', locations=('vlfusion.imaging.chroma',))
LABELS = Registry('label format', locations=('vlfusion.downstream.labels',))
DETECTORS = Registry('detector', locations=('vlfusion.downstream.detectors',))
SEGMENTERS = Registry('segmenter', locations=('vlfusion.downstream.segmenters',))

# MMEngine's registries that vlfusion adds to.
MODELS = Registry('model', root.MODELS, ('vlfusion.models',))
DATASETS = Registry('dataset', root.DATASETS, ('vlfusion.data.dataset', 'vlfusion.data.hdf5', 'vlfusion.data.packed',
                                               'vlfusion.data.volume_pairs'))
TRANSFORMS = Registry('transform', root.TRANSFORMS, ('vlfusion.data.transforms', 'vlfusion.data.degrading'))
DATA_SAMPLERS = Registry('data sampler', root.DATA_SAMPLERS, ('vlfusion.data.sampler',))
METRICS = Registry('metric', root.METRICS, ('vlfusion.evaluation.evaluator',))
HOOKS = Registry('hook', root.HOOKS, ('vlfusion.engine.hooks', 'vlfusion.engine.compat'))
LOOPS = Registry('loop', root.LOOPS, ('vlfusion.engine.runner',))
FUNCTIONS = Registry('function', root.FUNCTIONS, ('vlfusion.data.collate',))
OPTIM_WRAPPERS = Registry('optim_wrapper', root.OPTIM_WRAPPERS, ('vlfusion.engine.compat',))

# MMEngine's other registries: it warns at every lookup in one that has no child here.
for _name in ('RUNNERS', 'RUNNER_CONSTRUCTORS', 'STRATEGIES', 'MODEL_WRAPPERS', 'WEIGHT_INITIALIZERS', 'OPTIMIZERS',
              'OPTIM_WRAPPER_CONSTRUCTORS', 'PARAM_SCHEDULERS', 'EVALUATOR', 'TASK_UTILS', 'VISUALIZERS',
              'VISBACKENDS', 'LOG_PROCESSORS', 'INFERENCERS'):
    Registry(getattr(root, _name).name, getattr(root, _name))
