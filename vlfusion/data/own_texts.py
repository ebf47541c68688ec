"""Read texts in files, such as published ones, instead of the texts that a config reads."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from vlfusion.data.from_config import text_readers
from vlfusion.data.text import text_configs
from vlfusion.errors import ConfigError
from vlfusion.language.section import INSTRUCTION

#: Folder of a file `NAME.txt` for each pair, or a pattern such as `words/{name}_en.txt`; or several, which are joined.
Texts = str | os.PathLike | Sequence[str | os.PathLike]


def use_texts(config: Config, texts: Texts) -> Config:
    """Make every data set of a config read texts in files. The text encoder stays.

        config = vlfusion.use_folders(vlfusion.config_of('film-mif'), 'my/mri', 'my/pet')
        vlfusion.describe(vlfusion.use_texts(config, 'my/words'))

    Args:
        config: a config as `load_config` returns it; it is changed in place.
        texts: folder of a file `NAME.txt` for each pair, or a pattern such as `words/{name}_en.txt`. Several are joined
            in this order, by the config's own rule.

    Returns:
        The config.

    Raises:
        ConfigError: the config reads no text or several, has no `language` section, or a file is given instead of a
            folder.
    """
    readers = [part for part in text_readers(config) if part.get('text_source')]
    sources = [written_source(part['text_source'], texts) for part in readers]
    if not readers:
        raise ConfigError(f'{config.filename} reads no text.', 'Use a model that reads text.')
    if not config.get('language'):
        raise ConfigError(f'{config.filename} has no language section, so texts cannot be encoded.',
                          'Add --words measured, or another recipe of `vlfusion words`.')
    for part, source in zip(readers, sources, strict=True):
        part['text_source'] = source
    return config


def written_source(text_source: Mapping[str, Any], texts: Texts) -> dict[str, Any]:
    """Return a `text_source` with texts in files in place of its one text.

    >>> written_source(dict(stream='pair/paragraph'), ['/my/words', '/my/{name}_en.txt'])
    {'texts': ['/my/words/{name}.txt', '/my/{name}_en.txt']}

    Raises:
        ConfigError: there is no text, there are several, or a file is given instead of a folder.
    """
    entries = text_configs(text_source)
    instruction = {INSTRUCTION: entries.pop(INSTRUCTION)} if len(entries) > 1 and INSTRUCTION in entries else {}
    if len(entries) != 1:
        raise ConfigError(f'The config reads {", ".join(entries) or "no text"}, but the files hold one text of a pair.',
                          'Say in the config which files are which text, as in '
                          "text_source=dict(text_a=dict(texts='text/ir/{name}.txt'), ...).")
    [(keyword, entry)] = entries.items()
    places = [texts] if isinstance(texts, str | os.PathLike) else texts
    source = dict(texts=[_pattern(place) for place in places]) | ({'join': entry['join']} if 'join' in entry else {})
    return source if keyword == 'text' and not instruction else {keyword: source} | instruction


def by_folder(places: Sequence[str | os.PathLike]) -> dict[str, str | os.PathLike]:
    """Name texts after their folders.

    >>> by_folder(['words/ideal', 'words/common/{name}_en.txt'])
    {'ideal': 'words/ideal', 'common': 'words/common/{name}_en.txt'}

    Raises:
        ConfigError: two folders have one name.
    """
    named: dict[str, str | os.PathLike] = {}
    for place in places:
        pattern = Path(_pattern(place))
        if pattern.parent.name in named:
            raise ConfigError(f'Two folders of texts have the name {pattern.parent.name}: {named[pattern.parent.name]} '
                              f'and {place}.', 'Their names tell the texts apart: give the folders different names.')
        named[pattern.parent.name] = place
    return named


def _pattern(place: str | os.PathLike) -> str:
    """Return an absolute pattern, so that the dumped config of a run shows where its texts are."""
    path = Path(place).expanduser().absolute()
    if path.is_file():
        raise ConfigError(f'{place} is one file, but each pair needs its own text.',
                          'Give a folder of NAME.txt, or a pattern with {name}. For one text of all pairs, write '
                          "text_source=dict(fixed='...') in the config.")
    return path.as_posix() if '{name}' in path.as_posix() else f'{path.as_posix()}/{{name}}.txt'
