"""Georeference of GeoTIFF files: coordinate reference system and transform, copied by rasterio."""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from vlfusion.console.notes import note
from vlfusion.errors import DataError, needs
from vlfusion.imaging.fit import Size, crop_offset
from vlfusion.imaging.reading.header import Header
from vlfusion.imaging.reading.tiff import read_tiff_header

#: Endings of files that can hold a georeference.
TIFF_SUFFIXES = ('.tif', '.tiff')


@dataclass(frozen=True)
class Georeference:
    """Place of an image on earth.

    Attributes:
        size: height and width of the image in pixels.
        crs: coordinate reference system, as rasterio has it; None if the file states none.
        transform: affine map from pixels to the coordinates of `crs`, as rasterio has it; None with ground control
            points.
        points: ground control points with their reference system, as rasterio's `gcps`; empty with a transform.
    """

    size: Size
    crs: Any
    transform: Any
    points: tuple = ()

    def encode(self, image: Shaped[np.ndarray, 'h w *bgr']) -> bytes:
        """Bytes of a GeoTIFF file of an image, grey or blue-green-red, compressed without loss.

        Raises:
            ConfigError: rasterio is missing.
        """
        with _rasterio():
            from rasterio.io import MemoryFile
        bands = image[None] if image.ndim == 2 else np.moveaxis(image[..., ::-1], -1, 0)
        place = dict(crs=self.crs, transform=self.transform) if self.transform else {}
        with MemoryFile() as memory:
            with memory.open(driver='GTiff', dtype=image.dtype.name, count=len(bands), height=bands.shape[1],
                             width=bands.shape[2], compress='deflate', **place,
                             **(dict(photometric='RGB') if len(bands) == 3 else {})) as file:
                file.write(np.ascontiguousarray(bands))
                if self.points:
                    file.gcps = self.points
            return memory.read()


def _rasterio() -> AbstractContextManager[None]:
    return needs('Keeping a georeference', 'rasterio', remedy="pip install 'vlfusion[geo]'; or write another format "
                 'than TIFF, such as .png (for folders --suffix .png), which keeps none.')


def is_georeferenced(path: str | os.PathLike) -> bool:
    """Tell whether a file is a GeoTIFF, by its header alone. A file that cannot be read is none.

    Raises:
        ConfigError: it is, and rasterio is missing.
    """
    return _geotiff_header(path) is not None


def _geotiff_header(path: str | os.PathLike) -> Header | None:
    """The header of a GeoTIFF, for which rasterio is there; None for other files."""
    header = read_tiff_header(path) if Path(path).suffix.lower() in TIFF_SUFFIXES else None
    if not (header and header.georeferenced):
        return None
    with _rasterio():
        import rasterio  # noqa: F401
    return header


def read_georeference(path: str | os.PathLike) -> Georeference | None:
    """Read the georeference of a file; None if it is no GeoTIFF.

    Raises:
        ConfigError: the file is a GeoTIFF, and rasterio is missing.
        DataError: rasterio cannot read the file.
    """
    header = _geotiff_header(path)
    if not header:
        return None
    if header.orientation != 1:
        note('georeference', f'{path} is georeferenced, but stored turned or mirrored; its georeference is not kept.')
        return None
    size = header.height, header.width
    import rasterio
    try:
        with rasterio.open(path) as file:
            points, crs = file.gcps
            if points:
                return Georeference(size, None, None, (points, crs))
            return None if file.transform.is_identity else Georeference(size, file.crs, file.transform)
    except rasterio.errors.RasterioError as error:
        raise DataError(f'Cannot read the georeference of {path}: {error}.',
                        'Write the result as .png, which keeps none.') from error


def georeference_of_result(target: Path, paths: Sequence[str | os.PathLike], size: Size, fit: str = 'refuse',
                           moved: bool = False) -> Georeference | None:
    """The georeference of a fused image: that of the first source that has one, for the pixels of the result.

    Args:
        target: file of the result.
        paths: files of the sources, in order.
        size: height and width of the result.
        fit: rule by which the sources got this size, see `vlfusion.imaging.fit`.
        moved: whether source B was moved onto source A.

    Returns:
        None if the result is no TIFF file, if no source has one, or only source B and it was moved; a note tells of
        the latter.

    Raises:
        ConfigError, DataError: as for `read_georeference`.
    """
    files = dict.fromkeys(map(os.fspath, paths))  # each once, also if a file gives several pages
    for number, path in enumerate(files if target.suffix.lower() in TIFF_SUFFIXES else ()):
        reference = read_georeference(path)
        if reference and number == 1 and moved:
            note('georeference', f'{path} is georeferenced, but was moved onto {paths[0]}, which is not; the fused '
                                 'image has no georeference.')
            return None
        if reference and reference.size == size:
            return reference
        if reference and reference.points:
            raise DataError(f'{path} has ground control points, which are not kept for another size.',
                            'Rectify the image first, for example with gdalwarp; or write a .png file.')
        if reference:
            from rasterio import Affine
            (height, width), (top, left) = reference.size, crop_offset(reference.size, size)
            change = Affine.translation(left, top) if fit == 'crop' else Affine.scale(width / size[1], height / size[0])
            return Georeference(size, reference.crs, reference.transform * change)
    return None
