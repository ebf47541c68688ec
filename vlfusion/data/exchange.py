"""Texts and features in layouts of other projects: the folders of the VLF data set, and FILM's HDF5.

    <root>/Text/MFF/Lytro/NEAR/1.txt     the paragraph of source A of pair 1
    <root>/Text/MFF/Lytro/FAR/1.txt      the paragraph of source B
    <root>/Text/MFF/Lytro/PAIR/1.txt     instead of both, if the prompt is about pairs
    <root>/TextFeature/MFF/Lytro/1.npy   the token features of the pair, float32 (1, token, dim)

Arrays are plain NumPy files without pickled objects. Files are either complete or absent.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from vlfusion.data.dataset import PairDataset
from vlfusion.data.hdf5 import write_hdf5
from vlfusion.data.names import require_names, spelled
from vlfusion.data.pairs import Pair
from vlfusion.data.text import FeatureFiles, StoredText, TextSource
from vlfusion.errors import ConfigError, DataError, listing
from vlfusion.files import write_array, write_whole
from vlfusion.language.lookup import Records
from vlfusion.language.records import paragraph_of
from vlfusion.language.subjects import content_of, subjects_of

RENAME = 'Files are written under these names. Rename the images or the data set.'
#: Names of the folders of source A and source B in the VLF data set, by task.
FOLDERS = {'ivf': ('IR', 'VI'), 'mif': ('MRI', 'T'), 'mef': ('OVER', 'UNDER'), 'mff': ('NEAR', 'FAR')}
#: Folder of paragraphs about pairs, which the VLF data set itself does not have.
PAIR = ('PAIR',)


def export_vlf(datasets: Sequence[PairDataset], root: str | os.PathLike, name: str | None = None) -> dict[str, Path]:
    """Write features in the layout of the VLF data set, with paragraphs if they come from the text store.

    Args:
        datasets: data sets of one task, with text sources; a pair may be in several of them.
        root: folder to write to.
        name: name of the written set; by default the names of the data sets.

    Returns:
        The folders of this set by `TextFeature` and, if there are paragraphs, `Text`.

    Raises:
        DataError: two pairs share a name, or texts or features are missing; names all of them.
        ConfigError: a data set reads no text.
    """
    owners: dict[Path, dict[Pair, PairDataset]] = {}  # by the path of their files, without suffix
    for dataset in datasets:
        _source(dataset)
        require_names([name or dataset.name], 'The data set', RENAME)
        require_names((pair.name for pair in dataset.pairs), dataset.name, RENAME)
        for pair in dataset.pairs:
            owners.setdefault(Path(dataset.task.name.upper(), name or dataset.name, pair.name), {})[pair] = dataset
    if clashes := [f'{place}: {" and ".join(str(pair.path_a) for pair in pairs)}'
                   for place, pairs in owners.items() if len(pairs) > 1]:
        raise DataError(f'{len(clashes)} names belong to several pairs:\n{listing(clashes)}',
                        'Export each split to a folder of its own: --split test --out DIR.')
    texts = _paragraphs([(pair, dataset) for pairs in owners.values() for pair, dataset in pairs.items()])
    written = {}
    for place, pairs in owners.items():
        [(pair, dataset)] = pairs.items()
        part = Path(*place.parts[:2])
        write_array(Path(root, 'TextFeature', f'{place}.npy'), _source(dataset).load(pair)[None])
        written['TextFeature'] = Path(root, 'TextFeature', part)
        paragraphs = texts.get(pair, ())
        folders = PAIR if len(paragraphs) == 1 else FOLDERS[dataset.task.name]
        for folder, text in zip(folders, paragraphs, strict=False):
            write_whole(Path(root, 'Text', part, folder, f'{pair.name}.txt'), text.encode())
            written['Text'] = Path(root, 'Text', part)
    return written


def export_hdf5(dataset: PairDataset, path: str | os.PathLike) -> None:
    """Write the samples of a data set in FILM's HDF5 layout, which `Hdf5PairDataset` reads."""
    write_hdf5(path, (dataset[index] for index in range(len(dataset))))


def import_features(pairs: Sequence[Pair], folder: str | os.PathLike, root: str | os.PathLike,
                    pattern: str) -> list[Path]:
    """Copy published features of pairs, byte for byte, to the files that `FeatureFiles(root, pattern)` reads.

    Args:
        pairs: the pairs of the features.
        folder: folder with a file `<pair>.npy` for each pair, `(1, token, dim)` or `(token, dim)`.
        root, pattern: arguments of `FeatureFiles`.

    Returns:
        The new files.

    Raises:
        DataError: features are missing, are damaged or differ in width, or a different file already exists. Then
            nothing is written.
    """
    require_names((pair.name for pair in pairs), 'The data set', RENAME)
    source = FeatureFiles(folder, '{name}.npy')
    source.remedy = f'Complete {folder}, or choose the pairs with --split or names=...'
    source.check(pairs)
    return _copy({Path(root) / pattern.replace('{name}', pair.name):
                  spelled(lambda name: Path(folder) / f'{name}.npy', pair.name) for pair in pairs})


def import_texts(pairs: Sequence[Pair], task: str, folder: str | os.PathLike,
                 target: str | os.PathLike) -> list[Path]:
    """Copy published paragraphs of pairs, byte for byte, to `<target>/<SOURCE>/<pair>.txt`.

    Args:
        pairs: the pairs of the paragraphs.
        task: name of the task, such as `mff`, which sets the names of the sources.
        folder: folder with a subfolder for each source, in upper or lower case, with files `<pair>.txt`; or with one
            subfolder `PAIR` if the texts are about pairs.
        target: folder of the set, such as `data/VLFDataset/Text/MFF/Lytro`.

    Returns:
        The new files.

    Raises:
        DataError: a text is missing, empty or not UTF-8, or a different file already exists. Then nothing is written.
    """
    require_names((pair.name for pair in pairs), 'The data set', RENAME)
    folder, files, problems = Path(folder), {}, []
    present = {entry.name.upper(): entry for entry in sorted(folder.iterdir()) if entry.is_dir()} if (
        folder.is_dir()) else {}
    for source in PAIR if PAIR[0] in present and present.keys().isdisjoint(FOLDERS[task]) else FOLDERS[task]:
        if source not in present:
            problems.append(f'there is no folder {folder / source}')
            continue
        for pair in pairs:
            path = spelled(lambda name, place=present[source]: place / f'{name}.txt', pair.name)
            try:
                problems += [] if path.read_text(encoding='utf-8').strip() else [f'{path} is empty']
            except (OSError, UnicodeDecodeError) as error:
                problems.append(f'{path} cannot be read as UTF-8 text: {error}')
            files[Path(target) / source / f'{pair.name}.txt'] = path
    if problems:
        raise DataError(f'{len(problems)} texts cannot be imported:\n{listing(problems)}',
                        f'Complete {folder}, or leave the texts out: only features are needed to train.')
    return _copy(files)


def text_folder(pattern: str) -> Path:
    """Return the folder of texts, relative to the data root, that belongs to a pattern of `FeatureFiles`.

    >>> text_folder('TextFeature/MFF/Lytro/{name}.npy').as_posix()
    'Text/MFF/Lytro'
    """
    parts = Path(pattern).parent.parts
    return Path('Text', *(parts[1:] if parts[:1] == ('TextFeature',) else parts))


def _source(dataset: PairDataset) -> TextSource:
    """Return the only text source of a data set; raise ConfigError if there is none, or several."""
    if len(dataset.text_sources) != 1:
        raise ConfigError(f'The data set {dataset.name!r} reads {len(dataset.text_sources) or "no"} texts, but the '
                          'layout holds one for each pair.',
                          "Set text_source, such as text_source=dict(stream='pair/paragraph').")
    [source] = dataset.text_sources.values()
    return source


def _paragraphs(pairs: Sequence[tuple[Pair, PairDataset]]) -> dict[Pair, list[str]]:
    """Return the paragraphs of each pair whose features come from the text store: one, or one for each source."""
    paragraphs, missing, records = {}, [], {}
    for pair, source in ((pair, _source(dataset)) for pair, dataset in pairs):
        if isinstance(source, StoredText):
            reader = records.setdefault(id(source), Records(source.language))
            paragraphs[pair], remedy = [], source.remedy
            [both] = subjects_of([pair], of_pairs=True)
            for subject in [both] if reader.keys.of_pairs else both.images:  # the same image may be both
                stages = reader.stages(*content_of(subject))
                # Prefer the text of the features: the paragraph may have been rewritten since.
                text = paragraph_of(stages['features'][0].record or stages['paragraphs'][0].record)
                paragraphs[pair].append(text or '')
                missing += [] if text else [str(subject)]
    if missing:
        raise DataError(f'{len(missing)} images are not described yet:\n{listing(missing)}', remedy)
    return paragraphs


def _copy(files: Mapping[Path, Path]) -> list[Path]:
    new = {target: source for target, source in files.items() if not target.exists()}
    if differing := [str(target) for target, source in files.items()
                     if target not in new and target.read_bytes() != source.read_bytes()]:
        raise DataError(f'{len(differing)} different files already exist:\n{listing(differing)}',
                        'Move them away, or import under another name.')
    for target, source in new.items():
        write_whole(target, source.read_bytes())
    return list(new)


