"""The order of pages: an index page's own links, first to last.

Index pages are read on the forge too, which would show a `toctree` as code. So each gets one from its links when the
site is built: docs/index.md from its links to the index pages of folders, and these from their links to pages beside
them.
"""

import re
from pathlib import Path

LINK = re.compile(r'\[([^\]]*)\]\(([\w./-]+)\.(?:md|ipynb)(?:#[\w-]*)?\)')


def pages_in_order(docname: str, text: str) -> dict[str, str]:
    """Pages that an index page puts below itself, each once, with the words of its last link.

    >>> pages_in_order('index', '[First steps](start/index.md), [how to](howto/index.md) [fuse](howto/fuse.md), '
    ...                '[Start](start/index.md)')
    {'start/index': 'Start', 'howto/index': 'how to'}
    >>> pages_in_order('howto/index', '[Fuse](fuse.md#large), [data](data.md), [fuse](fuse.md), [up](../index.md)')
    {'fuse': 'fuse', 'data': 'data'}
    """
    below = r'\w+/index' if docname == 'index' else r'(?!index$)\w+'
    return {page: words for words, page in LINK.findall(text) if re.fullmatch(below, page)}


def add_toctree(app, docname: str, source: list[str]) -> None:
    """Append a hidden table of contents to an index page. Sections have short names, other pages their own titles."""
    if Path(docname).name != 'index' or docname.startswith('reference/api'):
        return
    pages = pages_in_order(docname, source[0])
    lines = [f'{words} <{page}>' for page, words in pages.items()] if docname == 'index' else list(pages)
    lines += ['api/index'] * (docname == 'reference/index')
    source[0] += '\n\n```{toctree}\n:hidden:\n' + '\n'.join(lines) + '\n```\n'


def setup(app) -> dict:
    """Connect the extension to Sphinx."""
    app.connect('source-read', add_toctree)
    return {'parallel_read_safe': True}
