"""All names that a config or a command line can use, by kind, with a line about each."""

import ast
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from vlfusion import plugins
from vlfusion.config_names import shipped
from vlfusion.errors import UnknownNameError, did_you_mean
from vlfusion.imaging.tasks import TASKS
from vlfusion.registry import REGISTRIES, Registry, snapshot
from vlfusion.zoo.entries import find_models
from vlfusion.zoo.places import is_here


class Entry(NamedTuple):
    """One line: a name, its description, and its package if that is not vlfusion."""

    name: str
    words: str
    package: str = ''


def find_entries(words: Sequence[str] = (), foreign: bool = False) -> dict[str, list[Entry]]:
    """Find entries by kind.

    Args:
        words: a kind in singular or plural, such as `backbones` or `text encoders`, then words that an entry must have
            in its name or description. Without a kind, all kinds are searched. Empty for all registered names and the
            plugins.
        foreign: True to include the entries of MMEngine and mmcv.

    Raises:
        UnknownNameError: no entry matches.

    >>> [entry.name for entry in find_entries(['tasks', 'medical'])['task']]
    ['mif']
    """
    kinds = {name: partial(_registered, registry, foreign) for name, registry in REGISTRIES.items()} | OTHERS
    chosen, terms = _choose(words, kinds)
    groups = {}
    for kind in chosen or (kinds if terms else [*REGISTRIES, 'plugin']):
        entries = [entry for entry in kinds[kind]()
                   if all(term in f'{entry.name} {entry.words}'.lower() for term in terms)]
        if entries:
            groups[kind] = entries
    if not groups and words:
        raise UnknownNameError(
            f'There is no kind {words[0]!r}, and no entry with it in its name or description.' if not chosen else
            f'No {chosen[0]} has {" and ".join(terms)} in its name or description.',
            did_you_mean(' '.join(words), kinds) if not chosen else f'`vlfusion list {words[0]}` shows all.')
    return groups


def _choose(words: Sequence[str], kinds: dict) -> tuple[list[str], list[str]]:
    """Return the kinds named by the first one or two words, in singular or plural, and the remaining words."""
    for count in (2, 1):
        name = _singular(' '.join(words[:count]))
        chosen = [kind for kind in kinds if name and f' {_singular(kind)}'.endswith(f' {name}')]
        if chosen and len(words) >= count:
            return chosen, [word.lower() for word in words[count:]]
    return [], [word.lower() for word in words]


def _singular(kind: str) -> str:
    kind = kind.lower().replace('-', ' ').replace('_', ' ').strip()
    return kind[:-2] if kind.endswith('sses') else kind[:-1] if kind.endswith('s') and not kind.endswith('ss') else kind


def _registered(registry: Registry, foreign: bool) -> Iterator[Entry]:
    plugins.load_all(snapshot)
    entries = {key: registry.get(key) for key in registry.names()}
    if foreign and registry.parent is not None:
        entries |= registry.parent.module_dict
    for key, entry in sorted(entries.items()):
        package = plugins.distribution_of(entry)
        yield Entry(key, _words(entry), '' if package.startswith('vlfusion ') else package)


def _words(entry: Callable) -> str:
    """Describe a registered class or function by a metric's title, or by the first sentence of its docstring.

    A sentence such as `The network of FILM.` says no more than the name. Then the module's first sentence, which names
    the paper, is used instead.
    """
    if hasattr(entry, 'info'):
        return entry.info.title
    sentence = first_sentence(entry.__doc__)
    module = first_sentence(sys.modules[entry.__module__].__doc__)
    return module if module and sentence.startswith('The ') and len(sentence) < 40 else sentence


def first_sentence(text: str | None) -> str:
    """Return the first sentence of a docstring.

    >>> first_sentence('A loss (Xiao et al., Inf. Fusion 2024). Slow.')
    'A loss (Xiao et al., Inf. Fusion 2024).'
    """
    paragraph = ' '.join((text or '').strip().partition('\n\n')[0].split())
    ends = [end.start() + 1 for end in re.finditer(r'[.!?] (?=[A-Z`])', paragraph)]
    whole = (paragraph[:end] for end in ends if paragraph[:end].count('(') == paragraph[:end].count(')'))
    return next(whole, paragraph)


def _configs() -> Iterator[Entry]:
    """Yield the configs that ship, by name, and other configs below the current folder."""
    configs = shipped()
    known = {path.resolve() for path in configs.values()}
    local = [path for pattern in ('configs/**/*.py', '*/configs/**/*.py') for path in Path().glob(pattern)
             if '.' not in {part[0] for part in path.parts} and path.resolve() not in known]
    shipping = sorted(configs.items(), key=lambda item: '_base_/' in item[0])  # parts of configs come last
    for name, path in [*shipping, *((path.as_posix(), path) for path in sorted(local))]:
        try:
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8')))
        except (OSError, SyntaxError, ValueError):
            docstring = 'It cannot be read.'
        yield Entry(name, first_sentence(docstring))


def _models() -> Iterator[Entry]:
    for name, model in find_models().items():
        here = 'here' if is_here(model) else f'from {model.source}'
        yield Entry(name, f'{model.method.name}, {" ".join(model.tasks)}; {here}',
                    '' if model.package == 'vlfusion' else model.package)


def _protocols() -> Iterator[Entry]:
    # Imported here because they need torch, which a list of configs does not.
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


def _recipes() -> Iterator[Entry]:
    from vlfusion.language.recipes import find_recipes
    for recipe in find_recipes().values():
        yield Entry(recipe.name, recipe.title, '' if recipe.package == 'vlfusion' else recipe.package)


def _tasks() -> Iterator[Entry]:
    for task in TASKS.values():
        yield Entry(task.name, f'{task.title}: source A {task.modality_a}, source B {task.modality_b}')


def _plugins() -> Iterator[Entry]:
    plugins.load_all(snapshot)
    for plugin in plugins.found():
        words = f'{plugin.status} ({plugin.distribution}, {plugin.entry.value}) {plugin.explain()}'
        yield Entry(plugin.entry.name, words.strip())


#: Kinds without a registry.
OTHERS: dict[str, Callable[[], Iterator[Entry]]] = {
    'named model': _models, 'config': _configs, 'protocol': _protocols, 'prompt': _prompts, 'recipe': _recipes,
    'task': _tasks, 'plugin': _plugins}
