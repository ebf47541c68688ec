"""Reading config files. Imports no torch, so that the command line can answer quickly."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from platformdirs import user_cache_dir

from vlfusion.errors import ConfigError, did_you_mean

#: Top-level keys that every config may have, whether or not its file sets them.
KNOWN_KEYS = {
    'activation_checkpointing', 'compile', 'custom_imports', 'data_root', 'default_hooks', 'custom_hooks', 'env_cfg',
    'find_unused_parameters', 'language', 'load_from', 'log_level', 'log_processor', 'model', 'optim_wrapper',
    'param_scheduler', 'protocol', 'randomness', 'resume', 'task', 'text_policy', 'text_source', 'visualizer',
    'work_dir'}


def load_config(path: str | os.PathLike, cfg_options: dict | None = None,
                known: Iterable[str] = frozenset(KNOWN_KEYS)) -> Config:
    """A config file with its bases and the overrides of the command line.

    Args:
        path: a text-style MMEngine config.
        cfg_options: dotted keys to new values, as `--cfg-options train_cfg.max_iters=100` gives them.
        known: top-level keys that an option may name though the file does not set them.

    Raises:
        ConfigError: the file is absent or not valid, or an option names a key that no config has.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f'No config at {path.absolute()}.', 'The configs of vlfusion are in configs/<method>/.')
    try:
        config = Config.fromfile(path, lazy_import=False)
    except (SyntaxError, KeyError, NameError, TypeError, ImportError, FileNotFoundError) as error:
        raise ConfigError(f'{path} is not a valid config: {type(error).__name__}: {error}',
                          'Mend the file, its _base_ or its custom_imports.') from error
    for key in cfg_options or {}:
        first = key.partition('.')[0]
        if first not in config and first not in known:
            raise ConfigError(f'--cfg-options names {key!r}, but {path} has no {first!r}.',
                              did_you_mean(first, {*config.keys(), *known}))
    try:
        config.merge_from_dict(cfg_options or {})
    except (TypeError, KeyError) as error:
        raise ConfigError(f'--cfg-options do not fit {path}: {error}', 'Check the dotted keys.') from error
    return config


def cache_folder() -> Path:
    """The folder for what vlfusion keeps of its own: `VLFUSION_HOME`, else the platform's folder for caches."""
    return Path(os.environ.get('VLFUSION_HOME') or user_cache_dir('vlfusion')).expanduser()


def names_remote_code(value: Any) -> bool:
    """Tell whether plain data switch on `trust_remote_code`, which runs code that comes with a model.

    Hyphens count as underscores, at any depth and inside strings such as JSON.

    >>> names_remote_code({'engine': {'hf_overrides': [{'trust-remote-code': True}]}})
    True
    >>> names_remote_code({'trust_remote_code': False})
    False
    """
    if isinstance(value, Mapping):
        return any((_REMOTE_CODE in str(key).replace('-', '_').lower() and item not in (None, False, 0))
                   or names_remote_code(item) for key, item in value.items())
    if isinstance(value, str):
        return _REMOTE_CODE in value.replace('-', '_').lower()
    return isinstance(value, list | tuple | set) and any(map(names_remote_code, value))


def refuse_remote_code(config: Any, part: str) -> None:
    """Refuse settings that let a model's files run code of their own.

    Args:
        config: plain data.
        part: what is being built, for the message.

    Raises:
        ConfigError: `trust_remote_code` is switched on somewhere in them.
    """
    if names_remote_code(config):
        raise ConfigError(f'{part} is told to trust_remote_code, which runs code that comes with a model.',
                          'Leave it out. A model that needs code of its own becomes a plugin, or runs behind a server '
                          'that you start yourself.')


_REMOTE_CODE = 'trust_remote_code'

#: Keys that may hold a secret. They are never written: not to a config dump, a log, a checkpoint or a record.
_SECRET = re.compile(r'api_?key|password|secret|credential|authorization|(^|auth_|access_|api_|hf_)token$')

#: User and password of a URL, and its query.
_CREDENTIALS = re.compile(r'\b([a-z][a-z0-9+.-]*://)(?:[^/@\s]*@)?([^?\s\'"]*)(?:\?[^\s\'"]*)?')

#: Endings of keys that say where a secret is, such as `api_key_env`: the name of a variable or file is none.
_PLACES = ('_env', '_file')


def without_secrets(value: Any) -> Any:
    """Plain data without what may hold a secret, at any depth: entries of dicts; user, password and query of URLs.

    >>> without_secrets({'llm': {'type': 'ChatLLM', 'api_key': 'sk-1', 'max_tokens': 200}})
    {'llm': {'type': 'ChatLLM', 'max_tokens': 200}}
    >>> without_secrets({'api_key_env': 'OPENAI_API_KEY'})
    {'api_key_env': 'OPENAI_API_KEY'}
    >>> without_secrets({'base_url': 'https://me:word@host/v1?key=sk-1'})
    {'base_url': 'https://host/v1'}
    """
    if isinstance(value, Mapping):
        return {key: without_secrets(item) for key, item in value.items()
                if not _SECRET.search(str(key).lower().replace('-', '_')) or str(key).endswith(_PLACES)}
    if isinstance(value, str):
        return _CREDENTIALS.sub(r'\1\2', value)
    return [without_secrets(item) for item in value] if isinstance(value, list | tuple) else value
