"""The switch `trust_remote_code`, which runs code that comes with a model: detected anywhere, and refused."""

from collections.abc import Mapping
from typing import Any

from vlfusion.errors import ConfigError

_REMOTE_CODE = 'trust_remote_code'


def names_remote_code(value: Any) -> bool:
    """Tell whether plain data switch on `trust_remote_code`, at any depth or inside strings such as JSON.

    Hyphens count as underscores.

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
    """Refuse settings that run code from a model's files.

    Args:
        config: plain data.
        part: name of the part to build, for the message.

    Raises:
        ConfigError: `trust_remote_code` is switched on somewhere in `config`.
    """
    if names_remote_code(config):
        raise ConfigError(f'{part} is told to trust_remote_code, which runs code that comes with a model.',
                          'Leave it out. To use a model that needs its own code, write a plugin, or run the model on a '
                          'server that you start yourself.')
