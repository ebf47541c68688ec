"""Checks of a data set on disk: what is missing, misnamed, wrong, unpaired or extra under a data root.

A set with a manifest is compared file by file, by content. Of other sets, which come from drives, the layout is known:
each pair must have its files, and both sources of a pair must have one size.
"""

import os
from collections import defaultdict
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from vlfusion.imaging.reading.file import identify, unreadable
from vlfusion.imaging.reading.header import read_header
from vlfusion.imaging.reading.image import SUFFIXES
from vlfusion.zoo.remote import RemoteFile, Show
from vlfusion.zoo.sets import ROOT, DataSet, Pairs, get_set, same_content

#: Kinds of findings, in order of their weight. All but the last stop a set from being complete.
KINDS = ('missing', 'misnamed', 'wrong', 'unpaired', 'extra')
#: Names that authors give to one folder.
SYNONYMS = [{'ir', 'inf', 'infrared', 'lwir', 'thermal'}, {'vi', 'vis', 'visible', 'rgb'},
            {'over', 'oe', 'overexposed'}, {'under', 'ue', 'underexposed'}]
#: Bytes at the start of a file that are read for its header.
HEAD = 1 << 18
#: Extra files of a folder that are listed one by one.
FEW = 5


class Finding(NamedTuple):
    """One finding: its kind, a path under the data root, and the rest in words."""

    kind: str
    place: str
    words: str


def check_set(name: str, root: str | os.PathLike = ROOT, show: Show | None = None) -> list[Finding]:
    """Compare a data set on disk with the published one, or with its layout.

        problems = [finding for finding in vlfusion.check_set('RoadScene', 'data') if finding.kind != 'extra']

    Args:
        name: name of the set.
        root: data root, which holds the folders of the set, such as `ivf/RoadScene`.
        show: function that shows the progress.

    Returns:
        The findings by kind: `missing`, `misnamed`, `wrong` (content, or sizes that differ within a pair), `unpaired`,
        and `extra`, which is allowed.

    Raises:
        UnknownNameError: no set has the name.
    """
    entry, root = get_set(name), Path(root)
    show = show or (lambda *_: None)
    findings = _compare_files(entry, root, show) if entry.files else [
        finding for pairs in entry.pairs for finding in _check_pairs(pairs, root, _known_folders(entry), show)]
    return sorted(dict.fromkeys(findings), key=lambda finding: (KINDS.index(finding.kind), finding.place))


def is_complete(findings: Collection[Finding]) -> bool:
    """Tell whether nothing is wrong: extra files are allowed."""
    return all(finding.kind == 'extra' for finding in findings)


def _known_folders(entry: DataSet) -> set[str]:
    """Return all folders of a set's layout, with their parents."""
    places = {str(PurePosixPath(place).parent) for place in entry.files} or {
        place for pairs in entry.pairs for place in (*pairs.folders, *(f'{pairs.folder}/{text}'
                                                                       for text in pairs.texts))}
    return places | {str(parent) for place in places for parent in PurePosixPath(place).parents}


def _compare_files(entry: DataSet, root: Path, show: Show) -> Iterator[Finding]:
    known = _known_folders(entry)
    strays = {}
    for folder in entry.folders:
        actual = _similar_folder(root, folder, known) or folder
        if actual != folder:
            yield Finding('misnamed', actual, f'should be called {folder}')
        strays |= {place: root / place for place in _files_below(root, actual) if place not in entry.files}
    missing = []
    for done, (place, file) in enumerate(entry.files.items(), 1):
        path = root / place
        if not path.exists():
            missing.append(place)
        elif not same_content(path, file):
            yield Finding('wrong', place, _difference(path, file))
        show('checking', done, len(entry.files))
    moved = _find_moved({place: entry.files[place] for place in missing}, strays)
    yield from _in_words(moved)
    yield from _explain_missing([place for place in missing if place not in moved], entry, root, strays)
    yield from _explain_extra([place for place in strays if place not in moved.values()])


def _difference(path: Path, file: RemoteFile) -> str:
    if not path.is_file():
        return 'is not a file'
    size = path.stat().st_size
    return f'{size} bytes instead of {file.size}' if size != file.size else 'another content than the published file'


def _find_moved(missing: dict[str, RemoteFile], strays: dict[str, Path]) -> dict[str, str]:
    """Find missing files under another name, by their content. Return the other name of each place."""
    by_size = defaultdict(list)
    if missing:
        for place, path in strays.items():
            by_size[path.stat().st_size].append(place)
    moved = {}
    for place, file in missing.items():
        taken = set(moved.values())
        near = sorted(by_size[file.size], key=lambda stray: PurePosixPath(stray).name != PurePosixPath(place).name)
        if stray := next((stray for stray in near if stray not in taken and same_content(strays[stray], file)), None):
            moved[place] = stray
    return moved


def _in_words(moved: dict[str, str]) -> Iterator[Finding]:
    """Report files under another name: in one line for a folder, if only the folder has another name."""
    folders = defaultdict(int)
    for place, stray in moved.items():
        right, wrong = PurePosixPath(place), PurePosixPath(stray)
        if right.name == wrong.name:
            folders[str(wrong.parent), str(right.parent)] += 1
        else:
            yield Finding('misnamed', stray, f'should be called {place}')
    for (wrong, right), count in folders.items():
        files = f'{count} of its files belong' if count > 1 else 'one of its files belongs'
        yield Finding('misnamed', wrong, f'{files} into {right}')


def _explain_missing(missing: list[str], entry: DataSet, root: Path, strays: dict[str, Path]) -> Iterator[Finding]:
    by_folder = defaultdict(list)
    for place in missing:
        by_folder[str(PurePosixPath(place).parent)].append(place)
    for folder, places in by_folder.items():
        if not (root / folder).is_dir():
            yield Finding('missing', folder, f'a folder of {len(places)} files')
            continue
        there = {_stem(stray): stray for stray in strays if str(PurePosixPath(stray).parent) == folder}
        for place in places:
            stray = there.get(_stem(place))
            yield Finding('missing', place, f'{stray} is there, which is another file' if stray else '')


def _explain_extra(extra: list[str]) -> Iterator[Finding]:
    by_folder = defaultdict(list)
    for place in extra:
        by_folder[str(PurePosixPath(place).parent)].append(place)
    for folder, places in by_folder.items():
        if len(places) > FEW:
            yield Finding('extra', folder, f'{len(places)} files that are not part of the set')
        else:
            yield from (Finding('extra', place, 'is not part of the set') for place in places)


def _check_pairs(pairs: Pairs, root: Path, known: Collection[str], show: Show) -> Iterator[Finding]:
    """Check the pairs of two folders, of which only the layout is known."""
    images = {}
    for place in pairs.folders:
        actual = _similar_folder(root, place, known)
        if actual is None:
            yield Finding('missing', place, 'a folder')
            return
        if actual != place:
            yield Finding('misnamed', actual, f'should be called {place}')
        images[actual] = {path.stem: path for path in sorted((root / actual).iterdir())
                          if path.suffix.lower() in SUFFIXES and not path.name.startswith('.')}
    names = root / pairs.folder / pairs.names
    if pairs.names and not names.is_file():
        yield Finding('missing', f'{pairs.folder}/{pairs.names}', 'the names of the pairs')
        return
    wanted = _listed(names) if pairs.names else sorted(set().union(*images.values()))
    in_all = set(wanted).intersection(*images.values())
    complete = [name for name in wanted if name in in_all]
    yield from _explain_unpaired([name for name in wanted if name not in in_all], images)
    yield from _compare_counts(pairs, len(complete))
    for done, name in enumerate(complete, 1):
        yield from _check_images({f'{folder}/{files[name].name}': files[name] for folder, files in images.items()})
        show('checking', done, len(complete))
    yield from _check_texts(pairs, root, complete)


def _listed(names: Path) -> list[str]:
    """Return the names of pairs that a text file lists, without suffixes of images."""
    lines = names.read_text(encoding='utf-8', errors='replace').splitlines()
    return [_without_suffix(line.strip()) for line in lines if line.strip() and not line.startswith('#')]


def _explain_unpaired(unpaired: list[str], images: dict[str, dict[str, Path]]) -> Iterator[Finding]:
    """Report the folders that lack an image, with the file of another folder, and a name that is spelt otherwise."""
    for name in unpaired:
        partner = next((files[name].name for files in images.values() if name in files), name)
        for folder, files in images.items():
            if name not in files:
                near = next((stem for stem in files if stem.casefold() == name.casefold()), '')
                yield Finding('unpaired', folder, f'lacks the partner of {partner}'
                                                  + f'; {near} is spelt otherwise' * bool(near))


def _compare_counts(pairs: Pairs, count: int) -> Iterator[Finding]:
    if pairs.count and count < pairs.count:
        yield Finding('missing', pairs.folders[0], f'{count} of {pairs.count} {pairs.split} pairs are there')
    elif pairs.count and count > pairs.count:
        yield Finding('extra', pairs.folders[0],
                      f'{count} pairs are there; the published {pairs.split} split has {pairs.count}')


def _check_texts(pairs: Pairs, root: Path, complete: list[str]) -> Iterator[Finding]:
    for text in pairs.texts:
        folder = root / pairs.folder / text
        stems = {path.stem for path in folder.iterdir()} if folder.is_dir() else set()
        if lacking := [name for name in complete if name not in stems]:
            yield Finding('missing', f'{pairs.folder}/{text}', f'{len(lacking)} of {len(complete)} texts, '
                                                               f'such as {lacking[0]}')


def _check_images(images: dict[str, Path]) -> Iterator[Finding]:
    """Check the images of a pair: each is an image, and all have one size."""
    sizes = {}
    for place, path in images.items():
        if problem := unreadable(path):
            yield Finding('wrong', place, problem[0])
            continue
        with path.open('rb') as file:
            head = file.read(HEAD)
        if header := read_header(head):
            sizes[place] = header.width, header.height
        elif kind := identify(path, head):
            yield Finding('wrong', place, f'is {kind[0]}. {kind[1]}')
    if len(set(sizes.values())) > 1:
        yield Finding('wrong', next(iter(sizes)), 'sizes differ: ' + ', '.join(
            f'{width}x{height} in {PurePosixPath(place).parent}' for place, (width, height) in sizes.items()))


def _files_below(root: Path, folder: str) -> list[str]:
    """List the visible files below a folder, relative to the root."""
    return sorted(path.relative_to(root).as_posix() for path in (root / folder).rglob('*') if path.is_file()
                  and not any(part.startswith('.') for part in path.relative_to(root).parts))


def _similar_folder(root: Path, place: str, known: Collection[str]) -> str | None:
    """Return a folder under the root, or the one whose name is nearest at each level; None if there is none.

    Folders that the layout itself has, in `known`, do not stand for others.
    """
    actual = PurePosixPath()
    for part in PurePosixPath(place).parts:
        if not (root / actual / part).is_dir():
            others = {_meaning(path.name): path.name for path in (root / actual).glob('*')
                      if path.is_dir() and str(actual / path.name) not in known}
            near = get_close_matches(_meaning(part), others, n=1, cutoff=0.8)
            if not near:
                return None
            part = others[near[0]]
        actual /= part
    return str(actual)


def _meaning(name: str) -> str:
    """Return a common spelling of a folder's name."""
    plain = name.casefold().replace('-', '').replace('_', '').replace(' ', '')
    return next((min(words) for words in SYNONYMS if plain in words), plain)


def _stem(place: str) -> str:
    return PurePosixPath(place).stem.casefold()


def _without_suffix(name: str) -> str:
    return os.path.splitext(name)[0] if name.lower().endswith(SUFFIXES) else name
