"""Fuse two volumes slice by slice into a NIfTI file, a DICOM series or a mosaic.

Each slice takes the road of any other pair through the `Fuser`, so a slice equals the fused image of its two pictures.
torch is imported only after the volumes are read, so that a mistake in a path or an option is reported at once.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from vlfusion.console.notes import LOG
from vlfusion.console.progress import ShowProgress
from vlfusion.data.names import SLICE
from vlfusion.data.pairs import Pair
from vlfusion.errors import ConfigError, DataError
from vlfusion.files import file_digest, is_empty, whole_folder, write_json
from vlfusion.guards.outputs import check_outputs
from vlfusion.imaging.images import write_image
from vlfusion.inference.folders import open_fuser
from vlfusion.volumes.capture import write_captures
from vlfusion.volumes.nifti import is_nifti_name, write_nifti
from vlfusion.volumes.pair import VolumePair
from vlfusion.volumes.pictures import colour_table, coloured, draw_mosaic, slices_to_show
from vlfusion.volumes.reading import is_volume, read_volume
from vlfusion.volumes.volume import Volume
from vlfusion.zoo.names import require_model

if TYPE_CHECKING:
    from vlfusion.inference.fuser import Fused, Fuser

PathLike = str | os.PathLike
#: DICOM's words for modalities, and those of the task.
MODALITIES = {'MR': 'MRI', 'PT': 'PET', 'NM': 'SPECT', 'CT': 'CT'}
#: Options of the `Fuser` for pictures alone: volumes have 8 bits, and their headers say how they lie.
_FOR_PICTURES = {'depth', 'fit', 'register'}


@dataclass(frozen=True)
class FusedVolume:
    """Result of `fuse_volumes`.

    Attributes:
        written: files and folders that were written; the record comes last.
        record: content of the record: sources, grid, windows, model.
        words: words that the model read, by the name of the described slice and then by what they are about; empty
            unless they were asked for.
    """

    written: tuple[Path, ...]
    record: dict[str, Any] = field(repr=False)
    words: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)


def fuse_volumes(checkpoint: 'PathLike | Fuser', source_a: PathLike, source_b: PathLike, out: PathLike, *,
                 onto: str = 'a', axis: str | None = None, window_a: str | None = None, window_b: str | None = None,
                 colormap: str | None = None, mosaic: PathLike | None = None, every: int | None = None,
                 describe: bool = False, keep_patient: bool = False, offline: bool = False,
                 show: ShowProgress | None = None, **options: Any) -> FusedVolume:
    """Fuse two volumes, and write the result with a record of how it was made.

        done = vlfusion.fuse_volumes('film-mif', 'mri.nii.gz', 'pet/', 'fused.nii.gz', colormap='hot')
        print(done.record['source_b']['window'])

    The record is a JSON file beside the result. It names no source: files are identified by their SHA-256, because
    their names and headers may hold the patient's name.

    Args:
        checkpoint: model, as for `vlfusion.fuse`, or an open `Fuser`, which is not loaded again.
        source_a, source_b: volumes: NIfTI files, or folders of a DICOM series; A is the MRI.
        out: what to write, by its ending. `.nii` or `.nii.gz`: the fused luminance; with a colour map also the
            coloured volume, as `NAME_rgb.nii.gz`. `.png`: a mosaic alone. No ending: a new folder of DICOM secondary
            captures, in colour if there is a colour map.
        onto, axis, window_a, window_b: as for `vlfusion.volumes.pair.VolumePair`.
        colormap: name of matplotlib's colour map for source B. It gives the chroma alone: the network reads grey
            levels, and the luminance is the same with any map.
        mosaic: PNG file of source A, source B and the result in some slices.
        every: number of slices that share the words of the middle one; by default each slice is described.
        describe: True to return the words that the model read.
        keep_patient: True to keep patient and study of the source whose grid is kept in a DICOM result.
        offline: True to download no weights.
        show: progress and notes; by default notes are logged and no progress is shown.
        options: options of the `Fuser`, such as `instruction`, `device` or `protocol`; `depth`, `fit` and `register`
            are for pictures. With an open `Fuser` only `modality_a`, `modality_b` and `instruction` may be given.

    Raises:
        DataError: a source is no volume, holds several, or does not fit the other or its window; or the result cannot
            be written.
        ConfigError: an option has an unknown value, or a package of the extra `medical` is not installed.
        CheckpointError: as for `vlfusion.fuse`.
    """
    if refused := sorted(_FOR_PICTURES & options.keys()):
        raise ConfigError(f'Volumes are fused without {" and ".join(refused)}.', 'Leave it out.')
    out = Path(out)
    outputs = plan_outputs(out, colormap, mosaic)
    for source in (source_a, source_b):
        if not is_volume(source):
            raise DataError(f'{source} is no volume.' if os.path.exists(source) else f'No volume at {source}.',
                            'Give two NIfTI files or two folders of DICOM series.')
    if every is not None and every < 1:
        raise ConfigError(f'Every slice or every N-th is described, but N is {every}.', 'Write every=1 or more.')
    if keep_patient and 'captures' not in outputs:
        raise ConfigError('A patient is kept in DICOM files only.',
                          'Leave --keep-patient out, or name a folder as --out.')
    table = colour_table(colormap) if colormap else None
    is_open = not isinstance(checkpoint, str | os.PathLike)
    if is_open:
        _check_open(checkpoint, options)
    else:
        require_model(checkpoint)
    check_outputs(outputs.values(), [source_a, source_b])
    step, say = show or (lambda *_, **__: None), show.print if show else LOG.warning
    pair = VolumePair(read_volume(source_a), read_volume(source_b), onto=onto, axis=axis, window_a=window_a,
                      window_b=window_b)
    if keep_patient and not pair.grid.modality:
        raise DataError(f'{pair.grid.path} is no DICOM series, so it names no patient to keep.',
                        'Leave --keep-patient out.')
    for line in explain(pair):
        say(line)

    for side, volume in zip('ab', pair.volumes, strict=True):
        options[f'modality_{side}'] = options.get(f'modality_{side}') or MODALITIES.get(volume.modality)
    fuser = checkpoint if is_open else open_fuser(checkpoint, offline=offline, show=show, **options)
    fuser.check_maps({})
    if every is not None and not fuser.texts.source:
        raise ConfigError(f'every={every} chooses slices to describe, but the model reads no text.', 'Leave it out.')
    say(f'Model: {fuser.origin}.')
    if fuser.protocol.stretch == 'min-max':
        say(f'The protocol {fuser.protocol.name} stretches each slice to its own black and white; --protocol plain '
            'keeps one scale for all slices.')
    fused, words = _fuse_slices(fuser, pair, every, describe, step, options)
    record = _record(pair, fuser, colormap, every, options.get('instruction'))
    _write(outputs, pair, fused, table, fuser.chroma, record, keep_patient)
    return FusedVolume(tuple(outputs.values()), record, words)


def _check_open(fuser: 'Fuser', options: Mapping[str, Any]) -> None:
    """Raise ConfigError if an open `Fuser` has settings for pictures, or options of its making are given."""
    if fixed := sorted(options.keys() - {'modality_a', 'modality_b', 'instruction'}):
        raise ConfigError(f'The Fuser is open, so {fixed[0]} cannot be set any more.',
                          'Set it when you open the Fuser.')
    if fuser.depth != 8 or fuser.fit != 'refuse' or fuser.register:
        raise ConfigError('Volumes are fused without depth, fit and register, but the Fuser has one of them.',
                          'Open a Fuser without them.')


def plan_outputs(out: Path, colormap: str | None, mosaic: PathLike | None) -> dict[str, Path]:
    """Return what is written and where: `luminance`, `rgb`, `captures`, `mosaic`, `record`; see `fuse_volumes`.

    Raises:
        DataError: the ending of a path is none of those, or the folder holds files.
        ConfigError: a mosaic is asked for twice.
    """
    if is_nifti_name(out):
        stem = out.name[:out.name.lower().rindex('.nii')]
        outputs = {'luminance': out}
        if colormap:
            outputs['rgb'] = out.with_name(f'{stem}_rgb{out.name[len(stem):]}')
    elif out.suffix.lower() == '.png':
        stem, outputs = out.stem, {'mosaic': out}
    elif not out.suffix:
        if out.is_file() or out.is_dir() and not is_empty(out):
            raise DataError(f'{out} exists; a DICOM series is written to a new folder.', 'Choose another --out.')
        stem, outputs = out.name, {'captures': out}
    else:
        raise DataError(f'A fused volume cannot be written as {out.suffix}.',
                        'Write a .nii.gz file, a folder of DICOM files (a name without ending), or a mosaic (.png).')
    if mosaic:
        if 'mosaic' in outputs:
            raise ConfigError('--out is a mosaic already.', 'Leave --mosaic out, or write --out as NAME.nii.gz.')
        if Path(mosaic).suffix.lower() != '.png':
            raise DataError(f'A mosaic is a PNG file, but got {mosaic}.', 'Write --mosaic NAME.png.')
        outputs['mosaic'] = Path(mosaic)
    return outputs | {'record': out.with_name(f'{stem}.json')}


def explain(pair: VolumePair) -> list[str]:
    """Return lines for the user about the sources, their windows and the grid."""
    lines = [f'Source {side}: {volume}; window {window}' + (f'; {volume.remark}.' if volume.remark else '.')
             for side, volume, window in zip('AB', pair.volumes, (pair.window_a, pair.window_b), strict=True)]
    other = 'AB'[pair.onto == 'a']
    lines.append(f'{len(pair)} {pair.axis} slices on the grid of source {pair.onto.upper()}; source {other} covers '
                 f'{pair.coverage:.0%} of it.')
    if same_frame(pair) is False:
        lines.append('The two series have different frames of reference, so their positions may not fit: look at a '
                     '--mosaic, and register them if they do not.')
    return lines


def same_frame(pair: VolumePair) -> bool | None:
    """Tell whether both sources have one frame of reference; None if a header states none, as in NIfTI files."""
    frames = [volume.frame for volume in pair.volumes]
    return frames[0] == frames[1] if all(frames) else None


def _fuse_slices(fuser: 'Fuser', pair: VolumePair, every: int | None, describe: bool,
                 step: Any, options: Mapping[str, Any]) -> tuple[list['Fused'], dict[str, dict[str, str]]]:
    """The fused slices in order, and the words that were read about the described ones."""
    count = len(pair)
    with TemporaryDirectory(prefix='vlfusion-') as folder:
        slices = [Pair(name, *(Path(folder, f'{name}_{side}.png') for side in 'ab'),
                       options['modality_a'] or '', options['modality_b'] or '')
                  for name in map(SLICE.format, range(count))]
        number = {item.name: index for index, item in enumerate(slices)}
        described = [slices[index] for index in described_slices(count, every or 1)] if fuser.texts.source else []
        for item in described:
            for path, picture in zip((item.path_a, item.path_b), pair.pictures(number[item.name]), strict=True):
                write_image(path, picture)  # describing reads files
        if described:
            fuser.describe(described, progress=step)

        def text(item: Pair) -> Mapping[str, np.ndarray]:
            nearest = described[min(number[item.name] // (every or 1), len(described) - 1)]
            return fuser.texts.features(nearest, {}, described=True)

        def read(item: Pair) -> Mapping[str, np.ndarray]:
            return dict(zip(('source_a', 'source_b'), pair.pictures(number[item.name]), strict=True))

        fused = []
        step('fusing slices', 0, count)
        for result in fuser.fuse_many(slices, text if described else None, read=read,
                                      instruction=options.get('instruction')):
            fused.append(result)
            step('fusing slices', len(fused), count)
        words = {item.name: fuser.texts.paragraphs(item) for item in described if describe}
    return fused, words


def described_slices(count: int, every: int) -> list[int]:
    """Return the middle slice of every `every` neighbouring ones.

    >>> described_slices(20, 8), described_slices(3, 1)
    ([4, 12, 18], [0, 1, 2])
    """
    return [(start + min(start + every, count)) // 2 for start in range(0, count, every)]


def _write(outputs: Mapping[str, Path], pair: VolumePair, fused: Sequence['Fused'], table: np.ndarray | None,
           chroma: str, record: Mapping[str, Any], keep_patient: bool) -> None:
    from vlfusion.imaging.chroma import add_chroma
    about = record['summary']
    outputs['record'].unlink(missing_ok=True)  # a killed run leaves no record of another result

    def colours_of_b(index: int) -> np.ndarray:
        picture = pair.pictures(index)[1]
        return picture if table is None else coloured(picture, table, pair.inside_b(index))

    def in_colour(index: int) -> np.ndarray:
        grey, strength = fused[index].grey, fused[index].colour_strength
        if table is None:
            return grey
        result = add_chroma(grey, pair.pictures(index)[0], colours_of_b(index), chroma, strength)
        return result if result.ndim == 3 else np.dstack([grey] * 3)

    if path := outputs.get('luminance'):
        write_nifti(path, pair.put_together([result.grey for result in fused]), pair.grid.affine, like=pair.grid,
                    description=about)
    if path := outputs.get('rgb'):
        pictures = [in_colour(index)[..., ::-1] for index in range(len(fused))]
        write_nifti(path, pair.put_together(pictures), pair.grid.affine, like=pair.grid, description=about)
    if path := outputs.get('captures'):
        with whole_folder(path) as folder:
            write_captures(folder, [in_colour(index) for index in range(len(fused))], pair.affine, title=about,
                           derivation='; '.join(explain(pair)[:3]), patient=pair.grid if keep_patient else None)
    if path := outputs.get('mosaic'):
        shown = slices_to_show(len(fused))
        rows = [[picture(index) for index in shown]
                for picture in (lambda index: pair.pictures(index)[0], colours_of_b, in_colour)]
        write_image(path, draw_mosaic(rows, pair.aspect))
    write_json(outputs['record'], record)


def _record(pair: VolumePair, fuser: 'Fuser', colormap: str | None, every: int | None,
            instruction: str | None) -> dict[str, Any]:
    """The facts by which the result can be made again; without names and dates."""
    from vlfusion import __version__
    windows = pair.window_a, pair.window_b
    sources = {f'source_{side}': _source(volume) | {
        'window': {'rule': window.rule, 'low': window.low, 'high': window.high}}
        for side, volume, window in zip('ab', pair.volumes, windows, strict=True)}
    described = {'described_every': every or 1} if fuser.texts.source else {}
    return {
        'summary': f'vlfusion {Path(fuser.checkpoint).name}; A {pair.window_a.rule}; B {pair.window_b.rule}',
        'vlfusion': __version__, 'model': Path(fuser.checkpoint).name, 'origin': fuser.origin,
        'protocol': fuser.protocol.name, 'chroma': fuser.chroma, 'colormap': colormap,
        'instruction': instruction, **described, **sources,
        'grid': {'of': f'source_{pair.onto}', 'shape': list(pair.grid.shape), 'affine': pair.grid.affine.tolist(),
                 'interpolation': 'linear', 'coverage': pair.coverage, 'same_frame': same_frame(pair)},
        'axis': pair.axis, 'slices': len(pair)}


def _source(volume: Volume) -> dict[str, Any]:
    digests = [file_digest(path) for path in volume.files]
    together = digests[0] if len(digests) == 1 else hashlib.sha256(''.join(digests).encode()).hexdigest()
    return {'sha256': together, 'files': len(digests), 'modality': volume.modality, 'unit': volume.unit,
            'remark': volume.remark, 'shape': list(volume.shape), 'spacing': volume.spacing.tolist()}
