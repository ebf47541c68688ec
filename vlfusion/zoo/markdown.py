"""Markdown of cards: facts as bullets, and citations."""

from collections.abc import Mapping


def bullets(facts: Mapping[str, str]) -> list[str]:
    """Return facts as a list, a line each; facts that are empty are left out.

    >>> bullets({'licence': 'MIT', 'notes': ''})
    ['- **licence**: MIT']
    """
    return [f'- **{key}**: {" ".join(value.split())}' for key, value in facts.items() if value]


def bibtex(citation: str) -> list[str]:
    """Return a citation as the lines of a code block after an empty line; no lines without a citation."""
    return ['', '```bibtex', citation.strip(), '```'] if citation else []
