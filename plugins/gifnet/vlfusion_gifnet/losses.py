"""The terms of GIFNet's loss (Cheng et al., CVPR 2025) as its released training script computes them."""

from urllib.error import URLError

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, mse_loss, pad

from vlfusion.errors import ConfigError, DataError
from vlfusion.losses.perceptual import FrozenNetwork
from vlfusion.registry import LOSSES

Image = Float[Tensor, 'batch 1 h w']

#: Exponents of the five scales of MS-SSIM (Wang et al., Asilomar 2003).
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
#: The layers of DenseNet-121 after which features are measured: the first pooling, three transitions, the last block.
STAGES = ('pool0', 'transition1', 'transition2', 'transition3', 'denseblock4')


@LOSSES.register_module()
class InformationLoss(nn.Module):
    """`w_a MSE(F, A) + w_b MSE(F, B)`: as near to each source as it has information, for the batch as a whole.

    `w = softmax([g(A), g(B)])`, with `g` the mean over five stages of DenseNet-121 of the squared difference between
    each pixel and its eight neighbours, in the features summed over their channels.

    Args:
        weight: factor in the total.
        pretrained: whether torchvision fetches the published weights. Without them the features are random, which is of
            use in tests alone.

    Raises:
        ConfigError: torchvision is not installed, or the weights cannot be fetched.
    """

    def __init__(self, weight: float = 1.0, pretrained: bool = True):
        super().__init__()
        self.weight = weight
        self.densenet = FrozenNetwork(_densenet(pretrained))

    def forward(self, fused: Image, source_a: Image, source_b: Image) -> Float[Tensor, '']:
        """Args: luminance in [0, 1], of at least 64x64 pixels; smaller ones raise DataError."""
        weights = self.weights(source_a, source_b)
        return weights[0] * mse_loss(fused, source_a) + weights[1] * mse_loss(fused, source_b)

    @torch.no_grad()
    def weights(self, source_a: Image, source_b: Image) -> Float[Tensor, '2']:
        """How much each source counts; the two sum to 1."""
        if min(source_a.shape[-2:]) < 64:
            raise DataError(f'InformationLoss needs images of at least 64x64, but got {tuple(source_a.shape[-2:])}.',
                            'Use larger crops.')
        return torch.stack([self._information(source) for source in (source_a, source_b)]).softmax(0)

    def _information(self, image: Tensor) -> Tensor:
        kernel = torch.full((1, 1, 3, 3), 1 / 8).to(image)
        kernel[..., 1, 1] = -1
        features, measures = image.expand(-1, 3, -1, -1), []
        for name, layer in self.densenet.network.to(image.device).named_children():
            features = layer(features)
            if name in STAGES:
                total = pad(features.sum(1, keepdim=True), (1, 1, 1, 1), mode='reflect')
                measures.append(conv2d(total, kernel).square().mean())
        return torch.stack(measures).mean()


def restoration_loss(restored: Image, truth: Image) -> Float[Tensor, '']:
    """`1 - MS-SSIM + MSE` of what the common features restore of the visible image.

    MS-SSIM as released: each scale's mean is brought from [-1, 1] to [0, 1] first, and the coarsest enters four times,
    once with each of the finer ones. The window shrinks with images smaller than 11 pixels. The range of values is 1;
    the released code takes 2 while an image has values below -0.5, as the restored one can early in training.
    """
    x, y, product = restored, truth, 1.
    for scale, exponent in enumerate(SCALES):
        similarity, contrast = _ssim(x, y)
        if scale < len(SCALES) - 1:
            product = product * ((contrast + 1) / 2) ** exponent
            x, y = avg_pool2d(x, 2), avg_pool2d(y, 2)
    product = product * ((similarity + 1) / 2) ** (exponent * (len(SCALES) - 1))
    return 1 - product + mse_loss(restored, truth)


def _ssim(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean SSIM and mean of its contrast and structure part, with Wang's window (11 pixels, sigma 1.5) on [0, 1]."""
    side = min(11, *x.shape[-2:])
    offsets = torch.arange(side, dtype=x.dtype, device=x.device) - side // 2
    gauss = torch.exp(-offsets**2 / (2 * 1.5**2))
    kernel = torch.outer(gauss, gauss)[None, None] / gauss.sum() ** 2
    mean_x, mean_y, xx, yy, xy = conv2d(torch.cat([x, y, x * x, y * y, x * y]), kernel).chunk(5)
    c1, c2 = 0.01**2, 0.03**2
    contrast = (2 * (xy - mean_x * mean_y) + c2) / (xx - mean_x**2 + yy - mean_y**2 + c2)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return (luminance * contrast).mean(), contrast.mean()


def _densenet(pretrained: bool) -> nn.Sequential:
    """The layers of DenseNet-121 up to the last stage, by torchvision's names."""
    try:
        from torchvision.models import DenseNet121_Weights, densenet121
    except ImportError as error:
        raise ConfigError(f'InformationLoss needs torchvision, which cannot be imported: {error}.',
                          "pip install 'vlfusion[perceptual]'") from error
    try:
        layers = densenet121(weights=DenseNet121_Weights.IMAGENET1K_V1 if pretrained else None).features
    except (URLError, OSError) as error:
        raise ConfigError(
            f'The weights of DenseNet-121 could not be fetched: {error}.',
            'Run it once where there is a connection, and copy the folder hub/checkpoints under TORCH_HOME '
            '(~/.cache/torch) from there.') from error
    del layers.norm5
    return layers
