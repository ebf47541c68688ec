"""The terms of GIFNet's loss (Cheng et al., CVPR 2025), as in its released training script."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, mse_loss, pad

from vlfusion.errors import DataError
from vlfusion.losses import multi_scale_similarity, symmetric_kernel
from vlfusion.losses.perceptual import FrozenNetwork, from_torchvision
from vlfusion.registry import LOSSES

Image = Float[Tensor, 'batch 1 h w']

#: Layers of DenseNet-121 whose output is measured: the first pooling, three transitions, the last block.
STAGES = ('pool0', 'transition1', 'transition2', 'transition3', 'denseblock4')


@LOSSES.register_module()
class InformationLoss(nn.Module):
    """`w_a MSE(F, A) + w_b MSE(F, B)`: the source with more information counts for more, over the whole batch.

    `w = softmax([g(A), g(B)])`. The information `g` is the squared difference between each pixel and its eight
    neighbours in the features of DenseNet-121, summed over channels and averaged over pixels and five stages.

    Args:
        weight: factor in the total.
        pretrained: whether torchvision fetches the published weights. Without them the features are random: useful only
            in tests.

    Raises:
        ConfigError: torchvision is not installed, or the weights cannot be fetched.
    """

    def __init__(self, weight: float = 1.0, pretrained: bool = True):
        super().__init__()
        self.weight = weight
        self.densenet = FrozenNetwork(_densenet(pretrained))

    def forward(self, fused: Image, source_a: Image, source_b: Image) -> Float[Tensor, '']:
        """Compute the loss of luminance in [0, 1]. Images smaller than 64x64 pixels raise DataError."""
        weights = self.weights(source_a, source_b)
        return weights[0] * mse_loss(fused, source_a) + weights[1] * mse_loss(fused, source_b)

    @torch.no_grad()
    def weights(self, source_a: Image, source_b: Image) -> Float[Tensor, '2']:
        """Compute the weights of both sources, which sum to 1."""
        if min(source_a.shape[-2:]) < 64:
            raise DataError(f'InformationLoss needs images of at least 64x64, but got {tuple(source_a.shape[-2:])}.',
                            'Use larger crops.')
        return torch.stack([self._information(source) for source in (source_a, source_b)]).softmax(0)

    def _information(self, image: Tensor) -> Tensor:
        kernel = symmetric_kernel(image, 1 / 8, 1 / 8, -1)
        features, measures = image.expand(-1, 3, -1, -1), []
        for name, layer in self.densenet.network.to(image.device).named_children():
            features = layer(features)
            if name in STAGES:
                total = pad(features.sum(1, keepdim=True), (1, 1, 1, 1), mode='reflect')
                measures.append(conv2d(total, kernel).square().mean())
        return torch.stack(measures).mean()


def restoration_loss(restored: Image, truth: Image) -> Float[Tensor, '']:
    """Compute `1 - MS-SSIM + MSE` between the visible image and its restoration, both in [0, 1]."""
    return 1 - multi_scale_similarity(restored, truth) + mse_loss(restored, truth)


def _densenet(pretrained: bool) -> nn.Sequential:
    """Build the layers of DenseNet-121 up to the last stage, under torchvision's names."""
    with from_torchvision('InformationLoss', 'DenseNet-121'):
        from torchvision.models import DenseNet121_Weights, densenet121
        layers = densenet121(weights=DenseNet121_Weights.IMAGENET1K_V1 if pretrained else None).features
    del layers.norm5
    return layers
