"""The terms of DIDFuse's loss (Zhao et al., IJCAI 2020), as in its released training script."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, l1_loss, mse_loss, pad

from vlfusion.losses import derivative_kernels, ssim_map

Image = Float[Tensor, 'batch 1 h w']


def decomposition_loss(background_a: Float[Tensor, 'batch dim h w'], background_b: Float[Tensor, 'batch dim h w'],
                       detail_a: Float[Tensor, 'batch dim h w'], detail_b: Float[Tensor, 'batch dim h w'],
                       detail_weight: float = 0.5) -> Float[Tensor, '']:
    """Compute `tanh(|B_a - B_b|) - w tanh(|D_a - D_b|)`, with mean absolute differences.

    It makes the backgrounds `B` of both sources similar and their details `D` different. Without the bounded tanh the
    second term would have no minimum.
    """
    return l1_loss(background_a, background_b).tanh() - detail_weight * l1_loss(detail_a, detail_b).tanh()


def dissimilarity(x: Image, y: Image, window: int = 11, sigma: float = 1.5) -> Float[Tensor, '']:
    """Compute the mean of `(1 - SSIM) / 2`, with negative SSIM counted as 0, for images in [0, 1].

    SSIM is that of Wang et al. (IEEE TIP 2004). The factor 1/2, the clamp and the reflected border follow kornia 0.2 to
    0.4.

    Raises:
        DataError: an image is too small to be reflected under half a window.
    """
    return (1 - ssim_map(x, y, window, sigma, border='reflect')).clamp(0, 1).mean() / 2


def reconstruction_loss(image: Image, restored: Image, ssim_weight: float = 5.0) -> Float[Tensor, '']:
    """Compute the mean squared error plus the weighted dissimilarity of structure."""
    return mse_loss(restored, image) + ssim_weight * dissimilarity(image, restored)


def gradient_loss(image: Image, restored: Image) -> Float[Tensor, '']:
    """Compute the mean of `|grad I - grad R|` over both directions, with Sobel kernels whose magnitudes sum to 1."""
    kernels = derivative_kernels(image) / 8
    return conv2d(pad(image - restored, (1, 1, 1, 1), mode='replicate'), kernels).abs().mean()
