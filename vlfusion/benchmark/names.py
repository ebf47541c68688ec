"""Comparisons by name: `mif` stands for the config `benchmark/mif`."""

import os
from difflib import get_close_matches
from pathlib import Path

from vlfusion.config_names import find_config, require_config, shipped
from vlfusion.errors import ConfigError

#: Folder of the configs that ship.
FOLDER = 'benchmark/'


def require_comparison(name: str | os.PathLike) -> Path:
    """Return the config of a comparison.

    Args:
        name: config file, or the name of a config that ships, with or without `benchmark/`.

    Raises:
        ConfigError: there is no such file or name.
    """
    try:
        return require_config(name)
    except ConfigError:
        short = os.fspath(name)
        if file := find_config(f'{FOLDER}{short}'):
            return file
        known = [config.removeprefix(FOLDER) for config in shipped() if config.startswith(FOLDER)]
        if near := get_close_matches(short, known, n=1, cutoff=0.6):
            raise ConfigError(f'There is no comparison {short!r}.',
                              f'Did you mean {near[0]}? Available: {", ".join(known)}.') from None
        raise
