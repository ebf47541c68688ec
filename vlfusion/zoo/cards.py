"""Cards of named models: all facts about a model as Markdown, and the reference page of all models."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from vlfusion.errors import UnknownNameError
from vlfusion.files import size_in_words
from vlfusion.guards.cells import markdown_table
from vlfusion.imaging.tasks import TASKS
from vlfusion.zoo.entries import METHODS, Method, ModelEntry, Pinned, advice_on, find_models
from vlfusion.zoo.markdown import bibtex, bullets
from vlfusion.zoo.places import is_here, size

PAGE_TOP = """\
# Models

This page lists every model that has a name, and last the methods without one. A name works wherever a checkpoint does:
`vlfusion fuse ifcnn-mff near.png far.png -o fused.png`, `vlfusion.Fuser('ifcnn-mff')`.
[Use a model by name](../howto/models.md) says more. `vlfusion models --markdown` printed this page.
"""


def search(words: Iterable[str] = ()) -> dict[str, ModelEntry]:
    """Return the models whose facts contain all words, by name. The name of a task means the models for that task.

    Raises:
        UnknownNameError: no model does.
    """
    terms = [word.lower() for word in words]
    entries = {name: entry for name, entry in find_models().items()
               if all(term in entry.tasks if term in TASKS else term in f'{name} {card(entry)}'.lower()
                      for term in terms)}
    if terms and not entries:
        raise UnknownNameError(f'No model has {" and ".join(terms)} in its card.', advice_on(terms[0]))
    return entries


def row(name: str, entry: ModelEntry) -> dict[str, str]:
    """Return the main facts of a model as cells of a table, by column."""
    parameters = entry.method.parameters
    return {'name': name, 'method': entry.method.name, 'task': ' '.join(entry.tasks),
            'parameters': f'{parameters:,}' if parameters else 'none', 'text': entry.method.text or 'none',
            'weights': str(entry.source or 'none needed'), 'licence': entry.licence,
            'size': size_in_words(size(entry)) if entry.source else '', 'here': 'yes' if is_here(entry) else 'no'}


def facts(name: str, entry: ModelEntry) -> dict[str, Any]:
    """Return all facts about a model as plain data; `bytes` is the size of the weights, None if it is not known."""
    return {'name': name, 'package': entry.package, 'method': method_facts(entry.method), 'tasks': list(entry.tasks),
            'weights': str(entry.source) if entry.source else None, 'bytes': size(entry) if entry.source else 0,
            'here': is_here(entry), **{key: getattr(entry, key) for key in (
                'licence', 'protocol', 'chroma', 'words', 'config', 'trained', 'verified', 'numbers', 'notes')}}


def method_facts(method: Method) -> dict[str, Any]:
    """Return all facts about a method as plain data."""
    return asdict(method)


def card(entry: ModelEntry) -> str:
    """Return all facts about a model as Markdown."""
    return '\n'.join([f'# {entry.name}', '', *_about_model(entry), *_about_method(entry.method)])


def method_card(method: Method) -> str:
    """Return all facts about a method without a model as Markdown."""
    plugin = method.backbone.partition('.')[0]
    weights = f'none by a name; the README of the plugin {plugin} says where the authors keep theirs'
    return '\n'.join([f'# {method.name}', '', *bullets({'weights': weights}), *_about_method(method)])


def reference_page() -> str:
    """Return the reference page of all models in Markdown."""
    entries = find_models()
    columns = ('name', 'method', 'task', 'parameters', 'text', 'weights', 'licence', 'size')
    rows = ({**row(name, entry), 'name': f'[{name}](#{name.replace(".", "")})'} for name, entry in entries.items())
    table = markdown_table(columns, ([cells[column] for column in columns] for cells in rows), left=len(columns))
    lines = [PAGE_TOP, table.rstrip()]
    for package, method in dict.fromkeys((entry.package, entry.method) for entry in entries.values()):
        lines += ['', f'## {method.name}, in {package}', '', *_about_method(method)]
        for name, entry in entries.items():
            if (entry.package, entry.method) == (package, method):
                lines += ['', f'### {name}', '', *_about_model(entry)]
    if methods := METHODS.entries():
        lines += ['', '## Methods without weights', '', 'No weights can be fetched by a name.']
        for method in methods:
            lines += ['', f'### {method.name}', '', *_about_method(method)]
    return '\n'.join([*lines, ''])


def _about_model(entry: ModelEntry) -> list[str]:
    """Return what a model has of its own, as lines of Markdown."""
    return bullets({'task': ', '.join(f'`{task}` ({TASKS[task].title})' for task in entry.tasks),
                    'weights': _weights(entry), 'licence of the weights': entry.licence,
                    'grey levels': f'protocol `{entry.protocol}`',
                    'arguments': ', '.join(f'`{key}={value!r}`' for key, value in entry.arguments.items()),
                    'words': entry.words and f'recipe `{entry.words}`', 'trained on': entry.trained,
                    'verified': entry.verified, 'numbers': entry.numbers, 'notes': entry.notes,
                    'training': entry.config and f'`vlfusion train {entry.config}`'})


def _about_method(method: Method) -> list[str]:
    """Return what the models of a method share, as lines of Markdown."""
    facts = bullets({'network': f'`{method.backbone}`, {method.parameters:,} parameters',
                     'text': method.text or 'reads none', 'paper': method.paper, "authors' code": method.code})
    return [*facts, *bibtex(method.citation)]


def _weights(entry: ModelEntry) -> str:
    if isinstance(entry.source, Pinned):
        first = entry.source.files[0]
        files = ', '.join(f'`{file.path}` (git blob `{file.blob[:12]}`)' for file in entry.source.files)
        place = f'https://github.com/{first.repo} at commit `{first.commit[:12]}`'
        return f'{place}: {files}, {size_in_words(size(entry))}'
    return str(entry.source or 'none needed')
