"""Structural similarity, of the fused image to each source or to the truth."""
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from vlfusion.imaging.blur import Window, gaussian
from vlfusion.metrics.base import fusion_metric, truth_metric, variant
from vlfusion.metrics.sharing import shared
from vlfusion.metrics.windows import local_covariance, local_mean, local_variance, uniform

Image = Float[Tensor, 'batch 1 h w']
Map = Float[Tensor, 'batch 1 h_valid w_valid']
WANG = gaussian(11, 1.5)
SOURCE = 'Wang, Bovik, Sheikh and Simoncelli, IEEE Trans. Image Process. 13(4), 2004'


@fusion_metric(title='Structural similarity', direction='higher', range=(-1., 1.), over='mean', smallest=11,
               source=SOURCE,
               variants={'vifb': variant('the sum over the sources', total=True, over='sum', range=(-2., 2.)),
                         'film': variant("the sum over the sources, and scikit-image's default: a uniform 7x7 window "
                                         "and the sample covariance", form='scikit-image', total=True, over='sum',
                                         range=(-2., 2.), smallest=7),
                         'cddfuse': variant('as film, but with the data range 2, the former default of scikit-image '
                                            'for images in floating point, which makes the constants nearly zero',
                                            form='scikit-image', data_range=2., total=True, over='sum',
                                            range=(-2., 2.), smallest=7)})
def SSIM(fused: Image, source_a: Image, source_b: Image, form: Literal['wang', 'scikit-image'] = 'wang',
         data_range: float = 255., total: bool = False) -> Float[Tensor, ' batch']:
    """`SSIM = (SSIM(A, F) + SSIM(B, F)) / 2`, each the mean over all windows of

        SSIM(X, Y) = (2 m_X m_Y + C1) (2 cov_XY + C2) / ((m_X^2 + m_Y^2 + C1) (var_X + var_Y + C2))

    with local means `m`, variances and covariances, `C1 = (0.01 L)^2`, `C2 = (0.03 L)^2` and `L` = 255. The window is a
    Gaussian of 11x11 pixels and standard deviation 1.5; windows that reach beyond the image are left out.

    Args:
        fused, source_a, source_b: grey levels in 0..255, at least 11x11.
        form: `wang`, Wang's window; or `scikit-image`, a uniform window of 7x7 with the sample covariance.
        data_range: value of `L`.
        total: whether to take the sum over the sources instead of the mean.

    >>> import torch
    >>> a = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> b = a.flip(3)
    >>> round(SSIM((a + b) / 2, a, b).item(), 3)
    0.635
    """
    window, correction = (WANG, 1.) if form == 'wang' else (uniform(7), 49 / 48)
    similarity = sum(ssim_map(source, fused, window, data_range, correction).mean((1, 2, 3))
                     for source in (source_a, source_b))
    return similarity if total else similarity / 2


@truth_metric(name='SSIM', title='Structural similarity', direction='higher', range=(-1., 1.), smallest=11,
              source=SOURCE)
def ssim_to_truth(fused: Image, truth: Image) -> Float[Tensor, ' batch']:
    """`SSIM(T, F)` as Wang et al. define it; see the fusion metric of that name.

    Args:
        fused, truth: grey levels in 0..255, at least 11x11.

    >>> import torch
    >>> truth = (torch.arange(64.).outer(torch.arange(64.)) % 256)[None, None]
    >>> round(ssim_to_truth(truth.maximum(truth.flip(3)), truth).item(), 3)
    0.555
    """
    return ssim_map(truth, fused, WANG).mean((1, 2, 3))


@shared
def ssim_map(first: Image, second: Image, window: Window, data_range: float | Float[Tensor, ''] = 255.,
             correction: float = 1.) -> Map:
    """Similarity of two images in each window; variances and covariances are multiplied by `correction`."""
    c1 = (0.01 * data_range) ** 2
    mean_1, mean_2 = local_mean(first, window), local_mean(second, window)
    luminance = (2 * mean_1 * mean_2 + c1) / (mean_1.square() + mean_2.square() + c1)
    return luminance * contrast_structure(first, second, window, data_range, correction)


@shared
def contrast_structure(first: Image, second: Image, window: Window, data_range: float | Float[Tensor, ''] = 255.,
                       correction: float = 1.) -> Map:
    """`(2 cov_XY + C2) / (var_X + var_Y + C2)`: similarity without the comparison of means."""
    c2 = (0.03 * data_range) ** 2
    covariance = correction * local_covariance(first, second, window)
    variances = correction * (local_variance(first, window) + local_variance(second, window))
    return (2 * covariance + c2) / (variances + c2)
