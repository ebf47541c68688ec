"""Find the files that match a pattern such as `*/lwir/{name}.*`, and the names of their pairs."""

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
from vlfusion.errors import ConfigError, DataError
from vlfusion.imaging.images import SUFFIXES
from vlfusion.imaging.reading.file import identify_file, unreadable
from vlfusion.imaging.reading.image import FLOAT_SUFFIXES
from vlfusion.imaging.reading.rule import GIVE_RANGE


@dataclass(frozen=True)
class FittingFile:
    """A file that matches a pattern.

    Attributes:
        stem: part of the path that `{name}` matches.
        folders: part that stars among the pattern's folders match, such as `set00/V000`; empty without stars.
        path: path of the file.
    """

    stem: str
    folders: str
    path: Path

    def name(self, deep: bool) -> str:
        """Return the name of the pair, which includes the matched folders if `deep`."""
        return f'{self.folders}/{self.stem}' if deep and self.folders else self.stem


def list_files(root: Path, pattern: str, suffixes: tuple[str, ...]) -> list[FittingFile]:
    """List the files that match a pattern."""
    folder, head, tail = _split(pattern)
    place = os.path.join(glob.escape(str(root)), folder)
    files = []
    for path in sorted({Path(match) for match in glob.glob(place, recursive=True) if os.path.isdir(match)}):
        folders = '/'.join(_stands_for(Path(place).parts, path.parts) or ())
        for file in sorted(path.iterdir()):
            stem = _name(file.name, head, tail, suffixes)
            if stem and not file.name.startswith('.'):
                files.append(FittingFile(stem, folders, file))
    return files


def files_within(place: str | os.PathLike, suffixes: tuple[str, ...], deep: bool) -> list[FittingFile]:
    """List the files of a folder, also those of the folders in it if `deep`; or those that match a pattern."""
    if Path(place).is_dir():  # its name may hold signs of patterns
        return list_files(Path(place), '**' if deep else '{name}.*', suffixes)
    return list_files(Path(), str(place), suffixes)


def is_file(source: Path) -> bool:
    """Tell whether a source is a file; otherwise it is a folder or a pattern.

    Raises:
        DataError: it is none of them.
    """
    if not (source.is_file() or source.is_dir() or any(sign in str(source) for sign in '{*?[')):
        raise DataError(*(os.path.lexists(source) and unreadable(source)
                          or (f'No image or folder at {source}.', 'Check the path.')))
    return source.is_file()


def _stands_for(pattern: Sequence[str], path: Sequence[str]) -> list[str] | None:
    """Return the parts of a path that stars of a pattern match; None if the path does not match.

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
    starred = any(star in re.sub(r'\[[*?[]\]', '', first) for star in '*?[')  # `[*]` is an escaped star
    return tail if tail is None or not starred else [path[0], *tail]


def repeats_stems(files: Iterable[FittingFile]) -> bool:
    """Tell whether files with the same stem are in several folders."""
    places = Counter(stem for stem, _ in {(composed(file.stem), file.folders) for file in files})
    return any(count > 1 for count in places.values())


def by_name(files: Iterable[FittingFile], deep: bool, what: str) -> tuple[dict[str, Path], list[str]]:
    """Return the files of one source by composed name, and the problems with names that several files have."""
    by_stem: dict[str, list[Path]] = {}
    for file in files:
        by_stem.setdefault(composed(file.name(deep)), []).append(file.path)
    return {name: paths[0] for name, paths in by_stem.items()}, [
        f'{name!r} names several images of {what}: {", ".join(map(str, paths))}'
        for name, paths in by_stem.items() if len(paths) > 1]


def nothing_fits(root: Path, pattern: str, what: str) -> str:
    """Explain that no file matches: name the pattern, what is there instead, and images in deeper folders."""
    folder, head, tail = _split(pattern)
    expected = root / folder / f'{head}{{name}}{tail}'
    places = glob.glob(os.path.join(glob.escape(str(root)), folder), recursive=True)
    nearest = next((Path(place) for place in sorted(places) if os.path.isdir(place)), None)
    entries = sorted(nearest.iterdir()) if nearest else []
    hint = ''
    if entries and '**' not in folder and all(entry.is_dir() for entry in entries):
        hint = f'; write {folder}/** for images in its folders'
    elif floats := [entry.name for entry in entries if entry.suffix.lower() in FLOAT_SUFFIXES]:
        hint = f'; {floats[0]} holds floating-point numbers: {GIVE_RANGE}'
    contents = contents_of(nearest or (root / folder.partition('*')[0]).parent)
    return f'no image of {what} fits {expected}; {contents}{hint}'


def _split(pattern: str) -> tuple[str, str, str]:
    """Split a pattern into its folder and the parts of its file name before and after `{name}`."""
    if '{name}' not in pattern and not _names_a_file(pattern):
        pattern = f'{pattern.rstrip("/")}/{{name}}.*'
    folder, _, file = pattern.rpartition('/')
    head, _, tail = file.partition('{name}')
    if '{name}' in folder or file.count('{name}') != 1 or any(star in head + tail.removesuffix('.*') for star in '*?['):
        raise ConfigError(f'The pattern {pattern!r} does not say where the name of a pair is.',
                          'Write {name} once, in the file name. In the file name only the suffix may be a star, '
                          'as in MEFB/*/{name}_A.*')
    return folder, head, tail if '.' in tail else f'{tail}.*'


def _names_a_file(pattern: str) -> bool:
    """Tell whether a pattern ends in the name of a file and not of a folder, as `all/*_T.JPG` does."""
    stem, suffix = os.path.splitext(pattern.rpartition('/')[2])
    return (suffix == '.*' or suffix.lower() in SUFFIXES) and any(star in stem for star in '*?{')


def _name(file: str, head: str, tail: str, suffixes: tuple[str, ...]) -> str:
    """Return the name of the pair in a file name; empty if the file does not match."""
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
    """Tell whether a name has this beginning and end, with something between them."""
    return len(name) > len(head) + len(tail) and name.startswith(head) and name.endswith(tail)


def stem_of(name: str) -> str:
    """Remove the suffix of an image from a name."""
    return os.path.splitext(name)[0] if name.lower().endswith(SUFFIXES) else name


def contents_of(folder: Path) -> str:
    """Summarise the contents of a folder, or of its nearest existing parent, in a few words."""
    while not folder.is_dir():
        folder = folder.parent
    entries = sorted(folder.iterdir())
    names = [entry.name + '/' * entry.is_dir() for entry in entries]
    shown = ', '.join(names[:8]) + (f' and {len(names) - 8} more' if len(names) > 8 else '')
    file = next((entry for entry in entries if entry.is_file() and not entry.name.startswith('.')), None)
    identity = file and identify_file(file)
    hint = f'; {file.name} is {identity[0]}. {identity[1]}' if identity else ''
    return f'{folder} holds {shown or "nothing"}{hint}'
