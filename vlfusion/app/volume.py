"""Two uploaded volumes, fused slice by slice, and their slices for the page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vlfusion.app.batch import Step
from vlfusion.app.equal import command
from vlfusion.app.limits import Limits, check_volume
from vlfusion.app.models import Models, Settings, overheard
from vlfusion.app.pair import brief, copy_upload, names_of, without, without_folders
from vlfusion.console.progress import ShowProgress
from vlfusion.imaging.images import to_8bit
from vlfusion.inference.volumes import fuse_volumes
from vlfusion.volumes.pair import VolumePair
from vlfusion.volumes.pictures import colour_table, coloured
from vlfusion.volumes.reading import read_volume

#: Colour maps of matplotlib that the page offers for source B.
COLOURS = ('hot', 'inferno', 'viridis', 'plasma')
#: Window that leaves 8-bit levels as they are: level and width.
_AS_STORED = '127.5,255'


@dataclass(frozen=True)
class FusedVolumes:
    """Two fused volumes.

    Attributes:
        folder: folder of all files.
        downloads: the fused volume, its coloured copy if there is one, and the record.
        count: number of slices.
        aspect: height over width of a pixel.
        lines: lines about sources, windows and grid, each a line of text.
        command: the same as a command line.
    """

    folder: Path
    downloads: list[Path]
    count: int
    aspect: float
    lines: list[str]
    command: str

    def slice(self, index: int) -> list[UInt8[np.ndarray, 'h w ...']]:
        """Return source A, source B and the result in a slice, counted from 1; colour is red-green-blue."""
        return [np.asarray(np.load(self.folder / f'{name}.npy', mmap_mode='r')[index - 1])
                for name in ('a', 'b', 'fused')]


class _Steps(ShowProgress):
    """Progress that goes to the page, and lines that are kept for it."""

    def __init__(self, step: Step):
        super().__init__(quiet=True)
        self.step, self.kept = step, []

    def __call__(self, step: str, done: int, total: int, note: str = '', inner: bool = False) -> None:
        if not inner:
            self.step(step.capitalize(), done, total)

    def print(self, *lines: Any) -> None:
        self.kept += map(str, lines)


def fuse_uploads(models: Models, settings: Settings, uploads: Sequence[Path], folder: Path, limits: Limits, *,
                 colormap: str = '', axis: str = '', every: int = 4, step: Step = lambda *_: None) -> FusedVolumes:
    """Fuse two uploaded NIfTI files.

    Args:
        models: models of the page.
        settings: settings of the visitor; `fit` and `register` are for pictures.
        uploads: source A and source B.
        folder: empty folder for the work.
        limits: limits of the page.
        colormap: name of matplotlib's colour map for source B; empty for none.
        axis: orientation of the slices; empty for that of the acquisition.
        every: number of slices that share words, if the model reads them.
        step: progress.

    Raises:
        Refused: a file is no NIfTI file or exceeds the limits, or the volumes cannot be fused.
    """
    paths = []
    for upload, side in zip(uploads, 'AB', strict=True):
        place = folder / side / upload.name
        place.parent.mkdir(parents=True)
        copy_upload(upload, place)
        paths.append(place)
    options = {name: value for name, value in {'colormap': colormap, 'axis': axis}.items() if value}
    with without_folders(folder):
        for path in paths:
            check_volume(path, limits)
    settings, show = replace(settings, fit='refuse', register=''), _Steps(step)
    with models.use(settings) as fuser, overheard() as notes, without_folders(folder):
        reads_words, _ = models.reads(settings.model)
        done = fuse_volumes(
            fuser, *paths, folder / 'fused.nii.gz', **options, every=every if reads_words else None, show=show,
            modality_a=settings.modality_a or None, modality_b=settings.modality_b or None,
            instruction=settings.instruction or None)
        pair = VolumePair(*map(read_volume, paths), axis=axis or None)
        result = VolumePair(read_volume(paths[0]), read_volume(folder / 'fused.nii.gz'), axis=axis or None,
                            window_b=_AS_STORED)
        if colormap:
            shown = _coloured_slices(folder / 'fused_rgb.nii.gz', pair)
        else:
            shown = [to_8bit(result.pictures(index)[1]) for index in range(len(pair))]
        table = colour_table(colormap) if colormap else None
        slices_a, slices_b = [], []
        for index in range(len(pair)):
            image_a, image_b = pair.pictures(index)
            slices_a.append(to_8bit(image_a))
            slices_b.append(to_8bit(image_b) if table is None
                            else to_8bit(coloured(image_b, table, pair.inside_b(index)))[..., ::-1])
        for name, slices in {'a': slices_a, 'b': slices_b, 'fused': shown}.items():
            np.save(folder / f'{name}.npy', np.stack(slices))
        shorter = brief(settings, fuser)
    kept = [without(line, folder) for line in [*show.kept, *notes]]
    asked = {**({'describe': f'every={every}'} if reads_words else {}), **options, **models.shown_options}
    return FusedVolumes(folder, list(done.written), len(pair), pair.aspect, kept,
                        command(shorter, names_of(uploads, 'fused.nii.gz', 'fused_rgb.nii.gz'), 'fused.nii.gz', asked,
                                modules=models.modules))


def _coloured_slices(path: Path, pair: VolumePair) -> list[UInt8[np.ndarray, 'h w 3']]:
    """Return the slices of a coloured NIfTI file in the order of a pair's."""
    import nibabel
    channels = nibabel.load(path).dataobj.get_unscaled()
    planes = []
    for channel in 'RGB':
        volume = read_like(pair, np.asarray(channels[channel], np.float32))
        planes.append([to_8bit(volume.pictures(index)[1]) for index in range(len(pair))])
    return [np.dstack(slices) for slices in zip(*planes, strict=True)]


def read_like(pair: VolumePair, values: np.ndarray) -> VolumePair:
    """Return a pair whose second volume has the given 8-bit levels on the grid of the first."""
    return VolumePair(pair.grid, replace(pair.grid, values=values), axis=pair.axis, window_b=_AS_STORED)
