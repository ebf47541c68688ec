"""Labels that are one file for each image."""

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from vlfusion.data.names import composed
from vlfusion.data.patterns import by_name, contents_of, list_files, repeats_stems
from vlfusion.downstream.classes import Classes, get_classes
from vlfusion.downstream.interfaces import Labels
from vlfusion.downstream.labels.faults import Fault, LabelError
from vlfusion.errors import DataError, listing


class LabelFiles(Labels):
    """Labels in a folder, matched with images by name.

    Args:
        place: folder or pattern of the files, such as `labels`, `labels/*` or `{name}_mask.png`; as for
            `vlfusion.data.pairs.find_pairs`.
        classes: the class table; see `vlfusion.downstream.classes.get_classes`.
        data_root: folder that `place` is relative to.

    Attributes:
        suffixes: endings of the files, in lower case.
        files: file of each name.

    Raises:
        DataError: there are no such files, or several have one name.
    """

    suffixes: tuple[str, ...]

    def __init__(self, place: str, classes: Classes, data_root: str | os.PathLike = '.'):
        self.classes, self.place = get_classes(classes), place
        root = Path(data_root)
        listed = list_files(root, place, self.suffixes)
        deep = repeats_stems(listed)
        files, problems = by_name(listed, deep, 'the labels')
        if problems:
            raise DataError(f'The labels under {root} are not clear:\n{listing(problems)}',
                            'Rename or remove the listed files.')
        if not files:
            raise DataError(f'There are no labels (*{self.suffixes[0]}) in {root / place}; '
                            f'{contents_of(_plain_part(root / place))}.',
                            'Correct data_root, or the place of the labels.')
        self.files: dict[str, Path] = files
        self._listed = also_known(files, [(composed(file.name(deep)), file.stem, file.name(True)) for file in listed])

    def names(self) -> list[str]:
        return sorted(self.files)

    def has(self, name: str) -> bool:
        return self.listed(name) in self.files

    def listed(self, name: str) -> str:
        return self._listed.get(composed(name), composed(name))

    def where(self, name: str) -> str:
        return str(self.files.get(self.listed(name), name))

    def _file(self, name: str) -> Path:
        """Return the file of a name; raise LabelError if there is none."""
        if path := self.files.get(self.listed(name)):
            return path
        near = [str(path) for other, path in self.files.items() if other.casefold() == composed(name).casefold()]
        raise LabelError([Fault('no label', name, f'has no label (*{self.suffixes[0]}) in {self.place}'
                                                  + (f'; did you mean {near[0]}?' if near else ''))])


def also_known(listed: Collection[str], others: Iterable[Sequence[str]]) -> dict[str, str]:
    """Return the listed name of each other spelling that only one has: images alone know whether names have folders.

    Args:
        listed: names of the labels.
        others: a listed name, then its other spellings, such as those without folders and with all folders.
    """
    names: dict[str, set[str]] = {}
    for name, *spellings in others:
        for spelling in spellings:
            names.setdefault(composed(spelling), set()).add(name)
    return {spelling: next(iter(found)) for spelling, found in names.items()
            if len(found) == 1 and spelling not in listed}


def _plain_part(path: Path) -> Path:
    """Return the folders of a pattern before its first star or name."""
    parts = []
    for part in path.parts:
        if any(sign in part for sign in '*?[{'):
            break
        parts.append(part)
    return Path(*parts)


def read_text(path: Path) -> str:
    """Read a label file as text; raise LabelError if it is not UTF-8 or cannot be read."""
    try:
        return path.read_text(encoding='utf-8-sig')
    except OSError as error:
        raise LabelError([Fault('not readable', str(path), f'cannot be read: {error.strerror}')]) from error
    except UnicodeDecodeError as error:
        raise LabelError([Fault('not readable', str(path), 'is not a text in UTF-8')]) from error
