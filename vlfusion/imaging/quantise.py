"""Eight-bit quantisation of a network's output. Training, saving and scoring share it."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vlfusion.errors import ConfigError, DataError, did_you_mean


def quantise(fused: Float[Tensor, 'batch 1 h w'], stretch: str = 'clip',
             rounding: str = 'round') -> UInt8[Tensor, 'batch 1 h w']:
    """Eight-bit grey levels of a network's output.

    Args:
        fused: nominally in [0, 1].
        stretch: `clip` clips to [0, 1]; `min-max` maps each image's minimum to 0 and its maximum to 255 (an image of
            one value has no range, and is clipped); `none` accepts values in [0, 1] only.
        rounding: `round` to the nearest level, halves to the even one; `half-down`, as imageio converts; or `truncate`,
            as `astype('uint8')` does. FILM publishes `min-max` with `truncate`, CDDFuse `min-max` with `half-down`.

    Raises:
        ConfigError: the stretch or the rounding is unknown.
        DataError: the output holds NaN or infinity, or leaves [0, 1] under the stretch `none`.
    """
    fused = fused.detach().float()
    # NaN and infinity show in the extremes, so no mask of the image's size is needed.
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
