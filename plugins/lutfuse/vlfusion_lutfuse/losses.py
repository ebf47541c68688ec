"""The structure term with which LUT-Fuse is trained; the distance to its teacher is vlfusion's `TruthLoss`."""

from vlfusion.errors import DataError
from vlfusion.losses import Image, Scalar, loss
from vlfusion.losses.fidelity import peaked_gaussian
from vlfusion.metrics.ssim import ssim_map


@loss
def StructureLoss(fused: Image, source_a: Image, source_b: Image) -> Scalar:
    """`(1 - SSIM(F, A)) + (1 - SSIM(F, B))`, with a window of 48x48 pixels as in the released code.

    Its Gaussian has sigma 1.5, so the wide window hardly averages more than one of 11; but only places around which it
    fits count, so a band of 24 pixels at the border has no structure term. Its peak lies half a pixel off the middle.

    Raises:
        DataError: an image is smaller than 48x48.
    """
    if min(fused.shape[-2:]) < 48:
        raise DataError(f'StructureLoss needs images of at least 48x48, but got {tuple(fused.shape[-2:])}.',
                        'Use larger crops; the authors use 128x128.')
    window = peaked_gaussian(48)
    return sum(1 - ssim_map(source, fused, window, data_range=1.).mean() for source in (source_a, source_b))
