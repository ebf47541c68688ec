"""Find stacks: two or more pictures of one scene, such as exposures, focus planes or several modalities."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from vlfusion.console.notes import note
from vlfusion.data.pairs import MOST, Names, as_pattern, find_files, listed_names
from vlfusion.data.patterns import contents_of, is_file
from vlfusion.errors import DataError, listing
from vlfusion.imaging.georeference import TIFF_SUFFIXES
from vlfusion.imaging.images import SUFFIXES
from vlfusion.imaging.reading.image import FLOAT_SUFFIXES, volume_in_a_page
from vlfusion.imaging.reading.pages import Page, pages_of
from vlfusion.imaging.reading.rule import AS_STORED, Reading
from vlfusion.imaging.reading.tiff import read_tiff_header

_ADVICE = ('Give the pictures of one stack, or one file with several pages, or one folder of stacks (stacks/01/0.png '
           '...), or two or more folders or patterns whose files share their names.')


@dataclass(frozen=True)
class FoundStack:
    """The files of one stack.

    Attributes:
        name: name of the result.
        paths: files of the pictures, in order; or the pages of one file.
    """

    name: str
    paths: tuple[Path | Page, ...]


def find_stacks(sources: Sequence[str | os.PathLike], names: Names | None = None,
                reading: Reading = AS_STORED) -> list[FoundStack]:
    """Find stacks of pictures; each has two or more.

        find_stacks(['under.jpg', 'mid.jpg', 'over.jpg'])    # one stack, in this order
        find_stacks(['planes.tif'])                          # the pages of a file
        find_stacks(['stacks'])                              # stacks/01/0.png ...: a stack for each folder
        find_stacks(['under', 'mid', 'over'])                # files of one name form a stack

    Args:
        sources: the files of one stack, or one file whose pages are the stack; or one folder, of pictures, of folders
            of pictures, or of TIFF files with several pages each; or several folders or patterns with `{name}`, as for
            `vlfusion.find_pairs`. In folders, numbers in names count as numbers: `2.png` comes before `10.png`. Files
            of other endings are left out, and a note names them.
        names: names of the only stacks to use, or a text file with a name on each line; not for files.
        reading: rule by which the pictures will be read. With a range, floating-point images are found too. With a
            page, every file is one picture.

    Raises:
        DataError: a source does not exist, files and folders are mixed, a file is given twice, a stack has fewer than
            two pictures, a folder holds pictures beside folders or beside files with several pages, or a picture has no
            partner in another folder.
    """
    places = [Path(source) for source in sources]
    files = [is_file(place) for place in places]
    if all(files):
        if names:
            raise DataError('--names chooses stacks in folders, but files were given.', 'Leave --names out.')
        return [_of_files(places, reading)]
    if any(files):
        raise DataError(f'{places[files.index(True)]} is a file and {places[files.index(False)]} is a folder or '
                        'pattern.', _ADVICE)
    ranged = reading.stretch != 'full'
    if len(places) == 1:
        stacks = _in_folder(places[0], SUFFIXES + FLOAT_SUFFIXES * ranged, reading)
        return stacks if names is None else _chosen(stacks, names)
    matched = find_files('.', {f'source {number}': as_pattern(place) for number, place in enumerate(places, 1)}, names,
                         'The files of a stack share one name, in the same letter case. For a folder of stacks '
                         '(stacks/01/0.png ...), give that folder alone.',
                         ranged=[f'source {number}' for number, _ in enumerate(places, 1)] if ranged else ())
    return [FoundStack(name, paths) for name, paths in matched.items()]


def by_number(path: Path) -> list:
    """Key that sorts names with numbers by the numbers.

    >>> sorted(map(Path, ['z10.png', 'z9.png', 'a.png']), key=by_number)
    [PosixPath('a.png'), PosixPath('z9.png'), PosixPath('z10.png')]
    """
    return [(int(part), '') if part.isdecimal() else (-1, part) for part in re.split(r'(\d+)', path.name) if part]


def _of_files(paths: Sequence[Path], reading: Reading) -> FoundStack:
    if len(paths) == 1:
        if len(pages := _pages(paths[0], reading)) > 1:
            return FoundStack(paths[0].stem, pages)
        if (header := read_tiff_header(paths[0])) and header.planes > 1:
            raise volume_in_a_page(paths[0], header.planes)
        raise DataError(f'A stack has two pictures or more, but there is only {paths[0]}.', _ADVICE)
    for first, second in combinations(paths, 2):
        if first.samefile(second):
            raise DataError(f'{first} and {second} are the same file.', 'Give each picture of the stack once.')
    return FoundStack(paths[0].stem, tuple(paths))


def _pages(path: Path, reading: Reading) -> tuple[Page, ...]:
    """The pages of a file; none if the reading chooses one of them, so that the file is one picture."""
    return () if reading.page else tuple(pages_of(path))


def _in_folder(folder: Path, suffixes: tuple[str, ...], reading: Reading) -> list[FoundStack]:
    """The stack whose pictures are in a folder, or the stacks in its folders or files."""
    if not folder.is_dir():
        raise DataError(f'One pattern, {folder}, gives one picture for each stack.', _ADVICE)
    entries = sorted((entry for entry in folder.iterdir() if not entry.name.startswith('.')), key=by_number)
    folders, pictures = [entry for entry in entries if entry.is_dir()], _pictures(entries, suffixes)
    if folders and pictures:
        raise DataError(f'{folder} holds pictures, such as {pictures[0].name}, beside folders, such as '
                        f'{folders[0].name}/.', 'Put each stack into a folder of its own.')
    stacks = [FoundStack(place.name, tuple(_pictures(sorted(place.iterdir(), key=by_number), suffixes)))
              for place in folders]
    stacks = [replace(stack, paths=_pages(*stack.paths, reading) or stack.paths) if len(stack.paths) == 1 else stack
              for stack in stacks]
    if left := [str(entry) for place in folders or [folder] for entry in sorted(place.iterdir(), key=by_number)
                if entry.is_file() and not entry.name.startswith('.') and entry.suffix.lower() not in suffixes]:
        note('left out', f'Files without the ending of an image are in no stack:\n{listing(left, MOST)}')
    if paged := _paged(folder, pictures, reading):
        return paged
    stacks = stacks or [FoundStack(folder.resolve().name, tuple(pictures))]
    problems = [f'{place} holds {len(stack.paths) or "no"} picture{"s" * (not stack.paths)}; {contents_of(place)}'
                for place, stack in zip(folders or [folder], stacks, strict=True) if len(stack.paths) < 2]
    if problems:
        raise DataError(f'A stack has two pictures or more:\n{listing(problems, MOST)}', _ADVICE)
    return stacks


def _paged(folder: Path, files: Sequence[Path], reading: Reading) -> list[FoundStack]:
    """A stack for each TIFF file of a folder if all have several pages; none if all are single pictures."""
    pages = {file: _pages(file, reading) if file.suffix.lower() in TIFF_SUFFIXES else () for file in files}
    several = [file for file in files if len(pages[file]) > 1]
    if several and len(several) < len(files):
        single = next(file for file in files if file not in several)
        raise DataError(f'{folder} holds files with several pages, such as {several[0].name}, beside single pictures, '
                        f'such as {single.name}.', 'Put them into folders of their own.')
    return [FoundStack(file.stem, pages[file]) for file in several]


def _pictures(entries: Iterable[Path], suffixes: tuple[str, ...]) -> list[Path]:
    return [entry for entry in entries
            if entry.suffix.lower() in suffixes and not entry.name.startswith('.') and entry.is_file()]


def _chosen(stacks: Sequence[FoundStack], names: Names) -> list[FoundStack]:
    chosen, problems = listed_names(Path(), names, [stack.name for stack in stacks])
    if problems:
        raise DataError(listing(problems, MOST), 'Correct the names.')
    return [stack for stack in stacks if stack.name in chosen]
