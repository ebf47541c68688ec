"""Links from pages to files outside docs/, which the site does not have, become links to the repository."""

import re
from pathlib import Path

LINK = re.compile(r'(?<!!)\[([^\]]*)\]\(((?:\.\./)+[^)#\s]*)(#[^)\s]+)?\)')


def to_repository(text: str, folder: Path, docs: Path, url: str) -> str:
    """Replace relative links that leave `docs` by links to the repository, or by their words if it has no address.

    Args:
        text: a page in Markdown.
        folder: folder of the page.
        docs: folder of the documentation.
        url: address of the repository on its forge, or empty.
    """
    root = docs.parent.resolve()

    def replace(match: re.Match) -> str:
        words, target, anchor = match.groups()
        path = (folder / target).resolve()
        if path.is_relative_to(docs.resolve()) or not path.exists():
            return match[0]
        kind = 'tree' if path.is_dir() else 'blob'
        return f'[{words}]({url}/{kind}/main/{path.relative_to(root).as_posix()}{anchor or ""})' if url else words

    return LINK.sub(replace, text)


def rewrite(app, docname: str, source: list[str]) -> None:
    """Rewrite the links of a page before it is parsed."""
    docs = Path(app.srcdir)
    source[0] = to_repository(source[0], (docs / docname).parent, docs, app.config.repository_url)


def setup(app) -> dict:
    """Connect the extension to Sphinx."""
    app.add_config_value('repository_url', '', 'env', str)
    app.connect('source-read', rewrite)
    return {'parallel_read_safe': True}
