"""Write a new plugin from the templates, for `vlfusion new-plugin`."""

import keyword
import os
import re
from dataclasses import dataclass
from pathlib import Path

from vlfusion import plugins
from vlfusion.errors import ConfigError, did_you_mean
from vlfusion.files import whole_folder

#: One folder for each kind, laid out as the plugin will be, and `any` for shared files. In file names and texts, `NAME`
#: stands for the plugin's name, `DASHED` for the same with hyphens, `PACKAGE` for its import package, `CLASS` for the
#: name that it registers.
TEMPLATE = Path(__file__).parent / 'template'
#: Kinds of plugins, with the suffix of the registered name.
KINDS = {'method': 'Net', 'captioner': 'Captioner', 'llm': 'LLM', 'encoder': 'Encoder', 'metric': 'Metric',
         'loss': 'Loss'}


@dataclass(frozen=True)
class Skeleton:
    """A new plugin: its name and the files that were written."""

    name: str
    files: list[Path]


def write_plugin(name: str, folder: str | os.PathLike, kind: str = 'method') -> Skeleton:
    """Write the files of a new plugin.

    Args:
        name: name of the plugin, such as `my_fusion`. Its import package is then `vlfusion_my_fusion`, its network
            `MyFusionNet`.
        folder: folder to create; an empty folder may exist.
        kind: part that the plugin brings, one of `KINDS`.

    Raises:
        ConfigError: the kind is unknown; the name cannot be imported or installed, or another plugin has it; the folder
            is not empty.
        OSError: the folder cannot be written; then no part of it remains.
    """
    if kind not in KINDS:
        raise ConfigError(f'Unknown kind of plugin {kind!r}.', did_you_mean(kind, KINDS))
    folder, given_name, name = Path(folder), name, name.removeprefix('vlfusion_')
    if not re.fullmatch('[a-z][a-z0-9]*(_[a-z0-9]+)*', name) or keyword.iskeyword(name):
        raise ConfigError(f'A plugin cannot be called {given_name!r}.',
                          'Use small letters, digits and single underscores, a letter first, such as my_fusion.')
    if taken := [plugin for plugin in plugins.found() if plugin.package == f'vlfusion_{name}']:
        raise ConfigError(f'The import package vlfusion_{name} belongs to {taken[0].distribution}, which is installed.',
                          'Choose another name, or uninstall it first.')
    if folder.name == f'vlfusion_{name}':
        raise ConfigError(f'The folder {folder} would hide its own package vlfusion_{name} from Python.',
                          f'Choose another --out, such as {folder.with_name(name)}.')
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f'{folder} exists and is not empty. Nothing was written.', 'Choose another --out.')
    words = {'PACKAGE': f'vlfusion_{name}', 'DISTRIBUTION': f'vlfusion-{name.replace("_", "-")}', 'NAME': name,
             'DASHED': name.replace('_', '-'), 'CLASS': _class_name(name, KINDS[kind]), 'KIND': kind}
    sources = {_filled(str(source.relative_to(root)).removesuffix('.in'), words): source
               for root in (TEMPLATE / 'any', TEMPLATE / kind) for source in sorted(root.rglob('*.in'))}
    with whole_folder(folder) as made:
        for place, source in sources.items():
            (made / place).parent.mkdir(parents=True, exist_ok=True)
            (made / place).write_text(_filled(source.read_text(encoding='utf-8'), words), encoding='utf-8')
    return Skeleton(name, [folder / place for place in sources])


def _class_name(name: str, ending: str) -> str:
    """Name of the registered class: `MyFusionNet` for `my_fusion`, and also for `my_fusion_net`."""
    words = name.split('_')
    if len(words) > 1 and words[-1] == ending.lower():
        words.pop()
    return ''.join(word.title() for word in words) + ending


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text
