"""Fuse two images, or two folders of images paired by name, into files.

torch is imported only after the paths are checked, so that a mistake in a path is reported at once.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vlfusion.console.progress import ShowProgress
from vlfusion.data.names import inside
from vlfusion.data.pairs import Pair, as_pattern, find_pairs
from vlfusion.data.patterns import is_file
from vlfusion.data.words_record import check_records, write_words
from vlfusion.errors import ConfigError, DataError
from vlfusion.guards.outputs import check_outputs
from vlfusion.imaging.georeference import TIFF_SUFFIXES, georeference_of_result, is_georeferenced
from vlfusion.imaging.images import SUFFIXES, check_ending
from vlfusion.imaging.reading.rule import readings_of
from vlfusion.zoo.names import require_model

if TYPE_CHECKING:
    from vlfusion.data.text import FeatureFiles
    from vlfusion.imaging.registration.alignment import Alignment
    from vlfusion.inference.fuser import Fused, Fuser
    from vlfusion.system.ray_cluster import Cluster

#: Most pairs that a worker of a cluster gets at once: it reads ahead and writes behind within them.
CHUNK = 16
PathLike = str | os.PathLike
Item = TypeVar('Item')


@dataclass(frozen=True)
class FusedFiles:
    """Result of `fuse`.

    Attributes:
        written: files of the fused pairs, by the pair's name.
        kept: files that existed before and were kept, by the pair's name.
        failed: errors of pairs that could not be fused, by the pair's name.
        words: words that the model read about each written pair, by the pair's name and then by what they are about;
            empty unless they were asked for.
        alignments: movements between the sources of the written pairs, by the pair's name; empty unless they were
            registered.
    """

    written: dict[str, Path]
    kept: dict[str, Path]
    failed: dict[str, DataError]
    words: dict[str, dict[str, str]] = field(default_factory=dict)
    alignments: dict[str, 'Alignment'] = field(default_factory=dict)


def fuse(checkpoint: PathLike, source_a: PathLike, source_b: PathLike, out: PathLike, *,
         names: Sequence[str] | PathLike | None = None, skip_existing: bool = False, grey: bool = False,
         text: PathLike | None = None, reading: Mapping[str, Any] | None = None, offline: bool = False,
         describe: bool = False, show: ShowProgress | None = None, maps: Mapping[str, PathLike] | None = None,
         suffix: str | None = None, cluster: 'Cluster | None' = None, **options: Any) -> FusedFiles:
    """Fuse two images, or two folders of images paired by name, and write the results.

    Images may have any size. The result gets its colour by the colour rule of the task.

        done = vlfusion.fuse('ifcnn-ivf', 'IR/', 'VI/', 'fused/', tiles='exact')
        print(f'{len(done.written)} pairs fused', *done.failed.values(), sep='\\n')
        vlfusion.fuse('film-guide-mif', 'MRI/', 'PET/', 'fused/', instruction='show the PET more strongly')

    To get arrays instead of files, call a `Fuser`.

    Args:
        checkpoint: checkpoint of vlfusion; or the name of a model, such as `film-mif` or `laplacian`; or
            `hf://owner/name`; or a config whose model has no weights.
        source_a, source_b: two images, or two folders or patterns (`data/{name}_T.*`). A is infrared, MRI, over-exposed
            or near-focused.
        out: image file to write; a folder if the sources are folders.
        names: names of the only pairs to fuse, or a text file with a name on each line.
        skip_existing: leave out pairs whose result exists.
        grey: write luminance only.
        text: token features `(token, dim)` to use instead of describing the images: a `.npy` file for all pairs, or a
            folder of `NAME.npy`. They never replace an instruction.
        reading: rules by which the sources are read: `range_a`, `range_b`, `page_a`, `page_b`, `bands_a`, `bands_b`.
        offline: True to download no weights.
        describe: True to return the words that the model read, and to write them to `fused.json` beside the results.
        show: progress and notes; by default notes are logged and no progress is shown.
        maps: further images of the pairs that the model reads, by name: folders or patterns; files for two images.
        suffix: ending of the results in a folder; by default `.tif` for pairs with a georeferenced source, and `.png`
            for others.
        cluster: Ray cluster whose workers fuse the pairs; by default this process does.
        options: options of the `Fuser`, such as `instruction`, `device`, `tiles`, `max_memory`, `protocol`, `fit`,
            `register` or `depth`.

    Returns:
        The files and the errors. In folders, a pair that cannot be fused does not stop the others.

    Raises:
        DataError: a source does not exist, the two do not fit together, or `out` has no ending of an image format; or
            the only pair cannot be fused.
        ConfigError: `text` is given, but the model reads no text or several; a map is missing, or is not the model's;
            or an option has an unknown value.
        CheckpointError: the file is unsafe, truncated or not written by vlfusion.
    """
    files = plan_files(source_a, source_b, out, names=names, reading=reading, maps=maps, suffix=suffix,
                       depth=options.get('depth', 8))
    require_model(checkpoint)
    check_outputs([out, *files.values()] if os.path.isdir(out) else files.values(), [
        source_a, source_b, text, *filter(_is_file, [checkpoint, options.get('words')]),
        *(path for pair in files for path, _ in pair.images)])
    if describe:
        check_records({pair.name: path for pair, path in files.items()})
    kept = {pair: path for pair, path in files.items() if skip_existing and path.is_file()}
    pairs = [pair for pair in files if pair not in kept]

    # With a cluster the model is loaded here as well, for its messages; the machine may lack the workers' GPU.
    here = options if cluster is None else options | {'device': 'cpu', 'precision': 'float32'}
    fuser = open_fuser(checkpoint, offline=offline, show=show, **here)
    fuser.check_maps(maps or {})
    features = _features(text, fuser, pairs) if text else None
    tell_model(fuser, show, grey)
    step = show or (lambda *_, **__: None)
    todo = {pair: files[pair] for pair in pairs}
    if cluster is None or not todo:
        ends = FileFuser(fuser, features, grey=grey, describe=describe)(todo, step)
    else:
        make, ends = partial(_make_file_fuser, checkpoint, features, grey, describe, offline, options), []
        step('fusing', 0, len(pairs))
        for end in _fuse_on_cluster(cluster, make, todo, options.get('device'), options.get('batch_size')):
            ends.append(end)
            step('fusing', len(ends), len(pairs))
    step('fusing', len(pairs), len(pairs))
    ends = {end.name: end for end in ends}
    failed = {name: end.error for name, end in ends.items() if end.error}
    if len(pairs) == 1 and failed:
        raise next(iter(failed.values()))
    written = {pair.name: files[pair] for pair in pairs if pair.name in ends and pair.name not in failed}
    words = {name: ends[name].words for name in written if ends[name].words}
    write_words(written, words)
    return FusedFiles(written, {pair.name: path for pair, path in kept.items()}, failed, words,
                      {name: ends[name].alignment for name in written if ends[name].alignment})


@dataclass(frozen=True)
class PairEnd:
    """The end of a pair: its file is written, or there is an error.

    Attributes:
        name: name of the pair.
        error: reason that the pair could not be fused, if so.
        alignment: movement between its sources, if they were registered.
        words: words that the model read, by what they are about; empty unless they were asked for.
    """

    name: str
    error: DataError | None = None
    alignment: 'Alignment | None' = None
    words: dict[str, str] = field(default_factory=dict)


class FileFuser:
    """Fuse pairs into files, in this process: all pairs of `fuse`, or those that a worker of a cluster gets.

    Args:
        fuser: the model.
        features: files of text features, if the model shall not read its own.
        grey: write luminance only.
        describe: return the words that the model read.
    """

    def __init__(self, fuser: 'Fuser', features: 'FeatureFiles | None' = None, *, grey: bool = False,
                 describe: bool = False):
        self.fuser, self.features, self.grey, self.describe = fuser, features, grey, describe

    def __call__(self, files: Mapping[Pair, Path], step: Callable[..., None] | None = None) -> list[PairEnd]:
        """Fuse pairs into their files, and return the ends of the pairs; `step` shows progress."""
        step = step or (lambda *_, **__: None)
        ends: dict[Pair, PairEnd] = {}

        def end(pair: Pair, **facts: Any) -> None:
            ends[pair] = PairEnd(pair.name, **facts)

        def save(pair: Pair, fused: 'Fused') -> None:
            moved = fused.alignment is not None and fused.alignment.verdict == 'misaligned'
            fused.save(files[pair], grey=self.grey, georeference=georeference_of_result(
                files[pair], (pair.path_a, pair.path_b), fused.grey.shape, self.fuser.fit, moved))
            end(pair, alignment=fused.alignment)
            step('fusing', len(ends), len(files))

        results = self.fuser.fuse_many(
            [*files], self.features.load if self.features else None, save, partial(step, 'one pair', inner=True),
            lambda pair, error: end(pair, error=error), describing=step)
        step('fusing', 0, len(files))
        for _ in results:
            pass
        given = self.fuser.texts.about_images if self.features else ()
        return [replace(ends[pair], words=self.fuser.texts.paragraphs(pair, given))
                if self.describe and not ends[pair].error else ends[pair] for pair in files]


def _make_file_fuser(checkpoint: PathLike, features: 'FeatureFiles | None', grey: bool, describe: bool, offline: bool,
                     options: Mapping[str, Any]) -> Callable[[Sequence[tuple[Pair, Path]]], list[PairEnd]]:
    """Load the model in a worker of a cluster; return the function of some pairs and their files."""
    fuse_files = FileFuser(open_fuser(checkpoint, offline=offline, **options), features, grey=grey, describe=describe)
    return lambda files: fuse_files(dict(files))


def _fuse_on_cluster(cluster: 'Cluster', make: Callable[[], Callable], files: Mapping[Pair, Path],
                     device: str | None, batch_size: int | None) -> Iterator[PairEnd]:
    """Yield the ends of pairs, in their order."""
    if device and ':' in device:
        raise ConfigError(f'Ray chooses the GPU of each worker, but the device is {device}.', 'Write cuda.')
    gpu = cluster.gpus() > 0 if device is None else device != 'cpu'
    # Whole batches, because the last bits of a result depend on the other pairs of its batch.
    batch = batch_size or (8 if gpu else 1)
    chunk = -(-cluster.share(len(files), CHUNK, gpu) // batch) * batch
    return cluster.in_order(make, files.items(), chunk=chunk, gpu=gpu, lost=lambda item, error: PairEnd(
        item[0].name, DataError(f'{item[0].name}: {error.problem}', error.remedy)))


def open_fuser(checkpoint: PathLike, *, offline: bool = False, show: ShowProgress | None = None,
               **options: Any) -> 'Fuser':
    """Load a `Fuser`; weights are downloaded under the given progress, and its notes are printed there."""
    from vlfusion.engine.named import locate
    from vlfusion.inference.fuser import Fuser
    return Fuser(locate(checkpoint, offline=offline, show=show), note=show.print if show else None, **options)


def tell_model(fuser: 'Fuser', show: ShowProgress | None, grey: bool) -> None:
    """Print the model, the protocol and, unless only luminance is written, the colour rule."""
    if show:
        show.print(f'Model: {fuser.origin}.')
        show.print(f'Grey levels by the protocol {fuser.protocol.name}'
                   + ('.' if grey else f', colour by the rule {fuser.chroma}.'))


def plan_files(source_a: PathLike, source_b: PathLike, out: PathLike, *,
               names: Sequence[str] | PathLike | None = None,
               reading: Mapping[str, Any] | None = None,
               maps: Mapping[str, PathLike] | None = None, suffix: str | None = None,
               depth: int = 8) -> dict[Pair, Path]:
    """Find the pairs to fuse, and the file of each result; see `fuse`.

    Raises:
        DataError: a source does not exist, the two do not fit together, or the output has no ending of an image format,
            or has one beside `suffix`.
    """
    target, folders = Path(out), not any(is_file(Path(source)) for source in (source_a, source_b))
    if folders and (target.is_file() or target.suffix.lower() in SUFFIXES and not target.is_dir()):
        raise DataError(f'{out} is a file, but the results of two folders go into a folder.', 'Give a folder as --out.')
    pairs, single = find_sources(source_a, source_b, names, reading, maps)
    return plan_results(out, {pair: (pair.path_a, pair.path_b) for pair in pairs}, single, suffix, depth)


def plan_results(out: PathLike, sources: Mapping[Item, Sequence[PathLike]], single: bool, suffix: str | None = None,
                 depth: int = 8) -> dict[Item, Path]:
    """Return the file of each result.

    In a folder it is a `.tif` file if a source is georeferenced, so that this is kept, and a `.png` file otherwise.

    Args:
        out: folder of the results; or the file, if there is a single one.
        sources: files of the sources of each pair or stack, which has a name.
        single: whether there is one result that may be a file. An `out` that is no folder is then this file.
        suffix: ending of all results in a folder instead.
        depth: bits of the results.

    Raises:
        DataError: no image with so many bits has the ending, or there is a suffix for a file.
        ConfigError: the result is to keep a georeference, and rasterio is missing.
    """
    folder = Path(out)
    if single and not (folder.is_dir() or str(out).endswith(('/', os.sep))):
        if suffix:
            raise DataError(f'{out} is the file of the result, so the suffix {suffix} has no effect.',
                            'Leave it out, or give a folder as --out.')
        check_ending(out, depth)
        if folder.suffix.lower() in TIFF_SUFFIXES:
            for paths in sources.values():
                _any_georeferenced(paths)  # raises an error without rasterio, before the work
        return dict.fromkeys(sources, folder)
    if suffix:
        suffix = f'.{suffix.removeprefix(".")}'
        check_ending(f'fused{suffix}', depth)
    return {item: inside(folder, item.name, suffix or ('.tif' if _any_georeferenced(paths) else '.png'))
            for item, paths in sources.items()}


def _any_georeferenced(paths: Sequence[PathLike]) -> bool:
    """Tell whether a file is georeferenced; each is asked once, also if it gives several pages."""
    return any(map(is_georeferenced, dict.fromkeys(map(os.fspath, paths))))


def find_sources(source_a: PathLike, source_b: PathLike, names: Sequence[str] | PathLike | None = None,
                 reading: Mapping[str, Any] | None = None, maps: Mapping[str, PathLike] | None = None
                 ) -> tuple[list[Pair], bool]:
    """Find the pairs of two images, or of two folders or patterns; see `fuse`.

    Returns:
        The pairs, and whether they are one pair of two files.

    Raises:
        DataError: a source does not exist, or the two do not fit together.
    """
    rules, sources = reading or {}, (Path(source_a), Path(source_b))
    files = [is_file(source) for source in sources]
    if all(files):
        if names:
            raise DataError('--names chooses pairs of two folders, but two files were given.', 'Leave --names out.')
        if sources[0].samefile(sources[1]):
            raise DataError(f'{sources[0]} and {sources[1]} are the same file.', 'Give both images of the pair.')
        reading_a, reading_b = readings_of(rules)
        places = tuple((name, Path(place)) for name, place in (maps or {}).items())
        return [Pair(sources[0].stem, *sources, reading_a=reading_a, reading_b=reading_b, maps=places)], True
    if any(files):
        words = [('a folder or pattern', 'a file')[file] for file in files]
        raise DataError(f'{sources[0]} is {words[0]} and {sources[1]} is {words[1]}.',
                        'Give two files, or two folders or patterns.')
    if names and not _is_path(names) and len(names) == 1 and Path(names[0]).is_file():
        names = Path(names[0])
    patterns = {name: as_pattern(place) for name, place in (maps or {}).items()}
    return find_pairs('.', as_pattern(source_a), as_pattern(source_b), names, **rules, maps=patterns), False


def _is_path(value: object) -> bool:
    return isinstance(value, str | os.PathLike)


def _is_file(value: object) -> bool:
    """Tell whether a value is the path of a file, and not a name."""
    return _is_path(value) and Path(value).is_file()


def _features(place: PathLike, fuser: 'Fuser', pairs: Sequence[Pair]) -> 'FeatureFiles':
    """Find and check files of text features; raises a ConfigError if the model reads no text or several."""
    from vlfusion.data.text import FeatureFiles
    if len(fuser.texts.about_images) != 1:
        raise ConfigError(f'--text gives one text, but the model reads {", ".join(fuser.text_dims) or "none"}.',
                          'Leave --text out, or call vlfusion.Fuser with a dict of texts.')
    per_pair = os.path.isdir(place)
    features = FeatureFiles(place, '{name}.npy') if per_pair else FeatureFiles(*os.path.split(place))
    features.check(pairs if per_pair else pairs[:1])
    return features
