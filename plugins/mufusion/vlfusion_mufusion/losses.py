"""The parts of MUFusion's loss (Cheng et al., Information Fusion 2023), as its released scripts compute them."""

from urllib.error import URLError

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, interpolate, mse_loss

from vlfusion.errors import ConfigError, DataError
from vlfusion.losses.perceptual import FrozenNetwork
from vlfusion.registry import LOSSES

Image = Float[Tensor, 'batch 1 h w']

LAPLACIAN = torch.tensor([[0., 1., 0.], [1., -4., 1.], [0., 1., 0.]])
#: Of the five scales, as published by Wang et al. (Asilomar 2003).
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
#: The last layers of the five stages of VGG-19, as torchvision counts: conv1_2 ... conv5_4, rectified.
TAPS = (3, 8, 17, 26, 35)


@LOSSES.register_module()
class ContentLoss(nn.Module):
    """`deviation(M F, M A) + deviation((1 - M) F, (1 - M) B)`: each source where it is the more active one.

    The mask `M` is 1 where the activity of A is larger: VGG-19's rectified features at the end of its first `taps`
    stages, summed over channels, brought to full size, averaged over a window, and summed. VGG-19 gets the luminance
    three times, in [0, 1], without ImageNet's normalisation, as in the released code. Without taps there is no mask:
    the whole of F is compared with both sources.

    Args:
        weight: factor in the total.
        taps: stages of VGG-19 to look at: 5 infrared-visible, 3 medical, 1 multi-focus, 0 multi-exposure.
        window: height and width of the averaging window, odd: 19 multi-focus, else 7.
        pretrained: whether torchvision fetches VGG-19's weights (`IMAGENET1K_V1`, 548 MB). Without them the features
            are random, which is of use in tests alone.

    Raises:
        ConfigError: there are no such stages or windows, torchvision is not installed, or the weights cannot be
            fetched.
    """

    def __init__(self, weight: float = 1.0, taps: int = 5, window: int = 7, pretrained: bool = True):
        super().__init__()
        if not 0 <= taps <= len(TAPS) or window % 2 == 0:
            raise ConfigError(f'ContentLoss has no {taps} stages with a window of {window}.',
                              f'Give 0 to {len(TAPS)} taps and an odd window.')
        self.weight, self.window = weight, window
        self.vgg = FrozenNetwork(_vgg19(taps, pretrained)) if taps else None

    def forward(self, fused: Image, source_a: Image, source_b: Image) -> Float[Tensor, '']:
        """Args: luminance, nominally in [0, 1]; at least 16x16."""
        if self.vgg is None:
            return deviation(fused, source_a) + deviation(fused, source_b)
        mask = self.mask(source_a, source_b)
        return deviation(fused * mask, source_a * mask) + deviation(fused * ~mask, source_b * ~mask)

    @torch.no_grad()
    def mask(self, source_a: Image, source_b: Image) -> Bool[Tensor, 'batch 1 h w']:
        """Where source A is the more active one."""
        return self.activity(source_a) > self.activity(source_b)

    def activity(self, image: Image) -> Image:
        """How much VGG-19 sees at each pixel."""
        total, features = torch.zeros_like(image), image.expand(-1, 3, -1, -1)
        for index, layer in enumerate(self.vgg.network.to(image.device)):
            features = layer(features)
            if index in TAPS:
                full = interpolate(features.sum(1, keepdim=True), image.shape[-2:], mode='bilinear', align_corners=True)
                total = total + avg_pool2d(full, self.window, 1, self.window // 2)
        return total


def deviation(fused: Image, target: Image, ssim_weight: float = 10.0,
              gradient_weight: float = 10.0) -> Float[Tensor, '']:
    """`MSE(F, T) + 10 (1 - MS-SSIM(F, T)) + 10 MSE(Laplacian F, Laplacian T)`; zeros lie beyond the border."""
    gradient = conv2d(fused - target, LAPLACIAN.to(fused)[None, None], padding=1).square().mean()
    return mse_loss(fused, target) + ssim_weight * (1 - multiscale_ssim(fused, target)) + gradient_weight * gradient


def multiscale_ssim(x: Image, y: Image) -> Float[Tensor, '']:
    """A similarity of the whole batch, 1 for equal images: `S^(4 w_5) prod_j C_j^w_j` over the four finer scales `j`.

    Each scale has half the size of the one before. `S` is SSIM at the coarsest, `C_j` its part without the comparison
    of means, both as `(v + 1) / 2`, so that no negative value is raised to a power. Published MS-SSIM has `S^w_5`; the
    fourth power is an oversight of the implementation that the authors use, and is kept.

    Raises:
        DataError: the images are too small for five scales.
    """
    if min(x.shape[-2:]) < 16:
        raise DataError(f'Similarity at five scales needs at least 16x16 pixels, but got {tuple(x.shape[-2:])}.',
                        'Train on larger patches; the published ones have 128x128.')
    parts = []
    for scale in range(len(SCALE_WEIGHTS)):
        if scale:
            x, y = avg_pool2d(x, 2), avg_pool2d(y, 2)
        parts.append([(value + 1) / 2 for value in _ssim(x, y)])
    similarity = parts[-1][0] ** (SCALE_WEIGHTS[-1] * 4)
    for (_, contrast_structure), weight in zip(parts[:-1], SCALE_WEIGHTS, strict=False):
        similarity = similarity * contrast_structure ** weight
    return similarity


def _ssim(x: Image, y: Image) -> tuple[Tensor, Tensor]:
    """Mean SSIM (Wang et al., IEEE TIP 2004) of images of the range 1, and of its part without the comparison of means.

    The Gaussian window has 11 pixels, or as many as the shorter side: if that is even, its peak is beyond the middle.
    The released code doubles the range while an output lies below -0.5, as it can early in training; here it is 1.
    """
    size = min(11, *x.shape[-2:])
    gauss = torch.exp(-(torch.arange(size, dtype=x.dtype, device=x.device) - size // 2) ** 2 / (2 * 1.5**2))
    kernel = torch.outer(gauss, gauss)[None, None] / gauss.sum() ** 2
    mean_x, mean_y, xx, yy, xy = conv2d(torch.cat((x, y, x * x, y * y, x * y)), kernel).chunk(5)
    var_x, var_y, cov = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    contrast_structure = (2 * cov + c2) / (var_x + var_y + c2)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return (luminance * contrast_structure).mean(), contrast_structure.mean()


def _vgg19(taps: int, pretrained: bool) -> nn.Sequential:
    """The convolutional layers of VGG-19, up to the last tap."""
    try:
        from torchvision.models import VGG19_Weights
        from torchvision.models.vgg import cfgs, make_layers
    except ImportError as error:
        raise ConfigError(f'ContentLoss needs torchvision, which cannot be imported: {error}.',
                          "pip install 'vlfusion[perceptual]'") from error
    stage_ends = [index for index, width in enumerate(cfgs['E']) if width == 'M']
    layers = make_layers(cfgs['E'][:stage_ends[taps - 1]])
    if pretrained:
        try:
            state = VGG19_Weights.IMAGENET1K_V1.get_state_dict(check_hash=True, weights_only=True)
        except (URLError, OSError) as error:
            raise ConfigError(
                f'The weights of VGG-19 could not be fetched: {error}.',
                'Run it once where there is a connection, and copy the folder hub/checkpoints under TORCH_HOME '
                '(~/.cache/torch) from there.') from error
        layers.load_state_dict({name: state[f'features.{name}'] for name in layers.state_dict()})
    return layers
