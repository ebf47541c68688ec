"""List what a config or a command line can name, with a line on what each is.

    vlfusion list                    # all that is registered, by kind, and the plugins
    vlfusion list backbones          # one kind: captioners, llms, text encoders, losses, metrics, datasets ...
    vlfusion list configs mif        # those that have a word in their name or description
    vlfusion list prompts            # likewise protocols, tasks, plugins
    vlfusion list ssim               # a word, among all kinds
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from vlfusion.errors import UnknownNameError, did_you_mean


class Entry(NamedTuple):
    """One line: a name, what it is, and the package it came from if that is not vlfusion."""

    name: str
    words: str
    package: str = ''


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_imports
    parser.add_argument('words', nargs='*', metavar='KIND | WORD',
                        help='a kind, such as backbones, configs or prompts; then words that an entry must have')
    parser.add_argument('--all', action='store_true', help="also MMEngine's and mmcv's own entries")
    add_imports(parser, 'more')


def run(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from vlfusion.cli.options import import_modules
    from vlfusion.guards.cells import terminal_cell

    import_modules(args.modules)
    kinds = _kinds(args.all)
    chosen, words = _chosen(args.words, kinds)
    registered = [kind for kind in kinds if kind not in OTHERS]
    groups = {}
    for kind in chosen or (kinds if words else [*registered, 'plugin']):
        entries = [entry for entry in kinds[kind]() if all(word in f'{entry.name} {entry.words}'.lower()
                                                           for word in words)]
        if entries:
            groups[kind] = entries
    if not groups and args.words:
        raise UnknownNameError(
            f'There is no kind {args.words[0]!r}, and nothing with that in its name or description.' if not chosen else
            f'No {chosen[0]} has {" and ".join(words)} in its name or description.',
            did_you_mean(' '.join(args.words), kinds) if not chosen else f'`vlfusion list {args.words[0]}` shows all.')
    console = Console()
    if not console.is_terminal:
        console.width = 400  # a file has no width; one line each
    for kind, entries in groups.items():
        console.print(f'[bold]{kind}[/bold] ({len(entries)})', highlight=False)
        table = Table(box=None, show_header=False, padding=(0, 0, 0, 2))
        table.add_column(no_wrap=True)
        for entry in entries:
            package = [terminal_cell(entry.package)] if console.width >= 120 else []
            table.add_row(*map(terminal_cell, entry[:2]), *package)
        console.print(table)
    if 'plugin' not in groups:
        _print_failed(console)
    if not args.words:
        others = ', '.join(f'{kind}s' for kind in OTHERS if kind != 'plugin')
        console.print(f'vlfusion list KIND shows one kind, also {others}; vlfusion list WORD what has the word.',
                      highlight=False)
    return 0


def _chosen(words: Sequence[str], kinds: dict) -> tuple[list[str], list[str]]:
    """The kinds that the first word or two name, in singular or plural, and the words that are left."""
    for count in (2, 1):
        asked = _singular(' '.join(words[:count]))
        found = [kind for kind in kinds if asked and f' {_singular(kind)}'.endswith(f' {asked}')]
        if found and len(words) >= count:
            return found, [word.lower() for word in words[count:]]
    return [], [word.lower() for word in words]


def _singular(kind: str) -> str:
    kind = kind.lower().replace('-', ' ').replace('_', ' ').strip()
    return kind[:-2] if kind.endswith('sses') else kind[:-1] if kind.endswith('s') and not kind.endswith('ss') else kind


def _kinds(foreign: bool) -> dict[str, Callable[[], Iterator[Entry]]]:
    """All kinds, each with what gives its entries."""
    from functools import partial

    from vlfusion.registry import REGISTRIES
    return {name: partial(_registered, registry, foreign) for name, registry in REGISTRIES.items()} | OTHERS


def _registered(registry, foreign: bool) -> Iterator[Entry]:
    from vlfusion import plugins
    from vlfusion.registry import snapshot
    plugins.load_all(snapshot)
    entries = {key: registry.get(key) for key in registry.names()}
    if foreign and registry.parent is not None:
        entries |= registry.parent.module_dict
    for key, entry in sorted(entries.items()):
        package = plugins.distribution_of(entry)
        yield Entry(key, _words(entry), '' if package.startswith('vlfusion ') else package)


def _words(entry: Callable) -> str:
    """Description of a registered class or function: a metric's title, else its docstring's first sentence.

    `The network of FILM.` says no more than the name; there the module names the paper.
    """
    if hasattr(entry, 'info'):
        return entry.info.title
    sentence = first_sentence(entry.__doc__)
    module = first_sentence(sys.modules[entry.__module__].__doc__)
    return module if module and sentence.startswith('The ') and len(sentence) < 40 else sentence


def first_sentence(text: str | None) -> str:
    """The first sentence of a docstring.

    >>> first_sentence('A loss (Xiao et al., Inf. Fusion 2024). Slow.')
    'A loss (Xiao et al., Inf. Fusion 2024).'
    """
    import re
    paragraph = ' '.join((text or '').strip().partition('\n\n')[0].split())
    ends = [found.start() + 1 for found in re.finditer(r'[.!?] (?=[A-Z`])', paragraph)]
    whole = (paragraph[:end] for end in ends if paragraph[:end].count('(') == paragraph[:end].count(')'))
    return next(whole, paragraph)


def _configs() -> Iterator[Entry]:
    """Configs that ship, by name, and other configs below the current folder."""
    import ast
    from pathlib import Path

    from vlfusion.config_names import shipped
    configs = shipped()
    known = {path.resolve() for path in configs.values()}
    local = [path for pattern in ('configs/**/*.py', '*/configs/**/*.py') for path in Path().glob(pattern)
             if '.' not in {part[0] for part in path.parts} and path.resolve() not in known]
    named = sorted(configs.items(), key=lambda item: '_base_/' in item[0])  # parts of configs come last
    for name, path in [*named, *((path.as_posix(), path) for path in sorted(local))]:
        try:
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8')))
        except (OSError, SyntaxError, ValueError):
            docstring = 'It cannot be read.'
        yield Entry(name, first_sentence(docstring))


def _protocols() -> Iterator[Entry]:
    from vlfusion.imaging.protocol import PROTOCOLS
    from vlfusion.metrics.base import CODES
    for protocol in PROTOCOLS.values():
        metrics = f'metrics as {CODES[protocol.code].partition(",")[0]} computes them' if protocol.code else \
            'the default of every metric'
        yield Entry(protocol.name, f'outputs: stretch {protocol.stretch}, rounding {protocol.rounding}; '
                                   f'scores {protocol.colour}; {metrics}')


def _prompts() -> Iterator[Entry]:
    from vlfusion.language.prompt import published
    for prompt in published():
        answer = f'JSON of {", ".join(prompt.schema["properties"])}' if prompt.schema else 'prose'
        yield Entry(prompt.id, f'about {"both images of a pair" if prompt.of_pair else "one image"}; asks for {answer}')


def _tasks() -> Iterator[Entry]:
    from vlfusion.imaging.tasks import TASKS
    for task in TASKS.values():
        yield Entry(task.name, f'{task.title}: source A {task.modality_a}, source B {task.modality_b}')


def _plugins() -> Iterator[Entry]:
    from vlfusion import plugins
    from vlfusion.registry import snapshot
    plugins.load_all(snapshot)
    for plugin in plugins.found():
        words = f'{plugin.status} ({plugin.distribution}, {plugin.entry.value}) {plugin.explain()}'
        yield Entry(plugin.entry.name, words.strip())


#: What is not in a registry, by kind.
OTHERS = {'config': _configs, 'protocol': _protocols, 'prompt': _prompts, 'task': _tasks, 'plugin': _plugins}


def _print_failed(console) -> None:
    """Plugins that would have brought more."""
    from vlfusion import plugins
    for plugin in plugins.found():
        if plugin.explain():
            console.print(f'plugin {plugin.entry.name}: {plugin.status} ({plugin.distribution}, {plugin.entry.value})',
                          plugin.explain(), highlight=False, markup=False)
