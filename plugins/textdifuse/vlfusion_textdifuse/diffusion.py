"""The diffusion process: a cosine schedule of 1000 steps, of which sampling visits a few.

Ho et al., "Denoising diffusion probabilistic models", NeurIPS 2020; Nichol and Dhariwal, "Improved denoising diffusion
probabilistic models", ICML 2021: the cosine schedule (3.2), the learned variance (3.1), fewer steps (4).
"""

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

Image = Float[Tensor, 'batch 1 h w']  # luminance in [-1, 1], noisy or clean
#: Indices of steps, one for each image or one for all, on the CPU.
Step = Int[Tensor, ' step']
#: Steps of the whole schedule. Networks read times on its scale.
WHOLE = 1000


class Diffusion:
    """A process that turns a clean image into noise in `steps` steps, and the rules of its reversal.

    Step 0 is the least noisy one. Tables are float64 on the CPU; a result has the type and device of its images.

    Args:
        steps: number of steps, evenly spaced in the whole schedule of 1000.

    Attributes:
        times: place of each step in the whole schedule; networks read it.

    >>> Diffusion(5).times
    tensor([  0, 250, 500, 749, 999])
    """

    def __init__(self, steps: int):
        self.steps = steps
        stride = (WHOLE - 1) / max(steps - 1, 1)
        kept = [round(index * stride) for index in range(steps)]
        alpha_bar = _cosine_schedule()[kept]
        before = np.append(1., alpha_bar[:-1])
        beta = 1 - alpha_bar / before
        variance = beta * (1 - before) / (1 - alpha_bar)
        variance[0] = variance[min(1, steps - 1)] or beta[0]  # that of step 0 is zero, which has no logarithm
        self.times = torch.tensor(kept)
        self._tables = {name: torch.from_numpy(table) for name, table in dict(
            signal=np.sqrt(alpha_bar), noise=np.sqrt(1 - alpha_bar),
            clean_weight=beta * np.sqrt(before) / (1 - alpha_bar),
            noisy_weight=(1 - before) * np.sqrt(1 - beta) / (1 - alpha_bar),
            log_variance=np.log(variance), log_beta=np.log(beta)).items()}

    def add_noise(self, clean: Image, step: Step, noise: Image) -> Image:
        """Draw `x_t` given `x_0` and unit noise."""
        return self._at('signal', step, clean) * clean + self._at('noise', step, clean) * noise

    def remove_noise(self, noisy: Image, step: Step, noise: Image) -> Image:
        """Estimate `x_0` from `x_t` and the noise that a network sees in it; the inverse of `add_noise`."""
        return (noisy - self._at('noise', step, noisy) * noise) / self._at('signal', step, noisy)

    def mean(self, clean: Image, noisy: Image, step: Step) -> Image:
        """Compute the mean of `x_{t-1}` given `x_0` and `x_t`. At step 0 it is `x_0`."""
        return self._at('clean_weight', step, noisy) * clean + self._at('noisy_weight', step, noisy) * noisy

    def log_variance(self, step: Step, like: Image) -> Float[Tensor, 'step 1 1 1']:
        """Compute the logarithm of the variance of `x_{t-1}` given `x_0` and `x_t`."""
        return self._at('log_variance', step, like)

    def learned_log_variance(self, fraction: Image, step: Step) -> Image:
        """Interpolate between the least (-1) and the largest (1) sensible variance, in logarithms."""
        share = (fraction + 1) / 2
        return share * self._at('log_beta', step, fraction) + (1 - share) * self.log_variance(step, fraction)

    def _at(self, table: str, step: Step, like: Tensor) -> Float[Tensor, 'step 1 1 1']:
        return self._tables[table][step].to(like).view(-1, 1, 1, 1)


def _cosine_schedule() -> Float[np.ndarray, ' whole']:
    """Compute the share of the clean image's power that is left after each step of the whole schedule."""
    left = [math.cos((index / WHOLE + 0.008) / 1.008 * math.pi / 2) ** 2 for index in range(WHOLE + 1)]
    beta = np.minimum(1 - np.divide(left[1:], left[:-1]), 0.999)
    return np.cumprod(1 - beta)


def seeded_noise(like: Image, seed: int) -> Image:
    """Draw unit noise, the same for each image of a batch: a result depends neither on the batch nor on the device."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, *like.shape[1:], generator=generator, dtype=torch.float32, device='cpu')
    return noise.to(like).expand_as(like)
