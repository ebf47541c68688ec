"""Cards of data sets: one in a terminal, and the page of the documentation with all of them."""

import logging
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from vlfusion.config import Config
from vlfusion.config_names import shipped
from vlfusion.console.notes import LOG
from vlfusion.files import size_in_words
from vlfusion.guards.cells import markdown_table
from vlfusion.imaging.tasks import TASKS
from vlfusion.zoo.markdown import bibtex, bullets
from vlfusion.zoo.sets import ROOT, DataSet, find_sets

#: Keys of a data set in a config that name a folder of images.
IMAGES = ('source_a', 'images')
PAGE_TOP = f"""\
# Data sets

This page lists the public data sets that have a name. `vlfusion data get NAME --root {ROOT}` fetches a set that public
git repositories hold: each file is pinned to a commit, and verified by its git blob id. Other sets lie on drives. For
every set, `vlfusion data check NAME --root {ROOT}` tells what is missing, misnamed, wrong, unpaired or extra. Folders
are those that the configs expect. [Lay out data](../howto/data.md) says more.

No image is part of vlfusion. The licence is that of the repository or page; "none stated" means that there is none.
`vlfusion data --markdown` printed this page.
"""


def facts(name: str, entry: DataSet, root: str | os.PathLike = ROOT) -> dict[str, Any]:
    """Return all facts about a data set as plain data; `here` counts its files under `root`.

    `bytes` and `files` are 0 for a set that cannot be fetched, and a number of pairs is 0 if it is not known.
    """
    return {'name': name, 'package': entry.package, 'tasks': list(entry.tasks), 'title': entry.title,
            'pairs': entry.counts, 'files': len(entry.files), 'bytes': entry.bytes, 'here': count_here(entry, root),
            'folders': entry.folders, 'from': entry.address, 'read_by': configs_that_read(entry),
            **{key: getattr(entry, key) for key in ('size', 'licence', 'paper', 'citation', 'steps', 'notes')}}


def card(entry: DataSet) -> str:
    """Return all facts about a data set as Markdown."""
    places = [f'[{repo}](https://github.com/{repo}/tree/{commit}) at commit {commit[:10]}: {len(entry.files)} files, '
              f'{size_in_words(entry.bytes)}' for repo, commit in entry.repositories]
    facts = {'tasks': ', '.join(f'`{task}` ({TASKS[task].title})' for task in entry.tasks),
             'pairs': pairs_in_words(entry), 'width and height': entry.size, 'licence': entry.licence,
             'paper': entry.paper, 'from': ', '.join(places) or f'<{entry.source}>',
             'get it': f'`vlfusion data get {entry.name} --root {ROOT}`' if entry.manifest else entry.steps,
             'read by': ', '.join(f'`{name}`' for name in configs_that_read(entry)) or 'no config that ships',
             'notes': entry.notes}
    return '\n'.join([f'# {entry.name}', '', f'{entry.title}.', '', *bullets(facts), '', 'Folders under the data root:',
                      '', '```text', *layout(entry), '```', *bibtex(entry.citation)])


def reference_page() -> str:
    """Return the page `docs/reference/datasets.md`: all data sets of vlfusion and its plugins."""
    columns = ('set', 'tasks', 'pairs', 'get', 'licence')
    rows = ((f'[{name}](#{name.lower()})', ', '.join(entry.tasks), pairs_in_words(entry), how_large(entry),
             entry.licence) for name, entry in find_sets().items())
    table = markdown_table(columns, rows, left=len(columns))
    cards = [card(entry).replace('# ', '## ', 1) for entry in find_sets().values()]
    return '\n'.join([PAGE_TOP, table, '\n\n'.join(cards), ''])


def how_large(entry: DataSet) -> str:
    """Return the size of a set that can be fetched, else `by hand`."""
    return size_in_words(entry.bytes) if entry.files else 'by hand'


def pairs_in_words(entry: DataSet) -> str:
    """Return the number of pairs of each split, such as `171 train, 50 test`."""
    return ', '.join(f'{count or "?"} {split}' for split, count in entry.counts.items())


def count_here(entry: DataSet, root: str | os.PathLike) -> int:
    """Return how many files of a set are there, by name."""
    return sum(Path(root, place).is_file() for place in entry.files)


def layout(entry: DataSet) -> list[str]:
    """Return a table of the set's folders as lines of text, in columns."""
    rows = [('split', 'folder', 'source A', 'source B', 'pairs', 'truth, texts, names')]
    rows += [(pairs.split, pairs.folder, pairs.source_a, pairs.source_b or '-', str(pairs.count or '?'),
              ', '.join(filter(None, (pairs.truth, *pairs.texts, pairs.names)))) for pairs in entry.pairs]
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    return ['  '.join(map(str.ljust, row, widths)).rstrip() for row in zip(*columns, strict=True)]


def configs_that_read(entry: DataSet) -> list[str]:
    """Return the names of the configs and benchmarks that ship and read the set from its place under `data`."""
    places = {f'{ROOT}/{pairs.folder}/{pairs.source_a}' for pairs in entry.pairs}
    return [name for name, folders in _folders_of_configs().items() if places & folders]


@cache
def _folders_of_configs() -> dict[str, set[str]]:
    """Return the folders of source A that each config reads, from `data` on; a benchmark reads those of its configs."""
    loaded = {}
    for name, path in shipped().items():
        try:
            loaded[name] = Config.fromfile(path, lazy_import=False, import_custom_modules=False).to_dict()
        except Exception as error:  # another package's config may fail in any way
            LOG.log(logging.DEBUG, '%s cannot be read: %s', path, error)
    folders = {name: set(_folders(config, config.get('data_root'))) for name, config in loaded.items()}
    for name, config in loaded.items():
        for part in config.get('datasets', {}).values() if isinstance(config.get('datasets'), Mapping) else ():
            if isinstance(part, Mapping):
                folders[name] |= folders.get(str(part.get('config')).removesuffix('.py'), set())
    return {name: found for name, found in folders.items() if found}


def _folders(value: Any, root: Any) -> Iterator[str]:
    """Yield the folders of images in a config, at any depth."""
    if isinstance(value, Mapping):
        root = value.get('data_root') or root
        yield from (PurePosixPath(str(root or '.'), value[key]).as_posix() for key in IMAGES
                    if isinstance(value.get(key), str))
    for item in value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        yield from _folders(item, root)
