"""Files that fit a pattern such as `*/lwir/{name}.*`, and the names of their pairs."""

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from unicodedata import normalize

from vlfusion.data.names import composed
from vlfusion.errors import ConfigError
from vlfusion.imaging.images import SUFFIXES
from vlfusion.imaging.reading.file import identify_file
from vlfusion.imaging.reading.image import FLOAT_SUFFIXES
from vlfusion.imaging.reading.rule import GIVE_RANGE


@dataclass(frozen=True)
class FittingFile:
    """A file that fits a pattern.

    Attributes:
        stem: what stands for `{name}`.
        folders: what the stars among the pattern's folders stand for, `set00/V000`; empty where there are none.
        path: of the file.
    """

    stem: str
    folders: str
    path: Path

    def name(self, deep: bool) -> str:
        """The name of its pair."""
        return f'{self.folders}/{self.stem}' if deep and self.folders else self.stem


def list_files(root: Path, pattern: str, suffixes: tuple[str, ...]) -> list[FittingFile]:
    """The files that fit a pattern."""
    folder, head, tail = _split(pattern)
    place = os.path.join(glob.escape(str(root)), folder)
    found = []
    for path in sorted({Path(match) for match in glob.glob(place, recursive=True) if os.path.isdir(match)}):
        folders = '/'.join(_stands_for(Path(place).parts, path.parts) or ())
        for file in sorted(path.iterdir()):
            stem = _name(file.name, head, tail, suffixes)
            if stem and not file.name.startswith('.'):
                found.append(FittingFile(stem, folders, file))
    return found


def _stands_for(pattern: Sequence[str], path: Sequence[str]) -> list[str] | None:
    """The parts of a path that stars of a pattern stand for; None where the path does not fit.

    >>> _stands_for(['data', '**', 'lwir'], ['data', 'set00', 'V000', 'lwir'])
    ['set00', 'V000']
    """
    if not pattern:
        return None if path else []
    first, *rest = pattern
    if first == '**':
        tails = ((path[:count], _stands_for(rest, path[count:])) for count in range(len(path) + 1))
        return next(([*head, *tail] for head, tail in tails if tail is not None), None)
    if not (path and fnmatchcase(path[0], first)):
        return None
    tail = _stands_for(rest, path[1:])
    starred = any(sign in re.sub(r'\[[*?[]\]', '', first) for sign in '*?[')  # `[*]` is a star that stands for itself
    return tail if tail is None or not starred else [path[0], *tail]


def repeats_stems(files: Iterable[FittingFile]) -> bool:
    """Tell whether files of one stem lie in several folders."""
    places = Counter(stem for stem, _ in {(composed(file.stem), file.folders) for file in files})
    return any(count > 1 for count in places.values())


def by_name(files: Iterable[FittingFile], deep: bool, what: str) -> tuple[dict[str, Path], list[str]]:
    """The files of one source by name, composed, and the names that several files claim."""
    found: dict[str, list[Path]] = {}
    for file in files:
        found.setdefault(composed(file.name(deep)), []).append(file.path)
    return {name: paths[0] for name, paths in found.items()}, [
        f'{name!r} names several images of {what}: {", ".join(map(str, paths))}'
        for name, paths in found.items() if len(paths) > 1]


def nothing_fits(root: Path, pattern: str, what: str) -> str:
    """Message where no file fits: the pattern, what is there instead, and whether images may lie deeper."""
    folder, head, tail = _split(pattern)
    wanted = root / folder / f'{head}{{name}}{tail}'
    places = glob.glob(os.path.join(glob.escape(str(root)), folder), recursive=True)
    look = next((Path(place) for place in sorted(places) if os.path.isdir(place)), None)
    entries = sorted(look.iterdir()) if look else []
    hint = ''
    if entries and '**' not in folder and all(entry.is_dir() for entry in entries):
        hint = f'; write {folder}/** for images in its folders'
    elif floats := [entry.name for entry in entries if entry.suffix.lower() in FLOAT_SUFFIXES]:
        hint = f'; {floats[0]} holds floating-point numbers: {GIVE_RANGE}'
    return f'no image of {what} fits {wanted}; {contents_of(look or (root / folder.partition("*")[0]).parent)}{hint}'


def _split(pattern: str) -> tuple[str, str, str]:
    """The folder of a pattern, and what stands before and after `{name}` in its file name."""
    if '{name}' not in pattern and not _names_a_file(pattern):
        pattern = f'{pattern.rstrip("/")}/{{name}}.*'
    folder, _, file = pattern.rpartition('/')
    head, _, tail = file.partition('{name}')
    if '{name}' in folder or file.count('{name}') != 1 or any(sign in head + tail.removesuffix('.*') for sign in '*?['):
        raise ConfigError(f'The pattern {pattern!r} does not say where the name of a pair is.',
                          'Write {name} once, in the file name; of the file name only the ending may be a star, '
                          'as in MEFB/*/{name}_A.*')
    return folder, head, tail if '.' in tail else f'{tail}.*'


def _names_a_file(pattern: str) -> bool:
    """True if a pattern ends in the name of a file and not of a folder, as `all/*_T.JPG` does."""
    stem, suffix = os.path.splitext(pattern.rpartition('/')[2])
    return (suffix == '.*' or suffix.lower() in SUFFIXES) and any(sign in stem for sign in '*?{')


def _name(file: str, head: str, tail: str, suffixes: tuple[str, ...]) -> str:
    """The name of a pair in a file's name; empty where the file does not fit."""
    if tail.endswith('.*'):
        tail = tail.removesuffix('.*')
        file, suffix = os.path.splitext(file)
        if suffix.lower() not in suffixes:
            return ''
    for form in ('NFC', 'NFD'):
        begin, end = normalize(form, head), normalize(form, tail)
        if between(file, begin, end):
            return file[len(begin):len(file) - len(end)]
    return ''


def between(name: str, head: str, tail: str) -> bool:
    """Tell whether a name begins and ends so, with something between."""
    return len(name) > len(head) + len(tail) and name.startswith(head) and name.endswith(tail)


def stem_of(name: str) -> str:
    """A name without the ending of an image."""
    return os.path.splitext(name)[0] if name.lower().endswith(SUFFIXES) else name


def contents_of(folder: Path) -> str:
    """Contents of a folder, in a few words."""
    while not folder.is_dir():
        folder = folder.parent
    entries = sorted(folder.iterdir())
    names = [entry.name + '/' * entry.is_dir() for entry in entries]
    shown = ', '.join(names[:8]) + (f' and {len(names) - 8} more' if len(names) > 8 else '')
    file = next((entry for entry in entries if entry.is_file() and not entry.name.startswith('.')), None)
    known = file and identify_file(file)
    return f'{folder} holds {shown or "nothing"}' + (f'; {file.name} is {known[0]}. {known[1]}' if known else '')
