"""Find the pairs of image files by their names, and check them before training."""

import glob
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, combinations, repeat
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from vlfusion.console.notes import new_run, note
from vlfusion.console.progress import duration
from vlfusion.data.affixes import affix_in_words, differing_tails, find_affixes
from vlfusion.data.names import composed, require_keywords, require_names
from vlfusion.data.patterns import between, by_name, contents_of, list_files, nothing_fits, repeats_stems, stem_of
from vlfusion.data.suspicion import note_misalignment, note_suspicion
from vlfusion.errors import ConfigError, DataError, listing
from vlfusion.imaging.images import SUFFIXES, read_image
from vlfusion.imaging.reading.file import unreadable
from vlfusion.imaging.reading.image import DAMAGED, FLOAT_SUFFIXES
from vlfusion.imaging.reading.rule import AS_STORED, Reading
from vlfusion.imaging.tasks import Task
from vlfusion.zoo.sets import advice_on

Names = str | os.PathLike | Sequence[str]
Range = str | Sequence | None
Bands = str | int | Sequence[int] | None
#: Most problems listed in one error; a wrong pattern would otherwise list every file.
MOST = 50
#: Pairs of a data set whose registration is looked at.
_ALIGNED = 3
#: Seconds of checking images after which a note estimates the total time.
PATIENCE = 5


@dataclass(frozen=True)
class Pair:
    """Two images of one scene.

    Attributes:
        name: stem that both files share, and name of the results. In a subset: `subset/stem`.
        path_a: file of source A.
        path_b: file of source B.
        modality_a: modality of source A, as captioners are told; empty if not given.
        modality_b: modality of source B.
        path_truth: file of the true image; None if there is none.
        maps: name and file of each further image, such as `('mask', Path('masks/12.png'))`.
        reading_a: reading rule for the file of source A.
        reading_b: reading rule for the file of source B.
    """

    name: str
    path_a: Path
    path_b: Path
    modality_a: str = ''
    modality_b: str = ''
    path_truth: Path | None = None
    reading_a: Reading = AS_STORED
    reading_b: Reading = AS_STORED
    maps: tuple[tuple[str, Path], ...] = ()

    @property
    def sources(self) -> tuple[tuple[Path, Reading], tuple[Path, Reading]]:
        """Path and reading rule, the arguments of `read_image`, of source A and source B."""
        return (self.path_a, self.reading_a), (self.path_b, self.reading_b)

    @property
    def images(self) -> tuple[tuple[Path, Reading], ...]:
        """Path and reading rule of both sources, of the true image if there is one, and of the maps."""
        others = [*([self.path_truth] if self.path_truth else []), *dict(self.maps).values()]
        return *self.sources, *((path, AS_STORED) for path in others)


def find_pairs(root: str | os.PathLike, source_a: str, source_b: str, names: Names | None = None, *,
               modality_a: str = '', modality_b: str = '', truth: str | None = None,
               maps: Mapping[str, str] | None = None,
               range_a: Range = None, range_b: Range = None, page_a: int | None = None, page_b: int | None = None,
               bands_a: Bands = None, bands_b: Bands = None) -> list[Pair]:
    """Find the pairs under a folder, sorted by name.

        pairs = vlfusion.find_pairs('data/TNO', 'ir', 'vi')
        pairs = vlfusion.find_pairs('data/MEFB', '*/{name}_A.*', '*/{name}_B.*')

    Args:
        root: folder that the patterns are relative to.
        source_a: folder or pattern of source A's images. `{name}` stands for the name of the pair, a final `.*` for
            any image suffix in upper or lower case. Folders may contain `*`, `?`, `[...]` and `**`. `ir` is short for
            `ir/{name}.*`; MEFB is `*/{name}_A.*` and `*/{name}_B.*`. Hidden files are ignored. If several folders have
            files of one stem, the parts that stars match become part of all names: with `**/lwir` and `**/visible`,
            KAIST's first pair is `set00/V000/I00000`.
        source_b: folder or pattern of source B's images; the two files of a pair may have different suffixes.
        names: the only pairs to use: a list of names, or a text file relative to `root` with one name per line, in
            which blank lines and lines that begin with `#` are skipped. A name may include an image suffix.
        modality_a: modality of source A.
        modality_b: modality of source B.
        truth: folder or pattern of the true images, if they exist; then every pair must have one.
        maps: folder or pattern of further images by name, such as `dict(mask='masks')`; every pair must have them all.
        range_a: values of source A that become black and white, see `vlfusion.imaging.reading.rule.Reading`: `full`
            (as stored), `minmax`, `percentile:1,99` or two numbers. With a range, floating-point images are found too.
        range_b: the range of source B.
        page_a: page of source A's files, counted from 1, if they have several.
        page_b: page of source B's files.
        bands_a: one band or three bands of source A's files, counted from 1, if they have several.
        bands_b: band or bands of source B's files.

    Raises:
        ConfigError: a pattern does not say where the name is, or a range, page, band or name of a map is not valid.
        DataError: there are no images, an image has no partner, two files have the same name, a listed name does not
            exist, a file is a dead link, or both sources are the same files. Lists every problem.
    """
    require_keywords(maps or {}, 'map', "maps=dict(mask='masks')")
    folders = {'source A': source_a, 'source B': source_b} | ({'the truth': truth} if truth else {})
    folders |= {f'the map {name}': place for name, place in (maps or {}).items()}
    readings = {'source A': Reading.of(range_a, page_a, bands_a), 'source B': Reading.of(range_b, page_b, bands_b)}
    matched = find_files(
        root, folders, names,
        'The files of a pair share one name, in the same letter case. Rename or remove the listed files, correct the '
        'patterns source_a, source_b, truth and maps, or list the pairs to use with names=... (--names on the command '
        'line).',
        ranged=[what for what, reading in readings.items() if reading.stretch != 'full'])
    pairs = []
    for name, (path_a, path_b, *others) in matched.items():
        path_truth = others.pop(0) if truth else None
        pairs.append(Pair(name, path_a, path_b, modality_a, modality_b, path_truth, *readings.values(),
                          tuple(zip(maps or (), others, strict=True))))
    return pairs


def as_pattern(place: str | os.PathLike, subset: str = '') -> str:
    """Return a pattern. Special characters in the name of an existing folder are escaped.

    Args:
        place: a folder or a pattern.
        subset: folder of a subset within `place`, inserted before `{name}` of a pattern.

    >>> as_pattern('out/{name}_fused.png', 'PET-MRI')
    'out/PET-MRI/{name}_fused.png'
    """
    if Path(place).is_dir():
        return glob.escape(str(Path(place, subset)))
    head, name, tail = str(place).partition('{name}')
    return f'{head}{glob.escape(subset)}/{name}{tail}' if subset and name else str(place)


def find_files(root: str | os.PathLike, patterns: Mapping[str, str], names: Names | None = None,
               remedy: str = '', note: Callable[[str], None] | None = None,
               ranged: Collection[str] = ()) -> dict[str, tuple[Path, ...]]:
    """Match the files of two or more folders by name. Return one file of each folder for every name, in order.

    Names are spelled as in the first folder. A composed and a decomposed `é` are equal.

    Args:
        root: folder that the patterns are relative to.
        patterns: folders or patterns as for `find_pairs`, by their name in messages, such as `source A`.
        names: the only names to use, as for `find_pairs`.
        remedy: advice to the user if files do not match.
        note: called with a message if all files of a folder share a prefix or suffix, such as `_fused`, which is then
            removed to match the names. None matches full names. Patterns with `{name}` always match as they are.
        ranged: keys of the folders whose files are read with a range, where floating-point images are found too.

    Raises:
        DataError: as for `find_pairs`; an image must be in every folder.
    """
    root = Path(root)
    listed = {what: list_files(root, pattern, SUFFIXES + FLOAT_SUFFIXES * (what in ranged))
              for what, pattern in patterns.items()}
    deep = any(map(repeats_stems, listed.values()))
    files, problems = {}, []
    for what, pattern in patterns.items():
        files[what], unusable = by_name(listed[what], deep, what)
        problems += unusable or ([] if files[what] else [nothing_fits(root, pattern, what)])
    if all(files.values()):  # if one folder is empty, every file of the others would be reported
        if note:
            _leave_affixes_out(files, patterns, names, note)
        known = set().union(*files.values())
        if names is None:
            chosen = sorted(known)
        else:
            chosen, unusable = listed_names(root, names, known)
            problems += unusable
        problems += [_partnerless(name, files, patterns) for name in chosen
                     if any(name not in paths for paths in files.values())]
        problems += [unreadable(paths[name])[0] for name in chosen for paths in files.values()
                     if name in paths and not paths[name].is_file()]
        problems += [f'{first} and {second} are the same files ({patterns[first]} and {patterns[second]})'
                     for first, second in combinations(files, 2) if _resolved(files[first]) == _resolved(files[second])]
    if problems:
        if len(files) == 2 and names is None and (tails := differing_tails(*files.values())):
            remedy = 'Say where the names of the pairs are: ' + ' and '.join(
                repr(f'{patterns[what].rstrip("/")}/{{name}}{tail}.*') for what, tail in zip(files, tails, strict=True)
            ) + ' instead of the folders.'
        empty = (root / patterns[what] for what in files if not files[what])
        if known := next(filter(None, map(advice_on, empty)), ''):
            remedy = f'{known}\n     {remedy}' if remedy else known
        raise DataError(f'Cannot pair the images under {root.absolute()}:\n{listing(problems, MOST)}', remedy)
    spelling = {composed(file.name(deep)): file.name(deep) for file in next(iter(listed.values()))}
    return {spelling.get(name, name): tuple(paths[name] for paths in files.values()) for name in chosen}


def _leave_affixes_out(files: dict[str, dict[str, Path]], patterns: Mapping[str, str], names: Names | None,
                       note: Callable[[str], None]) -> None:
    """Remove the common prefix or suffix of a folder's names, in place."""
    listed = names if isinstance(names, Sequence) and not isinstance(names, str) else None
    stems = listed and [composed(stem_of(name)) for name in listed if isinstance(name, str)]
    for what, (head, tail) in find_affixes(files, stems).items():
        if '{name}' not in patterns[what]:
            files[what] = {name[len(head):len(name) - len(tail)] if between(name, head, tail) else name: path
                           for name, path in files[what].items()}
            note(affix_in_words(f'{what} ({patterns[what]})', (head, tail)))


def find_subset_pairs(root: str | os.PathLike, subsets: Mapping[str, Mapping]) -> list[Pair]:
    """Find the pairs of several subsets under one folder. Names are `subset/stem`, so equal stems do not collide.

    Args:
        root: folder that all patterns are relative to.
        subsets: arguments of `find_pairs`, without `root`, for each subset.

    Raises:
        DataError: as for `find_pairs`, for all subsets together; or only some subsets have a truth, or a map.
    """
    require_names(subsets, 'subsets', 'Results are saved in folders of these names: write plain ones, such as PET-MRI.')
    images = {subset: {'truth'} & {key for key in arguments if arguments[key]} | set(arguments.get('maps') or ())
              for subset, arguments in subsets.items()}
    for image in sorted(set().union(*images.values())):
        if without := [subset for subset, present in images.items() if image not in present]:
            raise DataError(f'The subsets {", ".join(without)} have no {image}, but the others have one.',
                            'Give truth=..., or the same keys in maps=..., in every subset or in none; a batch cannot '
                            'mix them.')
    pairs, problems = [], []
    for subset, arguments in subsets.items():
        try:
            subset_pairs = find_pairs(root, **arguments)
        except DataError as error:
            problems.append(f'Subset {subset!r}: {error.problem}')
            remedy = error.remedy
        else:
            pairs += [replace(pair, name=f'{subset}/{pair.name}') for pair in subset_pairs]
    if problems:
        raise DataError('\n'.join(problems), remedy)
    return sorted(pairs, key=lambda pair: pair.name)


def check_images(pairs: Iterable[Pair], threads: int | None = None, task: Task | None = None) -> None:
    """Decode every image, so that damaged files are found before training and not hours into it.

    The header of an image does not show that its file is truncated, so everything is decoded. For a thousand files, one
    thread took 1 s with medical PNG files of 256x256, and 11 s with colour photographs (PNG) of 625x433. Two threads
    took about 60 % of this time, since OpenCV decodes outside of Python's interpreter lock.

    Args:
        pairs: the pairs to check.
        threads: number of images to decode at once; None chooses it by the number of cores.
        task: the task; a note is given if sources look unlike its modalities, or if one of three pairs looks
            misaligned.

    Raises:
        DataError: lists every file that cannot be decoded and every pair whose images differ in size.
    """
    new_run()
    pairs, problems, began = list(pairs), [], time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        for done, pair_problems in enumerate(pool.map(_image_problems, pairs, repeat(task)), 1):
            problems += pair_problems
            seconds = time.monotonic() - began
            if seconds > PATIENCE and done < len(pairs):
                note('checking', f'Checking {len(pairs):,} pairs of images, which takes about '
                                 f'{duration(seconds / done * len(pairs))}.')
    if problems:
        raise DataError(f'{len(problems)} images or pairs cannot be used:\n{listing(problems, len(problems))}',
                        'Copy damaged files again, register pairs to one size, or list the good ones with names=...')
    for pair in pairs[::max(1, len(pairs) // _ALIGNED)][:_ALIGNED] if task else ():
        note_misalignment(pair.path_a, pair.path_b, *(read_image(*source) for source in pair.sources))


def read_images(name: str, paths: Sequence[os.PathLike], readings: Sequence[Reading] = ()
                ) -> tuple[list[Shaped[np.ndarray, 'h w *bgr']], list[str]]:
    """Read the images of one name with `read_image`, and list their problems: damage, unequal sizes.

    Args:
        name: the name that the files share, for messages.
        paths: paths of the files.
        readings: reading rules for the first files; the others are read as they are stored.
    """
    images, sizes, problems = [], {}, []
    for path, reading in zip(paths, chain(readings, repeat(AS_STORED)), strict=False):
        try:
            images.append(read_image(path, reading))
        except DataError as error:
            problems.append(error.problem if error.remedy == DAMAGED else f'{error.problem} {error.remedy}')
        else:
            height, width = images[-1].shape[:2]
            sizes[path] = f'{width}x{height}'
    if len(set(sizes.values())) > 1:
        differing = ', '.join(f'{path} is {size}' for path, size in sizes.items())
        problems.append(f'{name}: {differing} (width x height)')
    return images, problems


def _image_problems(pair: Pair, task: Task | None) -> list[str]:
    images, problems = read_images(pair.name, *zip(*pair.images, strict=True))
    if not problems and task:
        note_suspicion(pair.path_a, pair.path_b, *images[:2], task)
    return problems


def _partnerless(name: str, files: Mapping[str, Mapping[str, Path]], patterns: Mapping[str, str]) -> str:
    """Write the message about a name that is missing in some folder."""
    there = next(what for what, paths in files.items() if name in paths)
    lacking = [what for what, paths in files.items() if name not in paths]
    near = {str(path): None for what in lacking for other, path in files[what].items()
            if other.casefold() == name.casefold()}
    guess = f'; did you mean {" or ".join(near)}?' if near else ''
    where = ' and '.join(f'{what} ({patterns[what]})' for what in lacking)
    return f'{files[there][name]} ({there}) has no partner in {where}{guess}'


def _resolved(files: Mapping[str, Path]) -> dict[str, Path]:
    return {name: path.resolve() for name, path in files.items()}


def listed_names(root: Path, names: Names, known: Iterable[str],
                 what: str = 'image') -> tuple[list[str], list[str]]:
    """Return the listed names that exist, sorted, and the problems of the others. `what`: noun for messages."""
    where = 'the list of names'
    if isinstance(names, str | os.PathLike):
        where = root / names
        if not where.is_file():
            return [], [f'there is no list of names at {where}; {contents_of(where.parent)}']
        lines = (line.strip() for line in where.read_text(encoding='utf-8-sig').splitlines())
        names = [line for line in lines if line and not line.startswith('#')]
    elif others := [name for name in names if not isinstance(name, str)]:
        raise ConfigError(f'The list of names holds {others[0]!r}.', "Write each name as a string, such as '12'.")
    stems = Counter(composed(stem_of(name)) for name in names)
    problems = [f'{name!r} is in {where} {count} times' for name, count in stems.items() if count > 1]
    problems += [f'{name!r} is in {where}, but no {what} has that name' for name in stems if name not in known]
    if not stems:
        problems.append(f'{where} holds no names')
    return sorted(stems.keys() & known), problems
