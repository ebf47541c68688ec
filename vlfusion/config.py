"""Read config files. This module imports no torch, so that the command line starts quickly.

A config is given as a file, or as the name of one that ships (`vlfusion.config_names`); a file takes precedence. Keys
`_base_` hold paths relative to the config, or names such as `vlfusion::_base_/runtime.py`.
"""

import ast
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

import mmengine.config.config
import yaml
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.fileio import YamlHandler, register_handler
from mmengine.logging import print_log
from mmengine.utils import import_modules_from_strings

from vlfusion.config_names import SEPARATOR, find_base, require_config
from vlfusion.errors import ConfigError, did_you_mean
from vlfusion.guards.arguments import fits, words_of
from vlfusion.guards.foreign import foreign
from vlfusion.system import loggers  # noqa: F401

#: Splits of the data in a config.
SPLITS = ('train', 'val', 'test')
#: Top-level keys that `--cfg-options` may set even if the file does not.
KNOWN_KEYS = {
    'activation_checkpointing', 'bands_a', 'bands_b', 'chroma', 'compile', 'custom_imports', 'data_root',
    'default_hooks', 'custom_hooks', 'env_cfg', 'find_unused_parameters', 'language', 'load_from', 'log_level',
    'log_processor', 'model', 'optim_wrapper', 'page_a', 'page_b', 'param_scheduler', 'protocol', 'randomness',
    'range_a', 'range_b', 'resume', 'task', 'text_policy', 'tf32', 'text_source', 'visualizer', 'work_dir'}
#: All top-level keys of a file. `--cfg-options` may change the further ones here, but not add them.
FILE_KEYS = KNOWN_KEYS | {
    'auto_scale_lr', 'default_scope', 'experiment_name', 'launcher', *(
        f'{split}_{part}' for split in SPLITS for part in ('cfg', 'dataloader', 'evaluator'))}
#: The types of top-level keys.
TYPES = {
    'task': str, 'protocol': str, 'chroma': str, 'model': dict, 'data_root': str, 'text_source': dict | None,
    'text_policy': str | dict, 'work_dir': str | None, 'load_from': str | None, 'resume': bool, 'randomness': dict,
    'env_cfg': dict, 'default_hooks': dict | None, 'custom_hooks': list | None, 'optim_wrapper': dict | None,
    'param_scheduler': dict | list | None, 'visualizer': dict | None, 'log_processor': dict | None,
    'compile': bool | dict, 'tf32': bool, 'find_unused_parameters': bool, 'experiment_name': str | None,
    **{f'{split}_{part}': hint for split in SPLITS for part, hint in (
        ('dataloader', dict | None), ('cfg', dict | None), ('evaluator', dict | list[dict] | None))}}


@register_handler(['yaml', 'yml'])
class SafeYamlHandler(YamlHandler):
    """YAML read as data only. MMEngine's own handler follows tags such as `!!python/object/apply`, which run code."""

    def load_from_fileobj(self, file, **_):
        return yaml.safe_load(file)


_path_of_mmengine = Config._get_cfg_path


def _path_of_base(base: str, filename: str) -> tuple[str, str | None]:
    """Return the path of a `_base_` and its scope, as MMEngine's own function does.

    Names such as `package::config` of vlfusion and its plugins are resolved here. MMEngine resolves them only for its
    own list of packages, needs `pkg_resources` for that, which setuptools no longer has, and adds a scope to every
    part, which would change the configs.
    """
    if SEPARATOR in base and base.partition(SEPARATOR)[0] not in MODULE2PACKAGE:
        return str(find_base(base)), None
    return _path_of_mmengine(base, filename)


Config._get_cfg_path = staticmethod(_path_of_base)

_format = mmengine.config.config.FormatCode


@lru_cache(maxsize=1)  # a process works on one config at a time
def _formatted(text: str, style: tuple) -> tuple[str, bool]:
    return _format(text, style_config=dict(style))


def _format_once(text: str, style_config: Mapping[str, Any]) -> tuple[str, bool]:
    """Format the text of a config as yapf does, or return the result for the same text.

    MMEngine formats the whole config for its log, its file and each checkpoint. yapf takes seconds for long lines.
    """
    return _formatted(text, tuple(style_config.items()))


mmengine.config.config.FormatCode = _format_once


def load_config(path: str | os.PathLike, cfg_options: dict | None = None,
                known: Iterable[str] | None = None) -> Config:
    """Read a config file with its bases, and apply overrides.

        config = vlfusion.load_config('film/film_ivf_sample', {'train_cfg.max_iters': 100})

    Args:
        path: an MMEngine config in Python text style, JSON or YAML, or the name of one that ships.
        cfg_options: new values by dotted key, as `--cfg-options train_cfg.max_iters=100` gives them.
        known: all valid top-level keys; by default those of an experiment.

    Raises:
        ConfigError: the file is absent or invalid, or the file or an option has an unknown key.
    """
    path = require_config(path)
    with foreign(f'{path} is not a valid config', ConfigError, 'Fix the file, its _base_ or its custom_imports.'):
        with _silence():
            config = Config.fromfile(path, lazy_import=False, import_custom_modules=False)
        if config.get('custom_imports'):
            search_current_folder()
            import_modules_from_strings(**config.custom_imports)
    of_experiment, known = known is None, KNOWN_KEYS if known is None else known
    _check_keys(config, FILE_KEYS if of_experiment else set(known))
    override(config, cfg_options or {}, known)
    if of_experiment:
        check_form(config)
    return config


@contextmanager
def _silence() -> Iterator[None]:
    """Keep MMEngine from logging the values that `{{$VARIABLE:default}}` inserts, which may be secrets."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.INFO))
    try:
        yield
    finally:
        logging.disable(before)


def config_from(values: Mapping, name: str | None) -> Config:
    """Return a config of plain data, under the name of a file that need not exist."""
    return Config(dict(values), cfg_text=f'# {name}', filename=name)


def override(config: Config, cfg_options: Mapping, known: Iterable[str] = KNOWN_KEYS) -> None:
    """Apply overrides to a config in place, and replace a leading `~` of its paths.

    Args:
        config: the config.
        cfg_options: new values by dotted key.
        known: top-level keys that they may add.

    Raises:
        ConfigError: an option has an unknown key, or does not fit the config.
    """
    for key in cfg_options:
        first = key.partition('.')[0]
        if first not in config and first not in known:
            raise ConfigError(f'--cfg-options names {key!r}, but {config.filename} has no {first!r}.',
                              did_you_mean(first, {*config.keys(), *known}))
    with foreign(f'--cfg-options do not fit {config.filename}', ConfigError, 'Check the dotted keys.'):
        config.merge_from_dict(dict(cfg_options))
    plain = config.to_dict()
    if (expanded := expand_home(plain)) != plain:
        config.merge_from_dict(expanded)


def as_config(config: str | os.PathLike | Config) -> Config:
    """Return a config unchanged, or read it from a file by `load_config`."""
    return config if isinstance(config, Config) else load_config(config)


def expand_home(value: Any) -> Any:
    """Replace a leading `~` of paths, also in `NAME=PATH`, by the user's home, at any depth of plain data.

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
    """Let Python import modules from the current folder, after all others."""
    if not {'', os.getcwd()} & {*sys.path}:
        sys.path.append(os.getcwd())


def _check_keys(config: Config, known: set[str]) -> None:
    """Refuse unused top-level keys that look like misspellings of known ones, and warn of all others.

    A helper variable may have any name if its own file or one that extends it reads it, or if it begins with an
    underscore.

    Raises:
        ConfigError: names the key.
    """
    unknown = [key for key, value in config.items() if key not in known and not key.startswith('_')]
    if not unknown:
        return
    read = set(re.findall(r'_base_\.(\w+)', config.text))
    for line in config.text.splitlines():  # `text` has the path of each file above its content
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
    """Return the names that a config reads, or all its words if MMEngine's placeholders make it invalid Python."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return set(re.findall(r'\w+', source))
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def check_form(config: Config) -> None:
    """Raise ConfigError if a top-level key, or the data set of a loader, has the wrong type."""
    for key, hint in TYPES.items():
        if key in config and not fits(config[key], hint):
            raise ConfigError(f'{key} is {config[key]!r}.', f'Give {words_of(hint)}.')
        if key.endswith('_dataloader') and config.get(key) and not isinstance(config[key].get('dataset'), Mapping):
            raise ConfigError(f'{key}.dataset is {config[key].get("dataset")!r}.',
                              "Write dataset=dict(type='PairDataset', ...).")
