"""Public data sets by name. Each package describes its own in a file `sets.toml`, which is read without importing it.

    [TNO]
    title = "Infrared and visible surveillance scenes, grey: the 25 test pairs of CDDFuse"
    task = "ivf"
    licence = "none stated"

    [[TNO.pairs]]
    folder = "ivf/TNO"
    source_a = "ir"
    source_b = "vi"
    count = 25

If the package has a manifest of the set, `manifests/TNO.tsv`, its files can be fetched from public git repositories.
Other sets lie on drives: their `steps` say how to get them. All folders are relative to a data root, `data` in the
configs that ship.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, get_type_hints

from vlfusion.console.notes import note
from vlfusion.errors import DataError, DownloadError, UnknownNameError, did_you_mean, listing
from vlfusion.files import size_in_words
from vlfusion.zoo.facts import Facts, by_name, check_facts, read_toml, tasks_of
from vlfusion.zoo.manifest import read_manifest
from vlfusion.zoo.remote import ALLOW, RemoteFile, Show, check, fetch_all, is_offline

#: Folder with the manifests, beside the file.
MANIFESTS = 'manifests'
#: The data root of the configs that ship.
ROOT = 'data'


@dataclass(frozen=True)
class Pairs:
    """Pairs of images in two folders.

    Attributes:
        folder: folder under the data root, such as `ivf/RoadScene`; all else is relative to it.
        source_a: folder or pattern of source A's images.
        source_b: the same of source B; empty for a folder of single images.
        count: number of pairs, or 0 if it is not known.
        split: `train` or `test`.
        truth: folder of the true images.
        names: text file with the names of the pairs that belong to the split.
        texts: folders with a text, or with features of a text, for each pair.
    """

    folder: str
    source_a: str
    source_b: str = ''
    count: int = 0
    split: str = 'test'
    truth: str = ''
    names: str = ''
    texts: Sequence[str] = ()

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders or patterns of images under the data root: sources, and the truth."""
        return tuple(f'{self.folder}/{place}' for place in (self.source_a, self.source_b, self.truth) if place)


@dataclass(frozen=True)
class DataSet:
    """A data set that has a name.

    Attributes:
        name: the name, such as `RoadScene`.
        package: the package that describes it.
        tasks: the tasks of its pairs.
        title: content of the set, in a line.
        pairs: its pairs, in one or several folders.
        size: width and height of the images, in words.
        licence: licence of the images; `none stated` if their authors state none.
        paper: authors, title, venue, year.
        citation: BibTeX entry of the paper.
        source: address of a set that has no manifest.
        steps: how to get a set that has no manifest.
        notes: anything else that a user should know.
        manifest: path of the manifest, or None.
    """

    name: str
    package: str
    tasks: tuple[str, ...]
    title: str
    pairs: tuple[Pairs, ...]
    size: str = ''
    licence: str = 'none stated'
    paper: str = ''
    citation: str = ''
    source: str = ''
    steps: str = ''
    notes: str = ''
    manifest: Path | None = None

    @property
    def scoped(self) -> str:
        """The name with its package, which no other set has."""
        return f'{self.package}.{self.name}'

    @cached_property
    def files(self) -> dict[str, RemoteFile]:
        """Public file of each place under the data root; empty for a set that cannot be fetched."""
        return read_manifest(self.manifest) if self.manifest else {}

    @property
    def repositories(self) -> list[tuple[str, str]]:
        """Repository and commit of the files; several if they come from several."""
        return sorted({(file.repo, file.commit) for file in self.files.values()})

    @property
    def address(self) -> str:
        """Place that the set comes from, in short."""
        return ', '.join(sorted({f'github.com/{repo}' for repo, _ in self.repositories})) or self.source

    @property
    def bytes(self) -> int:
        """Size of all files that can be fetched."""
        return sum(file.size for file in self.files.values())

    @property
    def counts(self) -> dict[str, int]:
        """Number of pairs of each split; 0 if it is not known."""
        splits = sorted({pairs.split for pairs in self.pairs}, reverse=True)
        return {split: 0 if 0 in (counts := [pairs.count for pairs in self.pairs if pairs.split == split])
                else sum(counts) for split in splits}

    @property
    def folders(self) -> list[str]:
        """Folders of the set under the data root."""
        return list(dict.fromkeys(pairs.folder for pairs in self.pairs))


def find_sets() -> dict[str, DataSet]:
    """Return all data sets by name: those of vlfusion, then those of the installed plugins.

    If several packages use one name, each of their sets is listed under its scoped name, `package.name`.
    """
    return by_name(FACTS.entries(), _plain)


def get_set(name: str) -> DataSet:
    """Return the data set of a name, in any letter case, with or without hyphens.

    Raises:
        UnknownNameError: no set has the name, or several packages have one.
        PluginError: the name belongs to a plugin whose `sets.toml` cannot be read.

    >>> get_set('realmff').name
    'Real-MFF'
    """
    scope, _, plain = name.rpartition('.')
    if entry := FACTS.only(name, [entry for entry in FACTS.entries(scope) if _plain(entry.name) == _plain(plain)]):
        return entry
    raise UnknownNameError(f'There is no data set {name!r}.', did_you_mean(name, find_sets()))


def fetch_set(name: str, root: str | os.PathLike = ROOT, *, force: bool = False, offline: bool = False,
              show: Show | None = None) -> list[Path]:
    """Download the files of a data set that are not there yet, verify each, and return their paths.

        vlfusion.fetch_set('RoadScene', 'data')

    The licence is noted if anything has to be downloaded. An interrupted call is continued by the next.

    Args:
        name: name of the set.
        root: data root, which gets the folders that configs expect, such as `ivf/RoadScene/ir`.
        force: True to replace files that have another content.
        offline: True to refuse to download, as `VLFUSION_OFFLINE` does.
        show: function that shows the progress, such as `vlfusion.console.progress.ShowProgress`.

    Raises:
        UnknownNameError: no set has the name.
        DataError: the set cannot be fetched, a file is there with another content, or downloads failed. Names the
            files.
        DownloadError: files are missing and downloads are not allowed.
    """
    entry = get_set(name)
    if not entry.files:
        raise DataError(f'{entry.name} cannot be fetched file by file.', how_to_get(entry, root))
    missing, other = [], []
    for place, file in entry.files.items():
        path = Path(root, place)
        if not path.exists() and not path.is_symlink():
            missing.append(place)
        elif not same_content(path, file):
            other.append(place)
    if folder := next((Path(root, place) for place in other if Path(root, place).is_dir()), None):
        raise DataError(f'{folder} is a folder, where a file of {entry.name} belongs.', 'Move it away.')
    if other and not force:
        raise DataError(f'{len(other)} of {len(entry.files)} files of {entry.name} are there with another content:\n'
                        + listing(str(Path(root, place)) for place in other),
                        'Nothing was changed. Choose another --root, move the files away, or replace them by --force.')
    wanted = {Path(root, place): entry.files[place] for place in [*missing, *other]}
    if not wanted:
        return []
    if offline or is_offline():
        raise DownloadError(f'{len(wanted)} of {len(entry.files)} files of {entry.name} are not in {root}, and '
                            'vlfusion is offline.',
                            f'{ALLOW} Or copy the files: `vlfusion data check {entry.name} --root {root}` lists them.')
    size = size_in_words(sum(file.size for file in wanted.values()))
    note(f'licence of {entry.scoped}', f'{entry.name}: {len(wanted)} files, {size}, come from {entry.address}. '
                                       f'Licence of the images: {entry.licence}.')
    fetch_all(wanted, show=show, verify=True)
    return list(wanted)


def same_content(path: Path, file: RemoteFile) -> bool:
    """Tell whether a path is a file with the content of a public one."""
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    try:
        check(path, file)
    except DownloadError:
        return False
    return True


def find_set_at(place: str | os.PathLike) -> tuple[DataSet, str] | None:
    """Return the data set whose layout has a folder or pattern, and its data root; None if no set has it.

    >>> entry, root = find_set_at('/data/ivf/RoadScene_train/ir')
    >>> entry.name, root
    ('RoadScene', '/data')
    """
    parts = PurePosixPath(Path(place).as_posix()).parts
    fitting = [(len(known), entry) for entry in FACTS.entries() for pairs in entry.pairs
               for known in {PurePosixPath(folder).parts for folder in (pairs.folder, *pairs.folders)}
               if parts[-len(known):] == known]
    if not fitting:
        return None
    length, entry = max(fitting, key=lambda match: match[0])
    return entry, str(PurePosixPath(*parts[:-length]))


def advice_on(place: str | os.PathLike) -> str:
    """Say how to get the data set that belongs at a place; empty if no set does."""
    found = find_set_at(place)
    return how_to_get(*found) if found else ''


def how_to_get(entry: DataSet, root: str | os.PathLike) -> str:
    """Name the commands that fetch or check a data set."""
    if entry.manifest:
        return f'`vlfusion data get {entry.name} --root {root}` fetches {entry.name}.'
    return (f'`vlfusion data {entry.name}` says where {entry.name} is and how to lay it out, '
            f'`vlfusion data check {entry.name} --root {root}` checks it.')


def read_sets(path: Path, package: str) -> list[DataSet]:
    """Read a `sets.toml`.

    Args:
        path: the file.
        package: the import package that it belongs to.

    Raises:
        ConfigError: the file is not TOML, or a key is unknown, missing or of the wrong type.
    """
    return [_set(f'{path}: {name}', name, entry, package, path.parent) for name, entry in read_toml(path).items()]


#: Types of the keys of a set in the file, and of its pairs.
_KEYS = dict(title=str, task=str | Sequence[str], pairs=Sequence[dict], size=str, licence=str, paper=str, citation=str,
             source=str, steps=str, notes=str)
_PAIR_KEYS = get_type_hints(Pairs)


def _set(where: str, name: str, facts: Any, package: str, folder: Path) -> DataSet:
    check_facts(where, facts, _KEYS, ('title', 'task', 'pairs'))
    tasks = tasks_of(where, facts['task'])
    for pairs in facts['pairs']:
        check_facts(f'{where}.pairs', pairs, _PAIR_KEYS, ('folder', 'source_a'))
    manifest = folder / MANIFESTS / f'{name}.tsv'
    return DataSet(name, package, tasks, pairs=tuple(Pairs(**pairs) for pairs in facts['pairs']),
                   manifest=manifest if manifest.is_file() else None,
                   **{key: value for key, value in facts.items() if key not in ('task', 'pairs')})


def _plain(name: str) -> str:
    """Return a name without hyphens, underscores and spaces, in lower case."""
    return name.translate(str.maketrans('', '', '-_ ')).casefold()


FACTS = Facts('data set', 'sets.toml', read_sets)
