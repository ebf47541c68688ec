"""Find the files of configs by path or name. The configs that ship with vlfusion and its plugins have names:

    film/film_mif                   film/film_mif.py in configs/ of vlfusion
    cddfuse/cddfuse_ivf             cddfuse_ivf.py in configs/ of the plugin cddfuse
    vlfusion::_base_/runtime.py     in a config's `_base_`: the package, then the file in its configs
    vlfusion_cddfuse::cddfuse_ivf.py

The suffix `.py` and a leading `configs/` are optional. A package has its configs inside (`vlfusion/configs`, as a wheel
installs it) or beside it (`configs` next to `vlfusion`, as in a copy of the repository). Nothing is imported.
"""

import os
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from vlfusion import plugins
from vlfusion.errors import ConfigError

SEPARATOR = '::'
#: Suffixes of config files.
SUFFIXES = ('.py', '.json', '.yaml', '.yml')
LISTING = '`vlfusion list configs` shows all configs that ship.'


def shipped() -> dict[str, Path]:
    """Return every config that ships, by name: first those of vlfusion, then those of each installed plugin."""
    folders = {'': config_folder('vlfusion'),
               **{f'{plugin.entry.name}/': config_folder(plugin.package) for plugin in plugins.found()}}
    return {prefix + path.relative_to(folder).with_suffix('').as_posix(): path
            for prefix, folder in folders.items() if folder for path in sorted(folder.rglob('*.py'))}


def find_config(name: str) -> Path | None:
    """Return the file of a config's name, or None if no config has it."""
    return next((place for place in places(name) if place.is_file()), None)


def places(name: str) -> list[Path]:
    """Return all files that a config's name can mean, existing or not."""
    package, scoped, inner = name.rpartition(SEPARATOR)
    inner = PurePosixPath(inner.removeprefix('configs/').removesuffix('.py'))
    if inner.is_absolute() or '..' in inner.parts:
        return []
    candidates = [(package or 'vlfusion', inner)]
    if not scoped:
        candidates += [(plugin.package, inner.relative_to(plugin.entry.name)) for plugin in plugins.found()
                       if inner.is_relative_to(plugin.entry.name)]
    return [folder / f'{config}.py' for package, config in candidates if (folder := config_folder(package))]


def is_config(path: str | os.PathLike) -> bool:
    """Tell whether a path to a checkpoint or config is a config: a `.py` file, or the name of a config."""
    return Path(path).suffix == '.py' or not Path(path).exists() and find_config(os.fspath(path)) is not None


def require_config(path: str | os.PathLike) -> Path:
    """Return the path of a config.

    Args:
        path: the file, or the name of a config that ships, such as `film/film_mif`.

    Raises:
        ConfigError: no file or config has that name, or the file has another suffix.
    """
    if not Path(path).is_file():
        if file := find_config(os.fspath(path)):
            return file
        candidates = [Path(path).absolute(), *places(os.fspath(path))]
        raise ConfigError(f'No config at {" or ".join(map(str, candidates))}.', similar_config(Path(path)))
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ConfigError(f'{path} is not a config: expected a file that ends in {", ".join(SUFFIXES)}.',
                          'Give a config, or rename the file.')
    return path


def find_base(name: str) -> Path:
    """Return the file of a name in a config's `_base_`, such as `vlfusion::_base_/runtime.py`.

    Raises:
        ConfigError: no package with configs has that name, or the package does not have the config.
    """
    if path := find_config(name):
        return path
    package, _, inner = name.partition(SEPARATOR)
    folder = config_folder(package)
    if folder is None:
        plugin = plugins.how_to_install(package)
        raise ConfigError(f'_base_ names {name}, but no package {package} with configs is installed.',
                          f'It is the plugin {plugin}' if plugin else 'Install it, or correct the name.')
    names = [path.relative_to(folder).as_posix() for path in folder.rglob('*.py')]
    near = get_close_matches(inner, names, n=1, cutoff=0.6)
    guess = f'Did you mean {package}{SEPARATOR}{near[0]}? ' if near else ''
    raise ConfigError(f'_base_ names {name}, but {folder} has no {inner}.', f'{guess}{LISTING}')


def config_folder(package: str) -> Path | None:
    """Return the folder of the configs that ship with a package, or None."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):  # such as an empty name
        return None
    for place in (spec and spec.submodule_search_locations) or ():
        inside, beside = Path(place, 'configs'), Path(place).with_name('configs')
        if inside.is_dir():
            return inside
        if beside.is_dir() and beside.with_name('setup.cfg').is_file():  # in a copy of the repository only
            return beside
    return None


def similar_config(path: Path) -> str:
    """Suggest the plugin to install, or the nearest file or config that ships."""
    if plugin := plugins.how_to_install(f'vlfusion_{path.parts[0]}' if path.parts else ''):
        return f'It may come with the plugin {plugin}'
    folders = {path.parent, Path('configs')} - {Path('.')}
    files = {str(file) for folder in folders for file in folder.rglob('*.py')}
    files |= {file.name for file in Path().glob('*.py')}
    known = [*sorted(files), *shipped()]
    by_stem = {Path(name).stem: name for name in reversed(known)}
    near = get_close_matches(str(path), known, n=1, cutoff=0.8) or [
        by_stem[stem] for stem in get_close_matches(path.stem, by_stem, n=1, cutoff=0.7)]
    guess = f'Did you mean {near[0]}? ' if near else ''
    return f'{guess}{LISTING}'
