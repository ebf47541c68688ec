"""The parts of MUFusion's loss (Cheng et al., Information Fusion 2023), as in its released scripts."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, interpolate, mse_loss

from vlfusion.errors import ConfigError
from vlfusion.losses import multi_scale_similarity, symmetric_kernel
from vlfusion.losses.perceptual import FrozenNetwork, vgg_stages
from vlfusion.registry import LOSSES

Image = Float[Tensor, 'batch 1 h w']

#: Last layers of the five stages of VGG-19 in torchvision's numbering: conv1_2 ... conv5_4, rectified.
TAPS = (3, 8, 17, 26, 35)


@LOSSES.register_module()
class ContentLoss(nn.Module):
    """`deviation(M F, M A) + deviation((1 - M) F, (1 - M) B)`: compares F with the more active source at each pixel.

    The mask `M` is 1 where the activity of A is larger. To measure it, the rectified features of VGG-19 at the end of
    its first `taps` stages are summed over channels, resized to full size, averaged over a window, and added up. As in
    the released code, VGG-19 gets the luminance in [0, 1] as three channels, without ImageNet's normalisation. If
    `taps` is 0, there is no mask: all of F is compared with both sources.

    Args:
        weight: factor in the total.
        taps: number of stages of VGG-19 to use: 5 infrared-visible, 3 medical, 1 multi-focus, 0 multi-exposure.
        window: height and width of the averaging window, odd: 19 for multi-focus, otherwise 7.
        pretrained: whether torchvision fetches VGG-19's weights (`IMAGENET1K_V1`, 548 MB). Without them the features
            are random: useful only in tests.

    Raises:
        ConfigError: `taps` or `window` is out of range, torchvision is not installed, or the weights cannot be fetched.
    """

    def __init__(self, weight: float = 1.0, *, taps: int = 5, window: int = 7, pretrained: bool = True):
        super().__init__()
        if not 0 <= taps <= len(TAPS) or window % 2 == 0:
            raise ConfigError(f'ContentLoss has no {taps} stages with a window of {window}.',
                              f'Give 0 to {len(TAPS)} taps and an odd window.')
        self.weight, self.window = weight, window
        self.vgg = FrozenNetwork(vgg_stages('ContentLoss', 19, taps, 'IMAGENET1K_V1' if pretrained else None)
                                 ) if taps else None

    def forward(self, fused: Image, source_a: Image, source_b: Image) -> Float[Tensor, '']:
        """Compute the loss of luminance, nominally in [0, 1], of at least 16x16 pixels."""
        if self.vgg is None:
            return deviation(fused, source_a) + deviation(fused, source_b)
        mask = self.mask(source_a, source_b)
        return deviation(fused * mask, source_a * mask) + deviation(fused * ~mask, source_b * ~mask)

    @torch.no_grad()
    def mask(self, source_a: Image, source_b: Image) -> Bool[Tensor, 'batch 1 h w']:
        """Mark the pixels where source A is more active than source B."""
        return self.activity(source_a) > self.activity(source_b)

    def activity(self, image: Image) -> Image:
        """Measure the activity of VGG-19 at each pixel."""
        total = torch.zeros_like(image)
        for features in self.vgg.taps(image.expand(-1, 3, -1, -1), TAPS):
            full = interpolate(features.sum(1, keepdim=True), image.shape[-2:], mode='bilinear', align_corners=True)
            total = total + avg_pool2d(full, self.window, 1, self.window // 2)
        return total


def deviation(fused: Image, target: Image, ssim_weight: float = 10.0,
              gradient_weight: float = 10.0) -> Float[Tensor, '']:
    """Compute `MSE(F, T) + 10 (1 - MS-SSIM(F, T)) + 10 MSE(Laplacian F, Laplacian T)`, with zeros beyond the border."""
    laplacian = symmetric_kernel(fused, corner=0, edge=1, middle=-4)
    gradient = conv2d(fused - target, laplacian, padding=1).square().mean()
    structure = 1 - multi_scale_similarity(fused, target)
    return mse_loss(fused, target) + ssim_weight * structure + gradient_weight * gradient
