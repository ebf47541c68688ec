"""Eight-bit quantisation of what a network returns. One definition for training, saving and scoring."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vlfusion.errors import ConfigError, DataError, did_you_mean


def quantise(fused: Float[Tensor, 'batch 1 h w'], stretch: str = 'clip',
             rounding: str = 'round') -> UInt8[Tensor, 'batch 1 h w']:
    """Eight-bit grey levels of a network's output.

    Args:
        fused: nominally in [0, 1].
        stretch: `clip` to [0, 1]; `min-max`: each image's own minimum becomes 0 and its maximum 255 (an image of one
            value is clipped instead, for it has no range to stretch); or `none`, which accepts values in [0, 1] only.
        rounding: `round` to the nearest level, halves to the even one; `half-down`, as imageio does when it converts;
            or `truncate` as `astype('uint8')` does. FILM publishes `min-max` with `truncate`, CDDFuse with `half-down`.

    Raises:
        DataError: the output holds NaN or infinity, or with the stretch `none` leaves [0, 1].
    """
    fused = fused.detach().float()
    # The extremes of what is not finite are not finite either, and need no image of their own.
    if not torch.stack(fused.aminmax()).isfinite().all():
        raise DataError('The fused image holds NaN or infinity.',
                        'The model diverged: look at the losses, lower the learning rate, or load another checkpoint.')
    if stretch == 'min-max':
        low, high = fused.amin((1, 2, 3), keepdim=True), fused.amax((1, 2, 3), keepdim=True)
        flat = high == low
        levels = (fused - low.masked_fill(flat, 0)).div_((high - low).masked_fill_(flat, 1)).clamp_(0, 1)
    elif stretch in ('clip', 'none'):
        if stretch == 'none' and (fused.amin() < 0 or fused.amax() > 1):
            raise DataError(f'The fused image spans {fused.amin():g} to {fused.amax():g}, outside [0, 1].',
                            'Use a protocol that clips or stretches.')
        levels = fused.clamp(0, 1)
    else:
        raise ConfigError(f'Unknown stretch {stretch!r}.', did_you_mean(stretch, ('clip', 'min-max', 'none')))
    levels *= 255
    if rounding == 'round':
        levels.round_()
    elif rounding == 'half-down':
        levels.sub_(0.5).ceil_()
    elif rounding != 'truncate':
        raise ConfigError(f'Unknown rounding {rounding!r}.', did_you_mean(rounding, ('round', 'half-down', 'truncate')))
    return levels.to(torch.uint8)
