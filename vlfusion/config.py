"""Read config files. Imports no torch, so that the command line can answer quickly.

A config is a file, or the name of one that ships (`vlfusion.config_names`); a file wins. In `_base_`, a name such as
`vlfusion::_base_/runtime.py` stands beside paths relative to the config.
"""

import ast
import logging
import os
import re
import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.fileio import YamlHandler, register_handler
from mmengine.logging import print_log
from mmengine.utils import import_modules_from_strings
from platformdirs import user_cache_dir

from vlfusion.config_names import SEPARATOR, find_base, require_config
from vlfusion.errors import ConfigError, did_you_mean
from vlfusion.guards.arguments import fits, words_of
from vlfusion.guards.foreign import foreign

#: Splits whose data a config may hold.
SPLITS = ('train', 'val', 'test')
#: Top-level keys that every config may have, whether or not its file sets them.
KNOWN_KEYS = {
    'activation_checkpointing', 'bands_a', 'bands_b', 'chroma', 'compile', 'custom_imports', 'data_root',
    'default_hooks', 'custom_hooks', 'env_cfg', 'find_unused_parameters', 'language', 'load_from', 'log_level',
    'log_processor', 'model', 'optim_wrapper', 'page_a', 'page_b', 'param_scheduler', 'protocol', 'randomness',
    'range_a', 'range_b', 'resume', 'task', 'text_policy', 'text_source', 'visualizer', 'work_dir'}
#: Top-level keys of a file that an option does not add to one without them.
FILE_KEYS = KNOWN_KEYS | {
    'auto_scale_lr', 'default_scope', 'experiment_name', 'launcher', *(
        f'{split}_{part}' for split in SPLITS for part in ('cfg', 'dataloader', 'evaluator'))}
#: The types of top-level keys.
TYPES = {
    'task': str, 'protocol': str, 'chroma': str, 'model': dict, 'data_root': str, 'text_source': dict | None,
    'text_policy': str | dict, 'work_dir': str | None, 'load_from': str | None, 'resume': bool, 'randomness': dict,
    'env_cfg': dict, 'default_hooks': dict | None, 'custom_hooks': list | None, 'optim_wrapper': dict | None,
    'param_scheduler': dict | list | None, 'visualizer': dict | None, 'log_processor': dict | None,
    'compile': bool | dict, 'find_unused_parameters': bool, 'experiment_name': str | None,
    **{f'{split}_{part}': hint for split in SPLITS for part, hint in (
        ('dataloader', dict | None), ('cfg', dict | None), ('evaluator', dict | list[dict] | None))}}


@register_handler(['yaml', 'yml'])
class SafeYamlHandler(YamlHandler):
    """YAML as data. MMEngine's own handler obeys tags such as `!!python/object/apply`, which call functions."""

    def load_from_fileobj(self, file, **_):
        return yaml.safe_load(file)


_path_of_mmengine = Config._get_cfg_path


def _path_of_base(base: str, filename: str) -> tuple[str, str | None]:
    """Path of a `_base_`, as MMEngine's own function returns it; names of vlfusion and its plugins are ours.

    MMEngine reads `package::config` for its own list of packages only. There it needs `pkg_resources`, which setuptools
    no longer has, and marks every part with a scope, which would change the configs.
    """
    if SEPARATOR in base and base.partition(SEPARATOR)[0] not in MODULE2PACKAGE:
        return str(find_base(base)), None
    return _path_of_mmengine(base, filename)


Config._get_cfg_path = staticmethod(_path_of_base)


def load_config(path: str | os.PathLike, cfg_options: dict | None = None,
                known: Iterable[str] | None = None) -> Config:
    """Read a config file with its bases, and override what is asked for.

        config = vlfusion.load_config('film/film_ivf_sample', {'train_cfg.max_iters': 100})

    Args:
        path: a text-style MMEngine config, or one in JSON or YAML; or the name of one that ships.
        cfg_options: dotted keys to new values, as `--cfg-options train_cfg.max_iters=100` gives them.
        known: all top-level keys that such a config has; None for those of an experiment.

    Raises:
        ConfigError: the file is absent or not valid, or the file or an option names a key that no config has.
    """
    path = require_config(path)
    with foreign(f'{path} is not a valid config', ConfigError, 'Fix the file, its _base_ or its custom_imports.'):
        config = Config.fromfile(path, lazy_import=False, import_custom_modules=False)
        if config.get('custom_imports'):
            search_current_folder()
            import_modules_from_strings(**config.custom_imports)
    of_experiment, known = known is None, KNOWN_KEYS if known is None else known
    _check_keys(config, FILE_KEYS if of_experiment else set(known))
    for key in cfg_options or {}:
        first = key.partition('.')[0]
        if first not in config and first not in known:
            raise ConfigError(f'--cfg-options names {key!r}, but {path} has no {first!r}.',
                              did_you_mean(first, {*config.keys(), *known}))
    with foreign(f'--cfg-options do not fit {path}', ConfigError, 'Check the dotted keys.'):
        config.merge_from_dict(cfg_options or {})
    plain = config.to_dict()
    if (expanded := expand_home(plain)) != plain:
        config.merge_from_dict(expanded)
    if of_experiment:
        check_form(config)
    return config


def as_config(config: str | os.PathLike | Config) -> Config:
    """A config as it is, or that of a file as `load_config` reads it."""
    return config if isinstance(config, Config) else load_config(config)


def expand_home(value: Any) -> Any:
    """Plain data in which paths that begin with `~`, also those of `NAME=PATH`, begin with the user's home.

    >>> expand_home({'data_root': '/x', 'text': 'about ~ 5'})
    {'data_root': '/x', 'text': 'about ~ 5'}
    """
    if isinstance(value, Mapping):
        return {key: expand_home(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(expand_home, value))
    if isinstance(value, str) and (path := re.fullmatch(r'(?s)([^=/\\~]*=)?(~[^\s/\\]*([/\\].*)?)', value)):
        return (path[1] or '') + os.path.expanduser(path[2])
    return value


def search_current_folder() -> None:
    """Let Python find modules in the current folder, after all others, as a config or a command line names them."""
    if not {'', os.getcwd()} & {*sys.path}:
        sys.path.append(os.getcwd())


def _check_keys(config: Config, known: set[str]) -> None:
    """Refuse top-level keys that nothing reads, which are near to one that is read.

    A helper variable, which the file or one that builds on it reads, may have any name; so may one with an underscore
    in front.

    Raises:
        ConfigError: names the key.
    """
    unknown = [key for key, value in config.items() if key not in known and not key.startswith('_')]
    if not unknown:
        return
    read = set(re.findall(r'_base_\.(\w+)', config.text))
    for line in config.text.splitlines():  # each file of the config stands below its name
        if line.endswith('.py') and os.path.isabs(line) and os.path.isfile(line):
            read |= _names_read(Path(line).read_text(encoding='utf-8'))
    for key in unknown:
        if key in read:
            continue
        if near := get_close_matches(key, known, n=1, cutoff=0.8):
            raise ConfigError(f'{config.filename} sets {key!r}, which nothing reads.',
                              f'Did you mean {near[0]}? A helper variable may be called _{key}.')
        print_log(f'{config.filename} sets {key!r}, which nothing reads.', logger='current', level=logging.WARNING)


def _names_read(source: str) -> set[str]:
    """The names that a config reads; all of its words where MMEngine's placeholders make it no Python."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return set(re.findall(r'\w+', source))
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def check_form(config: Config) -> None:
    """Raises ConfigError where a top-level key, or the data set of a loader, is of another type than it has to be."""
    for key, hint in TYPES.items():
        if key in config and not fits(config[key], hint):
            raise ConfigError(f'{key} is {config[key]!r}.', f'Give {words_of(hint)}.')
        if key.endswith('_dataloader') and config.get(key) and not isinstance(config[key].get('dataset'), Mapping):
            raise ConfigError(f'{key}.dataset is {config[key].get("dataset")!r}.',
                              "Write dataset=dict(type='PairDataset', ...).")


def cache_folder() -> Path:
    """The folder for what vlfusion keeps of its own: `VLFUSION_HOME`, else the platform's folder for caches."""
    return Path(os.environ.get('VLFUSION_HOME') or user_cache_dir('vlfusion')).expanduser()
