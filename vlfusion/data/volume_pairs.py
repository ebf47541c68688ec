"""Slices of volumes as a data set of pairs, for training and testing."""

import glob
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vlfusion.console.progress import track
from vlfusion.data.cases import PARTS, find_cases, part_of
from vlfusion.data.dataset import PairDataset
from vlfusion.data.names import SLICE
from vlfusion.errors import ConfigError, DataError
from vlfusion.files import whole_folder, writable_cache_folder, write_json
from vlfusion.imaging.images import write_image
from vlfusion.registry import DATASETS
from vlfusion.volumes.pair import VolumePair
from vlfusion.volumes.reading import files_of, read_volume

#: Version of how slices are cut. Raise it with every change of their pixels, so that they are cut again.
RECIPE = 2


@DATASETS.register_module()
class VolumePairDataset(PairDataset):
    """Slices of pairs of volumes, each a pair of 16-bit pictures.

    The slices are those of `vlfusion fuse` for the same options. They are cut once, into PNG files in `slices`, so the
    descriptions, scores and pictures of a slice work as for any other pair. A slice is named by its case, such as
    `sub-03/slice_0012`: statistics count the cases, since the slices of one are not independent.

        dataset = dict(type='VolumePairDataset', data_root='data/mine', source_a='{name}/mri.nii.gz',
                       source_b='{name}/pet.nii.gz', window_b='suv:0,10', part='train')

    Args:
        task: name of the task, such as `mif`.
        data_root: folder that all patterns are relative to.
        source_a: folder or pattern of source A's volumes, see `vlfusion.data.cases.find_cases`.
        source_b: folder or pattern of source B's volumes.
        names: the cases to use: a list, or a text file relative to `data_root`; None uses all.
        part: part of these cases to use, such as `train`; None uses all. Every case is in exactly one part.
        parts: shares of the parts.
        seed: seed by which cases are drawn for the parts.
        onto: source whose grid is kept, `a` or `b`.
        axis: `axial`, `coronal` or `sagittal`; by default that of the acquisition.
        window_a: rule of source A's window, see `vlfusion.volumes.windows.find_window`.
        window_b: rule of source B's window.
        every: number of slices from one that is used to the next.
        least: smallest share of the pixels of a slice that are not black, in both sources; slices with less are left
            out.
        slices: folder for the slices; by default `volumes` in vlfusion's cache folder.
        modality_a, modality_b, text_source, language, text_length, text_policy: as for `PairDataset`.
        words, instructions, pipeline, check, name: as for `PairDataset`.

    Attributes:
        cases: names of the cases, sorted.
        pairs: the slices as `Pair`s, sorted by name.

    Raises:
        DataError: volumes are missing, are damaged or do not fit together; or a case has no slice that is not black.
        ConfigError: the arguments do not fit together, or a package of the extra `medical` is not installed.
    """

    def __init__(self, task: str, data_root: str | os.PathLike, source_a: str, source_b: str,
                 names: str | os.PathLike | Sequence[str] | None = None, *, part: str | None = None,
                 parts: Mapping[str, float] = PARTS, seed: int = 0, onto: str = 'a', axis: str | None = None,
                 window_a: str | None = None, window_b: str | None = None, every: int = 1, least: float = 0.02,
                 slices: str | os.PathLike | None = None, modality_a: str | None = None,
                 modality_b: str | None = None, text_source: Mapping | None = None, language: dict | None = None,
                 text_length: int | Mapping[str, int] | None = None, text_policy: str | Mapping = 'own',
                 words: bool = False, instructions: Mapping | None = None, pipeline: Sequence[dict] = (),
                 check: bool = True, name: str | None = None):
        if every < 1 or not 0 <= least <= 1:
            raise ConfigError(f'every={every} and least={least} choose no slices.',
                              'Give every as 1 or more, and least from 0 to 1.')
        found = find_cases(data_root, source_a, source_b, names)
        self.cases = part_of(list(found), part, parts, seed) if part else list(found)
        self._volumes = [file for case in self.cases for path in found[case] for file in (path, *files_of(path))]
        options = dict(onto=onto, axis=axis, window_a=window_a, window_b=window_b)
        place = Path(slices) if slices else writable_cache_folder() / 'volumes'
        folders = {case: place / _key(found[case], options, every, least) for case in self.cases}
        missing = [case for case, folder in folders.items() if not folder.exists()]
        for case in track(missing, 'cutting volumes', quiet=not missing):
            cut(found[case], folders[case], options, every, least)
        subsets = {case: dict(source_a=_pattern(folder / 'a'), source_b=_pattern(folder / 'b'))
                   for case, folder in folders.items()}
        super().__init__(
            task, data_root, subsets=subsets, modality_a=modality_a, modality_b=modality_b, text_source=text_source,
            language=language, text_length=text_length, text_policy=text_policy, words=words,
            instructions=instructions, pipeline=pipeline, check=check, name=name)

    def files(self):
        """Yield the slices, and the volumes that they were cut from."""
        yield from super().files()
        yield from self._volumes


def cut(volumes: Sequence[Path], folder: Path, options: Mapping[str, str | None], every: int = 1,
        least: float = 0.) -> None:
    """Cut two volumes into `folder/a/slice_0000.png ...` and `folder/b/...`, whole or not at all.

    Args:
        volumes: paths of source A and source B.
        folder: folder that does not exist yet.
        options: `onto`, `axis`, `window_a` and `window_b` of `vlfusion.volumes.pair.VolumePair`.
        every, least: as for `VolumePairDataset`.

    Raises:
        DataError: as for `vlfusion.volumes.reading.read_volume` and `VolumePair`; or no slice has enough pixels that
            are not black.
    """
    pair = VolumePair(*map(read_volume, volumes), **options)
    with whole_folder(folder) as made:
        written = 0
        for index in range(0, len(pair), every):
            pictures = pair.pictures(index)
            if min(np.count_nonzero(picture) / picture.size for picture in pictures) >= least:
                for side, picture in zip('ab', pictures, strict=True):
                    write_image(made / side / f'{SLICE.format(index)}.png', picture)
                written += 1
        if not written:
            raise DataError(f'No slice of {volumes[0]} and {volumes[1]} is filled to {least:.0%} in both sources.',
                            'Lower `least`, choose other windows, or leave the case out.')
        windows = [dict(rule=window.rule, low=window.low, high=window.high)
                   for window in (pair.window_a, pair.window_b)]
        write_json(made / 'slices.json', dict(
            recipe=RECIPE, axis=pair.axis, onto=pair.onto, windows=windows, coverage=pair.coverage, slices=written))


def _key(volumes: Sequence[Path], options: Mapping[str, str | None], every: int, least: float) -> str:
    """Name of the folder of slices: it changes with the files of the volumes, and with every option."""
    files = [file for path in volumes for file in files_of(path)]
    states = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(json.dumps([RECIPE, states, options, every, least]).encode()).hexdigest()[:24]


def _pattern(folder: Path) -> str:
    return glob.escape(str(folder.absolute()))
