"""The bytes of image files, and the formats of files that are not images."""

import os
import stat
import zlib

from vlfusion.errors import DataError

TWO_PICTURES = 'vlfusion reads two registered pictures, one file each.'
_SLICES = f'{TWO_PICTURES} Save the slices that you want to fuse as 16-bit PNG or TIFF files.'
_VOLUME = ('`vlfusion fuse` takes two volumes or two DICOM series, and a VolumePairDataset takes many. For other work, '
           'save the slices as 16-bit PNG or TIFF files.')
_FRAMES = ('`vlfusion fuse` reads videos. Elsewhere save the frames as pictures, for example: '
           'ffmpeg -i VIDEO FOLDER/%05d.png')
_RAW = f'{TWO_PICTURES} Develop it into a 16-bit TIFF or PNG file.'
_ARRAY = f'{TWO_PICTURES} Save each picture as a TIFF file, for example with the package tifffile.'
_HEIF = 'Convert it to PNG, for example with the package pillow-heif.'
_CONVERT = 'Convert it to PNG or TIFF.'
_FETCH = 'Fetch the real file: git lfs pull'
_AGAIN = 'Download it again; a failed download often leaves an error page.'

#: Formats that the first bytes identify: offset, bytes, description, and what to do with the file.
_SIGNATURES = (
    (0, b'version https://git-lfs', 'a Git LFS pointer instead of the image', _FETCH),
    (128, b'DICM', 'a DICOM file', _VOLUME),
    (344, b'n+1\0', 'a NIfTI volume', _VOLUME), (344, b'ni1\0', 'a NIfTI volume', _VOLUME),
    (4, b'n+2\0', 'a NIfTI volume', _VOLUME),
    (0, b'NRRD', 'an NRRD volume', _VOLUME), (0, b'ObjectType', 'a MetaImage volume', _VOLUME),
    (0, b'SIMPLE  =', 'a FITS file', _SLICES),
    (8, b'AVI ', 'a video', _FRAMES), (0, b'\x1aE\xdf\xa3', 'a video', _FRAMES), (0, b'FLV', 'a video', _FRAMES),
    (0, b'\0\0\1\xba', 'a video', _FRAMES), (0, b'\0\0\1\xb3', 'a video', _FRAMES),
    (0, b'0&\xb2u\x8ef\xcf\x11', 'a video', _FRAMES), (0, b'OggS', 'a video', _FRAMES),
    *((4, b'ftyp' + brand, 'a HEIF image', _HEIF) for brand in (b'heic', b'heix', b'hevc', b'mif1', b'msf1')),
    (4, b'ftypcrx', 'a camera raw file', _RAW),
    *((4, b'ftyp' + brand, 'a video', _FRAMES) for brand in (
        b'isom', b'iso2', b'iso4', b'iso5', b'iso6', b'mp41', b'mp42', b'avc1', b'qt  ', b'M4V ', b'MSNV', b'3gp',
        b'dash')),
    (4, b'moov', 'a video', _FRAMES), (4, b'mdat', 'a video', _FRAMES),
    (8, b'CR', 'a camera raw file', _RAW), (0, b'FUJIFILMCCD', 'a raw file of a camera', _RAW),
    (0, b'\xff\n', 'a JPEG XL image', 'Convert it to PNG.'), (4, b'JXL ', 'a JPEG XL image', 'Convert it to PNG.'),
    (0, b'8BPS', 'a Photoshop file', 'Save it as PNG or TIFF.'),
    (0, b'\x93NUMPY', 'a NumPy array', _ARRAY), (0, b'MATLAB 5.0', 'a MATLAB file', _ARRAY),
    (0, b'\x89HDF\r\n', 'an HDF5 file', 'Read it with a Hdf5PairDataset, or save its images as PNG or TIFF files.'),
    (0, b'CDF', 'a NetCDF file', _ARRAY),
    (0, b'%!PS', 'a PostScript drawing', 'Save it as PNG.'), (0, b'v/1\x01', 'an OpenEXR image', _CONVERT),
    (0, b'\0\0\1\0', 'an icon', _CONVERT), (0, b'DDS ', 'a texture', _CONVERT),
    (0, b'gimp xcf', 'a GIMP file', _CONVERT),
    (0, b'PK\3\4', 'a zip archive', 'Unpack it.'), (0, b'%PDF', 'a PDF document', 'Save its pictures as PNG.'),
    *((0, start, 'a web page', _AGAIN) for start in (b'<!DOCTYPE', b'<!doctype', b'<html', b'<HTML')),
    (0, b'<svg', 'a vector drawing', 'Save it as PNG.'), (0, b'<?xml', 'an XML text', _AGAIN))
#: Endings of formats that the first bytes may not identify.
_ENDINGS = {'.dcm': ('a DICOM file', _VOLUME), '.nii': ('a NIfTI volume', _VOLUME), '.mgz': ('a volume', _SLICES),
            '.mpg': ('a video', _FRAMES), '.mp4': ('a video', _FRAMES), '.mov': ('a video', _FRAMES),
            '.avi': ('a video', _FRAMES), '.mkv': ('a video', _FRAMES), '.wmv': ('a video', _FRAMES),
            '.tga': ('a Targa image', _CONVERT), '.exr': ('an OpenEXR image', _CONVERT),
            '.raw': ('a file of bare numbers', _ARRAY), '.seq': ('a recording of an infrared camera', _FRAMES)}


def read_file(path: str | os.PathLike) -> bytes:
    """Read the bytes of an image file.

    Raises:
        DataError: the path is not a regular file, or the file is empty or cannot be read.
    """
    if problem := unreadable(path):
        raise DataError(*problem)
    try:
        with open(path, 'rb') as file:
            return file.read()
    except (OSError, MemoryError) as error:
        raise DataError(f'Cannot read the image {path}: {error or "it does not fit into memory"}.',
                        'Check the path and its permissions.') from error


def unreadable(path: str | os.PathLike) -> tuple[str, str] | None:
    """Reason why a path is not a regular file with content, and what to do; None if it is one."""
    try:
        status = os.stat(path)
    except OSError as error:
        if os.path.islink(path):
            return (f'{path} is a dead link: it points to {os.readlink(path)}, which does not exist.',
                    'Fetch the file that it points to, or take the link out of the folder.')
        return f'Cannot read the image {path}: {error.strerror}.', 'Check the path and its permissions.'
    if stat.S_ISDIR(status.st_mode):
        return f'Cannot read the image {path}: it is a folder.', 'Name a file.'
    if not stat.S_ISREG(status.st_mode):
        return f'Cannot read the image {path}: it is a device, a pipe or a socket.', 'Name a regular file.'
    if not status.st_size:
        return (f'Cannot decode {path} as an image: it is empty, 0 bytes.',
                'Copy it again, or take it out of the folder.')
    return None


def identify(path: str | os.PathLike, data: bytes) -> tuple[str, str] | None:
    """Format of a file that cannot be decoded, such as `a DICOM file`, and what to do with it; None if unknown."""
    start = _unzipped(data) if data.startswith(b'\x1f\x8b') else data[:512]
    for offset, signature, what, remedy in _SIGNATURES:
        if start[offset:].lstrip(b'\xef\xbb\xbf').startswith(signature):
            return what, remedy
    if data.startswith(b'\x1f\x8b'):
        return 'a gzip archive', 'Unpack it.'
    if data[:2] in (b'\x08\0', b'\x02\0') and data[2:4] in (b'\0\0', b'\5\0', b'\x08\0', b'\x10\0', b'\x16\0'):
        return 'a DICOM file', _VOLUME  # an old one, without the preamble of 128 bytes
    return _ENDINGS.get(os.path.splitext(path)[1].lower())


def identify_file(path: str | os.PathLike) -> tuple[str, str] | None:
    """Read the start of a file and `identify` it; None if it cannot be read."""
    try:
        with open(path, 'rb') as file:
            return identify(path, file.read(4096))
    except OSError:
        return None


def _unzipped(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data[:4096], 512)
    except zlib.error:
        return b''
