"""The command line and the lines of Python that do what the page did."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from vlfusion.app.models import Settings

#: Name of the file with the features of edited words, beside the fused picture.
WORDS_FILE = 'words.npy'


def command(settings: Settings, sources: Sequence[str], out: str, options: Mapping[str, Any],
            edited: bool = False, modules: Sequence[str] = ()) -> str:
    """Return the `vlfusion fuse` that gives the same result.

    Args:
        settings: settings of the visitor.
        sources: names of source A and source B: files, folders or volumes.
        out: name of the result.
        options: options of the page's `Fuser`s.
        edited: whether the words were edited, so that their features come from `WORDS_FILE`.
        modules: modules that the page was opened with, `--import`.

    >>> print(command(Settings('film-mif', modality_b='PET'), ['mri.png', 'pet 1.png'], 'fused.png', {}))
    vlfusion fuse film-mif mri.png 'pet 1.png' -o fused.png --modality-b PET
    >>> print(command(Settings('x', instruction='-brighter'), ['-a.png', 'b.png'], 'fused.png', {}, modules=['mine']))
    vlfusion fuse x ./-a.png b.png -o fused.png --instruction=-brighter --import mine
    """
    words = ['vlfusion', 'fuse', settings.model, *map(_no_option, sources), '-o', out]
    given = _given(settings) | {name: value for name, value in options.items() if value}
    for name, value in given.items():
        option = '--trust-checkpoint' if name == 'trust' else f'--{name.replace("_", "-")}'
        if value is True:
            words.append(option)
        else:  # a value that begins with a dash would be taken for an option
            words += [f'{option}={value}'] if str(value).startswith('-') else [option, str(value)]
    words += ['--import', *modules] if modules else []
    return shlex.join([*words, *(['--text', WORDS_FILE] if edited else [])])


def python(settings: Settings, sources: Sequence[str], out: str, options: Mapping[str, Any],
           words: Sequence[str] = (), modules: Sequence[str] = ()) -> str:
    """Return the lines of Python that give the same result for a pair; `words` are the edited ones.

    >>> print(python(Settings('laplacian-ivf'), ['ir.png', 'vi.png'], 'fused.png', {}))
    import vlfusion
    <BLANKLINE>
    fuser = vlfusion.Fuser('laplacian-ivf')
    fused = fuser('ir.png', 'vi.png')
    fused.save('fused.png')
    """
    given = _given(settings) | {name: value for name, value in options.items() if value}
    instruction = given.pop('instruction', None)
    imports = [*(f'import {module}' for module in modules), 'import vlfusion']
    lines = [*imports, '', f'fuser = vlfusion.Fuser({_arguments([settings.model], given)})']
    call = {'instruction': instruction} if instruction else {}
    text = ''
    if words:
        lines += ['text = fuser.encode_words([', *(f'    {paragraph!r},' for paragraph in words), '])']
        text = ', text=text'
    lines += [f'fused = fuser({_arguments(sources, call)}{text})', f'fused.save({out!r})']
    return '\n'.join(lines)


def _given(settings: Settings) -> dict[str, str]:
    """Return the settings that differ from the defaults, by the names of the options."""
    fit = '' if settings.fit == 'refuse' else settings.fit
    given = {'modality_a': settings.modality_a, 'modality_b': settings.modality_b, 'fit': fit,
             'register': settings.register, 'instruction': settings.instruction}
    return {name: value for name, value in given.items() if value}


def _no_option(name: str) -> str:
    """Return the path of a file that no parser takes for an option."""
    return f'./{name}' if name.startswith('-') else name


def _arguments(values: Sequence[Any], named: Mapping[str, Any]) -> str:
    return ', '.join([*map(repr, values), *(f'{name}={value!r}' for name, value in named.items())])
