"""The structural term of DenseFuse (Li and Wu, IEEE TIP 2019), as in the training script of its PyTorch version."""

from jaxtyping import Float
from torch import Tensor

from vlfusion.errors import DataError
from vlfusion.losses import fidelity

Image = Float[Tensor, 'batch 1 h w']


def multi_scale_similarity(restored: Image, image: Image) -> Float[Tensor, '']:
    """Compute `vlfusion.losses.multi_scale_similarity`, a variant of MS-SSIM, on grey levels; 1 for equal images.

    The data range of a scale is 255 if the restored image exceeds 128 at that scale, and 1 otherwise. The code that
    trained the released weights does the same.

    Args:
        restored: grey levels, 0 or more, of at least 32x32 pixels.
        image: grey levels in 0..255, of the same size.

    Raises:
        DataError: the images are too small for five scales.
    """
    if min(image.shape[-2:]) < 32:
        raise DataError(f'Five scales need images of at least 32x32, but got {tuple(image.shape[-2:])}.',
                        'Use larger crops.')
    return fidelity.multi_scale_similarity(restored, image, lambda restored: 255. if restored.max() > 128 else 1.)
