"""Quantisation of a network's output to 8 or 16 bits. Training, saving and scoring share it; they score 8 bits."""

import torch
from jaxtyping import Float, UInt8, UInt16
from torch import Tensor

from vlfusion.errors import ConfigError, DataError, did_you_mean


def white(depth: int) -> int:
    """The level of white, 255 or 65535; raises a ConfigError for a depth other than 8 and 16 bits."""
    if depth not in (8, 16):
        raise ConfigError(f'Unknown depth {depth!r}; expected 8 or 16 bits.', 'Write depth=8 or depth=16.')
    return (1 << depth) - 1


def quantise(fused: Float[Tensor, 'batch 1 h w'], stretch: str = 'clip',
             rounding: str = 'round', depth: int = 8) -> UInt8[Tensor, 'batch 1 h w'] | UInt16[Tensor, 'batch 1 h w']:
    """Grey levels of a network's output.

    Args:
        fused: nominally in [0, 1].
        stretch: `clip` clips to [0, 1]; `min-max` maps each image's minimum to 0 and its maximum to white (an image
            of one value has no range, and is clipped); `none` accepts values in [0, 1] only.
        rounding: `round` to the nearest level, halves to the even one; `half-down`, as imageio converts; or `truncate`,
            as `astype('uint8')` does. FILM publishes `min-max` with `truncate`, CDDFuse `min-max` with `half-down`.
        depth: bits of a level: 8 for levels up to 255, or 16 for levels up to 65535.

    Raises:
        ConfigError: the stretch, the rounding or the depth is unknown.
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
    levels *= white(depth)
    if rounding == 'round':
        levels.round_()
    elif rounding == 'half-down':
        levels.sub_(0.5).ceil_()
    elif rounding != 'truncate':
        raise ConfigError(f'Unknown rounding {rounding!r}.', did_you_mean(rounding, ('round', 'half-down', 'truncate')))
    return levels.to(torch.uint8 if depth == 8 else torch.uint16)
