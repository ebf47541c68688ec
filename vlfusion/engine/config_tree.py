"""Checks of all parts of an experiment's config before anything is built: names, arguments, types and ranges."""

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from vlfusion.config import check_form
from vlfusion.errors import ConfigError
from vlfusion.guards.arguments import arguments_of, check_arguments
from vlfusion.guards.ranges import COUNT, SEED, WHOLE
from vlfusion.registry import (
    BACKBONES,
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    LOOPS,
    LOSSES,
    METRICS,
    MODELS,
    OPTIM_WRAPPERS,
    REGISTRIES,
    TRANSFORMS,
    Registry,
)

#: Registry of the part at a key, at any depth. The value may also be a dict or list of such parts.
REGISTRY_OF = {
    'model': MODELS, 'backbone': BACKBONES, 'losses': LOSSES, 'data_preprocessor': MODELS, 'dataset': DATASETS,
    'pipeline': TRANSFORMS, 'transforms': TRANSFORMS, 'sampler': DATA_SAMPLERS, 'optim_wrapper': OPTIM_WRAPPERS,
    'optimizer': REGISTRIES['optimizer'], 'param_scheduler': REGISTRIES['parameter scheduler'],
    'default_hooks': HOOKS, 'custom_hooks': HOOKS, 'train_cfg': LOOPS, 'val_cfg': LOOPS, 'test_cfg': LOOPS,
    'val_evaluator': METRICS, 'test_evaluator': METRICS, 'visualizer': REGISTRIES['visualizer'],
    'vis_backends': REGISTRIES['vis_backend'], 'log_processor': REGISTRIES['log_processor']}
#: Types that MMEngine uses for parts without one.
DEFAULT_TYPE = {'optim_wrapper': 'OptimWrapper', 'visualizer': 'Visualizer', 'log_processor': 'LogProcessor',
                'val_cfg': 'ValLoop', 'test_cfg': 'TestLoop'}
#: Keys that MMEngine removes from a part before it builds the part.
TAKEN = {'optim_wrapper': ('constructor', 'paramwise_cfg'), 'parameter scheduler': ('convert_to_iter_based',),
         'loop': ('by_epoch',)}
RANGES = {'batch_size': COUNT, 'num_workers': WHOLE, 'prefetch_factor': COUNT, 'max_iters': COUNT, 'max_epochs': COUNT,
          'val_interval': COUNT, 'val_begin': WHOLE, 'accumulative_counts': COUNT}
#: Keys of `RANGES` whose value may be None.
OPTIONAL = ('batch_size', 'prefetch_factor')


def check_experiment(config: Config) -> None:
    """Check every part of an experiment's config against the class that it names.

    Raises:
        ConfigError: a key, a type or a number is wrong; names its dotted key.
        UnknownNameError: the type of a part is not registered.
    """
    check_form(config)
    if (seed := config.get('randomness', {}).get('seed')) is not None:
        SEED.check('randomness.seed', seed)
    for key, value in config.items():
        if key.endswith('_dataloader') and value:
            _check_loader(value, key)
        elif key in REGISTRY_OF:
            _check_parts(value, key, key, REGISTRY_OF[key])


def _check_loader(loader: Mapping, where: str) -> None:
    check_arguments(DataLoader, {'type': 'The data loader', **loader}, where, ('num_batch_per_epoch',))
    _check_ranges(loader, where)
    if 'pipeline' in loader['dataset'] and not loader['dataset']['pipeline']:
        raise ConfigError(f'{where}.dataset.pipeline is empty.', "Write pipeline=[dict(type='LoadPair'), "
                          "dict(type='PackPair')].")
    for key in ('dataset', 'sampler'):
        _check_parts(loader.get(key), f'{where}.{key}', key, REGISTRY_OF[key])


def _check_parts(value: Any, where: str, key: str, registry: Registry | None) -> None:
    """Check a part, or all parts in a list or dict, and the parts inside them."""
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check_parts(item, f'{where}[{index}]', key, registry)
    if not isinstance(value, Mapping):
        return
    kind = value.get('type', DEFAULT_TYPE.get(key))
    if registry is not None and kind is not None:  # an empty registry is false
        _check_part(value, where, registry, kind)
        registry = None
    for name, item in value.items():
        _check_parts(item, f'{where}.{name}', name, REGISTRY_OF.get(name) if registry is None else registry)


def _check_part(part: Mapping, where: str, registry: Registry, kind: Any) -> None:
    if not isinstance(kind, str) and not callable(kind):
        raise ConfigError(f'{where}.type is {kind!r}.', f'Give the name of a {registry.name}.')
    entry = registry.get(kind) if isinstance(kind, str) else kind
    more, others = TAKEN.get(registry.name, ()), None
    if part.get('constructor'):
        others = True  # only the constructor knows its arguments
    if isinstance(entry, type) and issubclass(entry, CheckpointHook):
        more, others = tuple(arguments_of(Runner.save_checkpoint)[0]), False  # the hook passes the rest on to it
    check_arguments(entry, {'type': kind, **part}, where, more, others)
    if registry in (LOOPS, OPTIM_WRAPPERS):
        _check_ranges(part, where)


def _check_ranges(part: Mapping, where: str) -> None:
    for key, value in part.items():
        if key in RANGES and (value is not None or key not in OPTIONAL):
            RANGES[key].check(f'{where}.{key}', value)
