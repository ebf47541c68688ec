"""Images in the form that image-text models read."""

import numpy as np
from jaxtyping import Shaped
from PIL import Image

from vlfusion.errors import DataError
from vlfusion.imaging.images import to_8bit


def rgb(image: Shaped[np.ndarray, '...']) -> Image.Image:
    """Convert an image to an 8-bit RGB picture. A grey image gets three equal channels.

    16 bits become 8 as in `vlfusion.imaging.images.to_8bit`.

    Args:
        image: `(h, w)` grey or `(h, w, 3)` blue-green-red, uint8 or uint16, as `vlfusion.imaging.read_image` gives it.

    Raises:
        DataError: the image has another type, such as float, or another shape.
    """
    if image.dtype not in (np.uint8, np.uint16):
        raise DataError(f'A captioner reads 8- or 16-bit unsigned images, but this one holds '
                        f'{image.dtype}{_nan(image)}.',
                        'Read it with vlfusion.imaging.read_image, or scale it to 0..255 and convert it to uint8.')
    if not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)) or not image.size:
        raise DataError('A captioner reads images (h, w) or (h, w, 3) with at least one pixel, but this one has the '
                        f'shape {image.shape}.', 'Read it with vlfusion.imaging.read_image.')
    image = to_8bit(image)
    if image.ndim == 2:
        return Image.fromarray(image).convert('RGB')
    return Image.fromarray(np.ascontiguousarray(image[..., ::-1]))


def _nan(image: np.ndarray) -> str:
    return ' with NaN or infinity' if image.dtype.kind == 'f' and not np.isfinite(image).all() else ''
