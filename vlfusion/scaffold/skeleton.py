"""A new plugin from the template: the files that `vlfusion new-plugin` writes."""

import keyword
import os
import re
from dataclasses import dataclass
from pathlib import Path

from vlfusion import plugins
from vlfusion.errors import ConfigError
from vlfusion.files import whole_folder

TEMPLATE = Path(__file__).parent / 'template'
#: Where each file of the template goes; `NAME` stands for the method, `PACKAGE` for its import package.
PLACES = {'README.md.in': 'README.md', 'setup.cfg.in': 'setup.cfg', 'pyproject.toml.in': 'pyproject.toml',
          'init.py.in': 'PACKAGE/__init__.py', 'config.py.in': 'configs/NAME_mif_sample.py',
          'test.py.in': 'tests/test_NAME.py'}


@dataclass(frozen=True)
class Skeleton:
    """Files that were written: the name of the method, and its files."""

    name: str
    files: list[Path]


def write_plugin(name: str, folder: str | os.PathLike) -> Skeleton:
    """Write the files of a new plugin.

    Args:
        name: of the method, such as `my_fusion`; the import package is `vlfusion_my_fusion`, the network `MyFusionNet`.
        folder: to make; it may exist if it is empty.

    Raises:
        ConfigError: the name is none that Python can import or pip install, or another plugin has it; the folder holds
            something.
        OSError: the folder cannot be written; nothing of it is there then.
    """
    folder, asked, name = Path(folder), name, name.removeprefix('vlfusion_')
    if not re.fullmatch('[a-z][a-z0-9]*(_[a-z0-9]+)*', name) or keyword.iskeyword(name):
        raise ConfigError(f'A plugin cannot be called {asked!r}.',
                          'Use small letters, digits and single underscores, a letter first, such as my_fusion.')
    if taken := [plugin for plugin in plugins.found() if plugin.package == f'vlfusion_{name}']:
        raise ConfigError(f'{taken[0].distribution} is installed and has the import package vlfusion_{name}.',
                          'Choose another name, or uninstall it first.')
    if folder.name == f'vlfusion_{name}':
        raise ConfigError(f'The folder {folder} would hide the package vlfusion_{name} in it from Python.',
                          f'Choose another --out, such as {folder.with_name(name)}.')
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f'{folder} is there already.', 'Choose another --out; nothing was written.')
    words = {'PACKAGE': f'vlfusion_{name}', 'DISTRIBUTION': f'vlfusion-{name.replace("_", "-")}', 'NAME': name,
             'CLASS': name.title().replace('_', '') + 'Net'}
    places = {source: _filled(place, words) for source, place in PLACES.items()}
    with whole_folder(folder) as made:
        for source, place in places.items():
            (made / place).parent.mkdir(parents=True, exist_ok=True)
            text = (TEMPLATE / source).read_text(encoding='utf-8')
            (made / place).write_text(_filled(text, words), encoding='utf-8')
    return Skeleton(name, [folder / place for place in places.values()])


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text
