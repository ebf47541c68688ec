"""The picture that an instruction asks for, made from the numbers behind it."""

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.imaging.blur import blurred

Image = Float[Tensor, 'batch 1 h w']
Asks = Float[Tensor, 'batch 8']


def asked_picture(source_a: Image, source_b: Image, ask: Asks, region: Image, reference: Image | None = None) -> Image:
    """Make the picture that an instruction asks for, in [0, 1].

    With `R` the picture without an instruction, `S` the blur `blurred` and `D = 1 - S` the detail,

        I = (1 - i_a - i_b) S R + i_a S A + i_b S B + detail ((1 - g_a - g_b) D R + g_a D A + g_b D B)
        T = gain (mean(R) + contrast (I - mean(R)))

    clipped to [0, 1] inside the region, and `R` outside. The names are those of
    `vlfusion.language.instructions.Ask`; colour is no matter of luminance. If nothing is asked for, it is `R` to the
    bit, where `R` lies in [0, 1].

    Args:
        source_a, source_b: luminance in [0, 1].
        ask: the numbers of each instruction, in the order of the fields of `Ask`.
        region: weight of the instruction at each pixel in [0, 1].
        reference: `R`; by default the brighter source at each pixel, which FILM's intensity loss asks for.
    """
    reference = torch.maximum(source_a, source_b) if reference is None else reference
    changed = reference + asked_change(source_a, source_b, ask, reference)
    return reference + region * (changed.clamp(0, 1) - reference)


def asked_change(source_a: Image, source_b: Image, ask: Asks, reference: Image) -> Image:
    """Return `T - R` of `asked_picture` before it is clipped: exactly 0 if nothing is asked for."""
    intensity_a, intensity_b, gradient_a, gradient_b, gain, contrast, detail, _ = ask[:, :, None, None, None].unbind(1)
    low, low_a, low_b = (blurred(image) for image in (reference, source_a, source_b))
    high, high_a, high_b = reference - low, source_a - low_a, source_b - low_b
    base = intensity_a * (low_a - low) + intensity_b * (low_b - low)
    fine = gradient_a * (high_a - high) + gradient_b * (high_b - high)
    mixed = base + detail * fine + (detail - 1) * high  # I - R
    mean = reference.mean((2, 3), keepdim=True)
    return gain * contrast * mixed + (gain * contrast - 1) * (reference - mean) + (gain - 1) * mean
