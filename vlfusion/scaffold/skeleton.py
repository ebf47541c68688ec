"""A new plugin from the template: the files that `vlfusion new-plugin` writes."""

import keyword
import os
import re
from dataclasses import dataclass
from pathlib import Path

from vlfusion import plugins
from vlfusion.errors import ConfigError, did_you_mean
from vlfusion.files import whole_folder

#: A folder for each kind, laid out as the plugin will be, and `any` for the files that kinds share. In names and texts
#: `NAME` stands for the plugin's name, `PACKAGE` for its import package, `CLASS` for what it registers.
TEMPLATE = Path(__file__).parent / 'template'
#: Kinds of plugins, with the ending of the name that each registers.
KINDS = {'method': 'Net', 'captioner': 'Captioner', 'llm': 'LLM', 'encoder': 'Encoder', 'metric': 'Metric',
         'loss': 'Loss'}


@dataclass(frozen=True)
class Skeleton:
    """Files that were written: the name of the method, and its files."""

    name: str
    files: list[Path]


def write_plugin(name: str, folder: str | os.PathLike, kind: str = 'method') -> Skeleton:
    """Write the files of a new plugin.

    Args:
        name: of the plugin, such as `my_fusion`; the import package is `vlfusion_my_fusion`, the network `MyFusionNet`.
        folder: to make; it may exist if it is empty.
        kind: of what it brings: one of `KINDS`.

    Raises:
        ConfigError: there is no such kind; the name is none that Python can import or pip install, or another plugin
            has it; the folder holds something.
        OSError: the folder cannot be written; nothing of it is there then.
    """
    if kind not in KINDS:
        raise ConfigError(f'There is no kind of plugin {kind!r}.', did_you_mean(kind, KINDS))
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
             'CLASS': _class_name(name, KINDS[kind]), 'KIND': kind}
    sources = {_filled(str(source.relative_to(root)).removesuffix('.in'), words): source
               for root in (TEMPLATE / 'any', TEMPLATE / kind) for source in sorted(root.rglob('*.in'))}
    with whole_folder(folder) as made:
        for place, source in sources.items():
            (made / place).parent.mkdir(parents=True, exist_ok=True)
            (made / place).write_text(_filled(source.read_text(encoding='utf-8'), words), encoding='utf-8')
    return Skeleton(name, [folder / place for place in sources])


def _class_name(name: str, ending: str) -> str:
    """`MyFusionNet` for `my_fusion`; an ending that the name has already is not said twice."""
    words = name.split('_')
    if len(words) > 1 and words[-1] == ending.lower():
        words.pop()
    return ''.join(word.title() for word in words) + ending


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text
