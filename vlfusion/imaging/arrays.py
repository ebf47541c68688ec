"""Images in memory: arrays, PIL images and tensors become arrays as `vlfusion.imaging.images.read_image` returns."""

import os
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Shaped
from PIL import Image, ImageOps
from torch import Tensor

from vlfusion.errors import DataError
from vlfusion.imaging.images import read_image

#: A file, or an image in memory: a PIL image, a tensor, an array, or anything that NumPy reads as one. `as_image`
#: checks it.
AnyImage: TypeAlias = Any
_TAKEN = ('Give a file, a PIL image, a NumPy array (h, w), (h, w, 1) or (h, w, 3) in red-green-blue, or a tensor '
          '(h, w), (1, h, w) or (3, h, w).')


def as_image(image: AnyImage, what: str = 'The image') -> Shaped[np.ndarray, 'h w *bgr']:
    """Convert an image to OpenCV's form: 8- or 16-bit, grey `(h, w)` or blue-green-red `(h, w, 3)`.

    Values are uint8, uint16, or floats in [0, 1]. Colour in memory is red-green-blue. Alpha is dropped, as in a file.
    Floats that are whole 8-bit levels, such as those of torchvision's `ToTensor`, become these levels again. Other
    floats become 16-bit levels.

    Args:
        image: a file; a PIL image, which its EXIF orientation turns upright; a NumPy array `(h, w)`, `(h, w, 1)`,
            `(h, w, 3)` or `(h, w, 4)`; a tensor `(h, w)`, `(channels, h, w)` or `(1, channels, h, w)`.
        what: name of the image in messages.

    Raises:
        DataError: the shape, the type or the range is not supported, or the file cannot be read.

    >>> as_image(np.array([[[255, 128, 0]]], np.uint8)).tolist()
    [[[0, 128, 255]]]
    >>> as_image(torch.tensor([[[0.0, 1 / 255, 1.0]]])).tolist(), as_image(np.array([[0.0, 0.3]])).tolist()
    ([[0, 1, 255]], [[0, 19660]])
    """
    if isinstance(image, str | os.PathLike):
        return read_image(image)
    if isinstance(image, Image.Image):
        image = _pil_values(image)
    elif isinstance(image, Tensor):
        image = _channels_last(image, what)
    elif hasattr(image, '__array__'):
        image = np.asarray(image)
    if not isinstance(image, np.ndarray):
        raise DataError(f'{what} is a {type(image).__name__}.', _TAKEN)
    if image.ndim not in (2, 3) or not image.size or image.ndim == 3 and image.shape[2] not in (1, 3, 4):
        first = image.ndim == 3 and image.shape[0] in (1, 3)
        raise DataError(f'{what} is an array of shape {image.shape}.',
                        'Move its channels last: np.moveaxis(image, 0, -1).' if first else _TAKEN)
    levels = _levels(image, what)
    if levels.ndim == 2:
        return levels
    return np.ascontiguousarray(levels[..., 0] if levels.shape[2] == 1 else levels[..., 2::-1])


def _pil_values(image: Image.Image) -> Shaped[np.ndarray, 'h w ...']:
    image = ImageOps.exif_transpose(image)
    if image.mode in ('1', 'LA', 'La'):
        image = image.convert('L')
    elif image.mode == 'I':  # PIL opens some 16-bit files with 32 bits
        values = np.asarray(image)
        return values.astype(np.uint16) if values.min() >= 0 and values.max() <= 65535 else values
    elif image.mode not in ('L', 'RGB', 'RGBA', 'F') and not image.mode.startswith('I;16'):
        image = image.convert('RGB')
    return np.asarray(image)


def _channels_last(image: Tensor, what: str) -> Shaped[np.ndarray, 'h w ...']:
    shape = tuple(image.shape)
    if image.ndim == 4 and shape[0] == 1:
        image = image[0]
    if image.ndim not in (2, 3) or image.ndim == 3 and image.shape[0] not in (1, 3, 4):
        raise DataError(f'{what} is a tensor of shape {shape}.', _TAKEN)
    image = image.detach().cpu()
    if image.dtype in (torch.bfloat16, torch.float16):
        image = image.float()
    return (image.movedim(0, -1) if image.ndim == 3 else image).numpy()


def _levels(image: Shaped[np.ndarray, 'h w ...'], what: str) -> Shaped[np.ndarray, 'h w ...']:
    """The values as 8- or 16-bit levels."""
    if image.dtype.type in (np.uint8, np.uint16):
        return image.astype(image.dtype.type)  # in this machine's order of bytes
    if image.dtype == bool:
        return image.astype(np.uint8) * np.uint8(255)
    if not np.issubdtype(image.dtype, np.floating):
        raise DataError(f'{what} holds {image.dtype} values.', 'Convert it to uint8, uint16, or floats in [0, 1].')
    low, high = image.min(), image.max()
    if not (low >= -1e-6 and high <= 1 + 1e-6):  # also for NaN
        raise DataError(f'{what} holds floats from {low:g} to {high:g}; expected [0, 1].',
                        'Divide 8-bit values by 255; or scale to a range that you choose, and clip.')
    levels = image.clip(0, 1) * 255
    if np.abs(levels - levels.round()).max() < 1e-3:
        return levels.round().astype(np.uint8)
    return (image.clip(0, 1).astype(np.float64) * 65535).round().astype(np.uint16)
