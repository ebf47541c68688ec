"""The losses of Text-DiFuse (Zhang et al., NeurIPS 2024), as in its released scripts.

Terms of noise see images in [-1, 1]; terms of fused images see luminance in [0, 1].
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, l1_loss

from vlfusion.losses import axis_gradients
from vlfusion.losses.base import Image, Scalar, loss
from vlfusion_textdifuse.diffusion import WHOLE, Diffusion, Step


def edges(image: Image) -> Image:
    """Compute the length of the Sobel gradient, with zeros beyond the border."""
    return (axis_gradients(image, 'constant').square().sum(1, keepdim=True) + 1e-8).sqrt()


@loss
def MaxEdgeLoss(fused: Image, source_a: Image, source_b: Image) -> Scalar:
    """Mean of `|E(F) - max(E(A), E(B))|`, with `E` the length of the Sobel gradient."""
    return l1_loss(edges(fused), torch.maximum(edges(source_a), edges(source_b)))


def modulation_loss(fused: Image, plain: Image, mask: Image, *, edge_weight: float = 100., contrast_weight: float = 3.
                    ) -> Scalar:
    """Reward edges and contrast inside the mask, and keep the image near the plain fusion everywhere.

    `|F - P| + |E(F) - E(P)| - w_e mean(E(F) in the mask) - w_c mean(C(F) in the mask)`, where `C` is the standard
    deviation in 5x5 pixels, with zeros beyond the border. The released code averages the edges over one dimension too
    many, which divides `w_e` by the width of the image. That is kept.

    Args:
        fused: fused image under optimisation.
        plain: fused image without modulation.
        mask: 1 inside the objects, else 0.
        edge_weight, contrast_weight: weights `w_e` and `w_c`.
    """
    fused_edges, size = edges(fused), mask.sum().clamp(min=1e-6)
    edge_weight = edge_weight / fused.shape[3]
    return (l1_loss(fused, plain) + l1_loss(fused_edges, edges(plain))
            - edge_weight * (fused_edges * mask).sum() / size - contrast_weight * (contrast(fused) * mask).sum() / size)


def contrast(image: Image) -> Image:
    """Compute the standard deviation of the 5x5 pixels around each pixel, at least 0.001."""
    window = image.new_full((1, 1, 5, 5), 1 / 25)
    mean, square = (conv2d(power, window, padding=2) for power in (image, image * image))
    return (square - mean.square()).clamp(min=1e-6).sqrt()


def diffusion_loss(diffusion: Diffusion, clean: Image, noisy: Image, step: Step, noise: Image,
                   predicted: Float[Tensor, 'batch 2 h w']) -> dict[str, Scalar]:
    """Compute the two terms of a denoising network (Nichol and Dhariwal, ICML 2021, 3.1); the loss is their sum.

    Args:
        diffusion: the process.
        clean, noisy, noise: `x_0`, `x_t` and the noise between them.
        step: the step of each image.
        predicted: output of the network: the noise, and the variance as a fraction.

    Returns:
        `noise`, the mean squared error of the noise; and `bound`, the variational bound in bits per pixel. The bound
        trains the variance only.
    """
    guess, fraction = predicted.chunk(2, 1)
    bits = variational_bound(diffusion, clean, noisy, step, guess.detach(), fraction)
    return dict(noise=(noise - guess).square().mean(), bound=bits.mean() * diffusion.steps / WHOLE)


def variational_bound(diffusion: Diffusion, clean: Image, noisy: Image, step: Step, noise: Image, fraction: Image
                      ) -> Float[Tensor, ' batch']:
    """Compute one step's part of the variational bound, in bits per pixel.

    It is the divergence of the network's `x_{t-1}` from the true one; at step 0, the negative log-likelihood of the
    clean image's grey levels.
    """
    mean = diffusion.mean(diffusion.remove_noise(noisy, step, noise), noisy, step)
    log_variance = diffusion.learned_log_variance(fraction, step)
    true_mean, true_log_variance = diffusion.mean(clean, noisy, step), diffusion.log_variance(step, clean)
    divergence = 0.5 * (log_variance - true_log_variance - 1 + (true_log_variance - log_variance).exp()
                        + (true_mean - mean).square() * (-log_variance).exp())
    likelihood = -_log_likelihood(clean, mean, 0.5 * log_variance)
    first = (step == 0).to(clean.device).view(-1, 1, 1, 1)
    return torch.where(first, likelihood, divergence).mean((1, 2, 3)) / math.log(2)


def _log_likelihood(image: Image, mean: Image, log_deviation: Image) -> Image:
    """Compute the logarithm of a Gaussian's probability of each grey level, for 256 levels in [-1, 1]."""
    def below(offset: float) -> Tensor:  # an approximation of the cumulative distribution
        x = (image - mean + offset) * (-log_deviation).exp()
        return 0.5 * (1 + (math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)).tanh())

    lower, upper = below(-1 / 255), below(1 / 255)
    probability = torch.where(image < -0.999, upper, torch.where(image > 0.999, 1 - lower, upper - lower))
    return probability.clamp(min=1e-12).log()
