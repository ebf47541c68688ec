"""Control images: fusions that take no skill. Their scores show what a metric rewards."""

import hashlib

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

#: The controls, in the order of tables.
CONTROLS = ('copy of A', 'copy of B', 'mean', 'maximum', 'noisy mean')
SIGMA = 10.


def control_images(name: str, source_a: Float[Tensor, 'channel 1 h w'],
                   source_b: Float[Tensor, 'channel 1 h w']) -> dict[str, Float[Tensor, 'channel 1 h w']]:
    """The control images of one pair, by their names in `CONTROLS`.

    Each source; their mean, rounded down (halves to the even level would leave odd levels rarer, and so less entropy);
    their maximum; and the mean before rounding with Gaussian noise of standard deviation 10, clipped and rounded.

    Args:
        name: of the pair. It alone seeds the noise.
        source_a: grey levels in 0..255.
        source_b: likewise.
    """
    mean = (source_a + source_b) / 2
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
    noise = torch.from_numpy(np.random.default_rng(seed).normal(0, SIGMA, mean.shape)).to(mean)
    noisy = (mean + noise).clamp(0, 255).round()
    return dict(zip(CONTROLS, (source_a, source_b, mean.floor(), source_a.maximum(source_b), noisy), strict=True))
