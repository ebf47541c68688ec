"""The structural term of DenseFuse's loss, as the training script of the authors' PyTorch version computes it."""

from jaxtyping import Float
from torch import Tensor

from vlfusion.errors import DataError
from vlfusion.losses import fidelity

Image = Float[Tensor, 'batch 1 h w']


def multi_scale_similarity(restored: Image, image: Image) -> Float[Tensor, '']:
    """vlfusion's similarity of that name, a relative of MS-SSIM, on grey levels; 1 for equal images.

    As in the released code, by which the released weights are trained, the data range of a scale is 255 only where the
    restored image exceeds 128 there, and 1 elsewhere.

    Args:
        restored: grey levels, 0 or more, at least 32x32.
        image: grey levels in 0..255.

    Raises:
        DataError: the images are too small for five scales.
    """
    if min(image.shape[-2:]) < 32:
        raise DataError(f'Five scales need images of at least 32x32, but got {tuple(image.shape[-2:])}.',
                        'Use larger crops.')
    return fidelity.multi_scale_similarity(restored, image, lambda restored: 255. if restored.max() > 128 else 1.)
