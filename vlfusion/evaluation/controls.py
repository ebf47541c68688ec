"""Control images: trivial fusions, such as a copy of a source. Their scores show what a metric rewards."""

import hashlib

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

#: The controls, in the order of tables.
CONTROLS = ('copy of A', 'copy of B', 'mean', 'maximum', 'noisy mean')
#: Prefix of their names among those of methods.
CONTROL = 'control: '
SIGMA = 10.


def control_images(name: str, source_a: Float[Tensor, 'channel 1 h w'],
                   source_b: Float[Tensor, 'channel 1 h w']) -> dict[str, Float[Tensor, 'channel 1 h w']]:
    """The control images of a pair, by their names in `CONTROLS`.

    These are each source, their mean, their maximum, and their mean with noise. The mean is rounded down, because
    rounding halves to even levels would make odd levels rarer and reduce entropy. The noise is Gaussian with a standard
    deviation of 10; it is added to the mean before rounding, and the sum is clipped.

    Args:
        name: name of the pair, which alone seeds the noise.
        source_a, source_b: grey levels in 0..255.
    """
    mean = (source_a + source_b) / 2
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
    noise = torch.from_numpy(np.random.default_rng(seed).normal(0, SIGMA, mean.shape)).to(mean)
    noisy = (mean + noise).clamp(0, 255).round()
    return dict(zip(CONTROLS, (source_a, source_b, mean.floor(), source_a.maximum(source_b), noisy), strict=True))
