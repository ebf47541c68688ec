"""API keys, read from the place that a config names. A config never holds a key."""

import os
from pathlib import Path

from vlfusion.errors import ConfigError
from vlfusion.guards.redaction import HIDDEN, mask, names_variable


def read_key(variable: str | None, file: str | os.PathLike | None) -> tuple[str | None, str]:
    """Read an API key.

    Args:
        variable: the name of an environment variable.
        file: a file that holds the key and nothing else.

    Returns:
        The key and the name of its source, or None and an empty name if neither is given. The name is hidden if it
        looks like a key, because users put keys there by mistake.

    Raises:
        ConfigError: both are given, there is no key, or the value cannot be a key.
    """
    if variable and file:
        raise ConfigError('Both api_key_env and api_key_file are given.', 'Give one of them.')
    if not variable and not file:
        return None, ''
    if variable:
        if not names_variable(variable) and variable not in os.environ:
            raise ConfigError('api_key_env is not the name of an environment variable. It looks like a key, so it is '
                              'not shown.', "Put the key into a variable, and write its name: api_key_env='MY_KEY'.")
        key, source, where = os.environ.get(variable, ''), variable, f'the environment variable {variable}'
    else:
        source = str(file) if _is_path(str(file)) else HIDDEN
        where = f'the file {source}'
        try:
            key = Path(file).expanduser().read_text(encoding='utf-8')
        except (OSError, TypeError, ValueError, RuntimeError) as error:
            raise ConfigError(f'The API key cannot be read from {where} ({type(error).__name__}).',
                              'Check api_key_file; it names a text file with the key and nothing else.') from None
    key = key.strip()
    if not key:
        raise ConfigError(f'There is no API key in {where}.',
                          'Put the key there. api_key_env and api_key_file name its place; a config never holds it.')
    if not (key.isascii() and key.isprintable()) or ' ' in key:
        raise ConfigError(f'The content of {where} cannot be an API key.',
                          'A key has no blanks, line breaks or accents.')
    return key, source


def _is_path(text: str) -> bool:
    """False if the text may be a key that was given instead of its file."""
    return mask(text) == text and (len(text) < 16 or not {*'/\\.'}.isdisjoint(text) or os.path.exists(text))
