"""The structural term of DenseFuse's loss, as the training script of the authors' PyTorch version computes it."""

import math
from functools import cache

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

from vlfusion.errors import DataError
from vlfusion.metrics.ms_ssim import WEIGHTS
from vlfusion.metrics.ssim import contrast_structure, ssim_map
from vlfusion.metrics.windows import Window

Image = Float[Tensor, 'batch 1 h w']


def multi_scale_similarity(restored: Image, image: Image) -> Float[Tensor, '']:
    """`prod_{i<5} c_i^w_i * (s_5^w_5)^4`, with `c = (1 + mean CS) / 2` and `s = (1 + mean SSIM) / 2` of each scale.

    This is a relative of MS-SSIM (Wang, Simoncelli and Bovik, Asilomar 2003) and 1 for equal images. In the released
    code it differs from that measure in four ways, all kept, for the released weights are trained by it: the last scale
    enters four times; values are shifted into [0, 1]; means are taken over the batch before the powers; and the
    data range of a scale is 255 only where the restored image exceeds 128 there, and 1 elsewhere.

    Args:
        restored: grey levels, 0 or more, at least 32x32. The window, 11x11, shrinks to the image where that is smaller.
        image: grey levels in 0..255.

    Raises:
        DataError: the images are too small for five scales.
    """
    if min(image.shape[-2:]) < 32:
        raise DataError(f'Five scales need images of at least 32x32, but got {tuple(image.shape[-2:])}.',
                        'Use larger crops.')
    result = 1.
    for scale, weight in enumerate(WEIGHTS, 1):
        window = _window(min(11, *image.shape[-2:]))
        data_range = 255. if restored.max() > 128 else 1.
        if scale < len(WEIGHTS):
            similarity = contrast_structure(restored, image, window, data_range).mean()
            result = result * ((1 + similarity) / 2) ** weight
            restored, image = avg_pool2d(restored, 2), avg_pool2d(image, 2)
        else:
            similarity = ssim_map(restored, image, window, data_range).mean()
            result = result * ((1 + similarity) / 2) ** (4 * weight)
    return result


@cache
def _window(width: int, sigma: float = 1.5) -> Window:
    """A Gaussian with the sum 1; one of even width has its peak right of the middle, as released."""
    weights = [math.exp(-(i - width // 2) ** 2 / (2 * sigma**2)) for i in range(width)]
    return tuple(weight / sum(weights) for weight in weights)
