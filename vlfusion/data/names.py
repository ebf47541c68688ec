"""Names of pairs, and keywords of their texts and maps: which are valid, and which are equal.

Results are saved under these names, so a name must not lead out of its folder. Systems store `é` as one character
(composed, as most do) or as two (decomposed, as macOS did). Both look alike and name the same pair.
"""

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path, PureWindowsPath
from typing import Any

from vlfusion.errors import ConfigError, DataError, listing, short_repr
from vlfusion.files import windows_fault

#: Longest part of a name in bytes of UTF-8. With a suffix such as `.png` it must fit into the 255 of a file name.
LONGEST_PART = 251
#: Longest name in bytes, which leaves room for the folders before it.
LONGEST_NAME = 1024
#: Other keys of samples, which cannot be keywords of texts or maps.
RESERVED = ('source_a', 'source_b', 'truth', 'fused', 'name', 'path_a', 'path_b', 'mode', 'words',
            'target_a', 'target_b', 'degradation')


#: Last part of the name of a slice of a volume, behind the name of its case.
SLICE = 'slice_{:04d}'
_SLICE = re.compile(r'(?P<case>.+)/slice_\d{4,}')


def case_of(name: str) -> str:
    """Return the case that an image belongs to: that of a slice of a volume; for others, the name itself.

    Slices of one case are not independent, so statistics count cases. The name alone tells: pictures of your own that
    are called `slice_0012`, in one folder or subset, count as slices of one case too.

    >>> case_of('sub-03/slice_0012'), case_of('PET-MRI/12')
    ('sub-03', 'PET-MRI/12')
    """
    match = _SLICE.fullmatch(name)
    return match['case'] if match else name


def composed(name: str) -> str:
    """Return a name in its composed form, by which names are compared."""
    return unicodedata.normalize('NFC', name)


def spellings(name: str) -> list[str]:
    """Return a name as it is, then composed, then decomposed, each once."""
    return list(dict.fromkeys([name, composed(name), unicodedata.normalize('NFD', name)]))


def spelled(place: Callable[[str], Path], name: str) -> Path:
    """Return the existing file of a name in any spelling; if there is none, that of the name as it is.

    Args:
        place: returns the file of a spelling.
        name: name of a pair.
    """
    places = list(map(place, spellings(name)))
    return next((path for path in places if path.exists()), places[0]) if len(places) > 1 else places[0]


def name_problem(name: Any) -> str:
    r"""Say why a name is not valid on all systems; empty if it is. A slash separates folders.

    >>> name_problem('PET-MRI/12'), name_problem('../12'), name_problem(r'C:\12')
    ('', "has a part '..'", 'holds a backslash')
    """
    if not isinstance(name, str):
        return f'is a {type(name).__name__}, not a string'
    if not name:
        return 'is empty'
    if any(unicodedata.category(character) in ('Cc', 'Cs') for character in name):
        return 'holds a control character or is not Unicode'
    if '\\' in name:
        return 'holds a backslash'
    if name.startswith('/') or PureWindowsPath(name).drive:
        return 'is an absolute path'
    if unsafe := [part for part in name.split('/') if part in ('', '.', '..')]:
        return f'has a part {unsafe[0]!r}'
    if len(name.encode()) > LONGEST_NAME or max(len(part.encode()) for part in name.split('/')) > LONGEST_PART:
        return f'is too long: {len(name.encode())} bytes'
    return ''


def require_names(names: Iterable[Any], origin: str | os.PathLike, remedy: str) -> None:
    """Refuse names that are not valid or occur twice.

    Args:
        names: names of pairs or of subsets.
        origin: file or key that the names come from.
        remedy: advice to the user.

    Raises:
        DataError: lists every refused name.
    """
    problems, seen = [], set()
    for name in names:
        if problem := name_problem(name):
            problems.append(f'{short_repr(name)} {problem}')
        elif name in seen:
            problems.append(f'{short_repr(name)} occurs twice')
        else:
            seen.add(name)
    if problems:
        raise DataError(f'{origin} holds invalid names of pairs:\n{listing(problems)}', remedy)


def file_names(names: Sequence[str]) -> dict[str, str]:
    """File names that every file system supports, by name; they differ even if letter case is ignored.

    >>> file_names(['Ours (v2): MI:tang', 'Mean', 'Mean*', 'mean', '..'])
    {'Ours (v2): MI:tang': 'Ours_v2_MI_tang', 'Mean': 'Mean', 'Mean*': 'Mean_2', 'mean': 'mean_3', '..': 'unnamed'}
    """
    taken, files = set(), {}
    for name in names:
        plain = re.sub(r'[^\w.+-]+', '_', name).strip('_.') or 'unnamed'
        if windows_fault(plain):
            plain = f'_{plain}'
        chosen = next(choice for number in count(1) if (choice := plain if number == 1 else f'{plain}_{number}')
                      .casefold() not in taken)
        taken.add(chosen.casefold())
        files[name] = chosen
    return files


def is_keyword(name: Any) -> bool:
    """Tell whether a backbone or loss can name a text or map so as an argument.

    Other keys of samples are not free, and no name may end like the mask of a text.
    """
    return isinstance(name, str) and name.isidentifier() and name not in RESERVED and not name.endswith('_mask')


def require_keywords(keywords: Iterable[Any], kind: str, example: str) -> None:
    """Refuse names of texts or maps that are no keywords.

    Args:
        keywords: the names.
        kind: `text` or `map`, for the message.
        example: a correct entry of a config, for the message.

    Raises:
        ConfigError: a name is no keyword, see `is_keyword`.
    """
    for keyword in keywords:
        if not is_keyword(keyword):
            raise ConfigError(f'No {kind} can be called {keyword!r}.',
                              f'Use the keyword under which the backbone or loss names it, such as {example}.')


def inside(folder: str | os.PathLike, name: str, ending: str) -> Path:
    """Return the file in a folder that a result is saved to.

    Raises:
        DataError: the file would be outside of the folder.
    """
    root = os.path.abspath(folder)
    path = os.path.abspath(os.path.join(root, name + ending))
    if os.path.commonpath([root, path]) != root or path == root:
        raise DataError(f'The result of {short_repr(name)} would lie outside of {folder}.',
                        'Give the pair another name.')
    return Path(folder, name + ending)
