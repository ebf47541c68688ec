"""The loss of U2Fusion (Xu et al., TPAMI 2022): similarity to each source, weighted by its information."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.losses import ssim_map, symmetric_kernel
from vlfusion.losses.perceptual import FrozenNetwork, vgg_stages
from vlfusion.registry import LOSSES

#: Activations before the five poolings of VGG-16 in torchvision's numbering: conv1_2 ... conv5_3, rectified.
TAPS = (3, 8, 15, 22, 29)


@LOSSES.register_module()
class InformationPreservationLoss(nn.Module):
    """`sum_s w_s (1 - SSIM(F, S_s)) + alpha sum_s w_s MSE(F, S_s)`, averaged over the pairs.

    The degrees `w = softmax([g(A) / c, g(B) / c])` compare the structure that VGG-16 sees in the sources:
    `g(S) = mean_j mean |Laplacian(phi_j(S))|^2` over the feature maps `phi_j` before its five poolings. SSIM is that of
    Wang et al. (IEEE TIP 2004) with a Gaussian window of 11x11 pixels.

    The published loss has a third part, elastic weight consolidation, which preserves earlier tasks. It is left out,
    because this loss trains on one task.

    Args:
        weight: factor in the total.
        alpha: weight of the mean squared error; 20 in the paper.
        c: scale of the structure: the larger it is, the closer the degrees are to one half. The authors' code uses 3200
            for infrared-visible, 3500 for multi-exposure and 100 for multi-focus pairs. These values fit VGG-16 as
            converted from Caffe, on grey levels 0..255 minus their mean.
        pretrained: whether torchvision fetches those weights (`VGG16_Weights.IMAGENET1K_FEATURES`, its closest match to
            the authors' file). Without them the features are random: useful only in tests.

    Raises:
        ConfigError: torchvision is not installed, or the weights cannot be fetched.
    """

    def __init__(self, weight: float = 1.0, *, alpha: float = 20.0, c: float = 3500.0, pretrained: bool = True):
        super().__init__()
        self.weight, self.alpha, self.c = weight, alpha, c
        self.vgg = FrozenNetwork(vgg_stages('InformationPreservationLoss', 16, len(TAPS),
                                            'IMAGENET1K_FEATURES' if pretrained else None))
        self.register_buffer('mean', torch.tensor([123.68, 116.779, 103.939]).view(3, 1, 1), persistent=False)

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        """Compute the loss of luminance in [0, 1], of at least 11x11 pixels."""
        degrees = self.degrees(source_a, source_b)
        losses = torch.stack([1 - ssim_map(source, fused).mean((1, 2, 3))
                              + self.alpha * (source - fused).square().mean((1, 2, 3))
                              for source in (source_a, source_b)], 1)  # (batch, 2)
        return (degrees * losses).sum(1).mean()

    @torch.no_grad()
    def degrees(self, source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch 2']:
        """Compute the weights of both sources, which sum to 1 for each pair."""
        structure = torch.stack([self.structure(source) for source in (source_a, source_b)], 1)
        return (structure / self.c).softmax(1)

    def structure(self, image: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, ' batch']:
        """Compute `g`, the mean squared Laplacian of VGG-16's features of the image at 224x224 (nearest neighbour)."""
        scaled = 255 * F.interpolate(image, (224, 224), mode='nearest') - self.mean
        measures = []
        for maps in self.vgg.taps(scaled, TAPS):
            planes = maps.flatten(0, 1)[:, None]  # (batch * c, 1, h, w)
            laplacian = F.conv2d(planes, symmetric_kernel(planes, 1 / 8, 1 / 8, -1), padding=1)
            measures.append(laplacian.square().unflatten(0, maps.shape[:2]).mean((1, 2, 3, 4)))
        return torch.stack(measures).mean(0)
