"""The perceptual term of LDFusion and AutoFuse: the stronger response of a pretrained network at each place."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from vlfusion.errors import UnknownNameError, did_you_mean
from vlfusion.losses.perceptual import FrozenNetwork, vgg_stages
from vlfusion.registry import LOSSES

#: Convolutions of VGG-19 by name: the place of the ReLU after each in torchvision's network.
LAYERS = {'conv1_1': 1, 'conv2_1': 6, 'conv3_1': 11, 'conv4_2': 22}


@LOSSES.register_module()
class MaxFeatureLoss(nn.Module):
    """`sum_l mean (phi_l(F) - max(phi_l(A), phi_l(B)))^2` over rectified features `phi_l` of VGG-19.

    As in the released code, VGG-19 gets the luminance in [0, 1] as three channels, without ImageNet's normalisation.

    Args:
        weight: factor in the total: 10 in LDFusion. AutoFuse takes the mean of two layers 17 times, which is 8.5.
        layers: names of convolutions, of `conv1_1`, `conv2_1`, `conv3_1` and `conv4_2`. LDFusion uses the last three,
            AutoFuse the last two.
        pretrained: whether torchvision fetches VGG-19's weights (`IMAGENET1K_V1`, 548 MB). Without them the features
            are random: useful only in tests.

    Raises:
        UnknownNameError: a layer has another name.
        ConfigError: torchvision is not installed, or the weights cannot be fetched.
    """

    def __init__(self, weight: float = 10.0, *, layers: Sequence[str] = ('conv2_1', 'conv3_1', 'conv4_2'),
                 pretrained: bool = True):
        super().__init__()
        for layer in layers:
            if layer not in LAYERS:
                raise UnknownNameError(f'MaxFeatureLoss has no layer {layer!r}.', did_you_mean(layer, LAYERS))
        self.weight = weight
        self.taps = {LAYERS[layer] for layer in layers}
        whole = vgg_stages('MaxFeatureLoss', 19, 4, 'IMAGENET1K_V1' if pretrained else None)
        self.vgg = FrozenNetwork(whole[:max(self.taps) + 1])

    def forward(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, '']:
        """Compute the loss of luminance in [0, 1], of at least 8x8 pixels."""
        with torch.no_grad():
            targets = [torch.maximum(a, b) for a, b in zip(self._features(source_a), self._features(source_b),
                                                           strict=True)]
        return sum(mse_loss(x, target) for x, target in zip(self._features(fused), targets, strict=True))

    def _features(self, image: Float[Tensor, 'batch 1 h w']) -> Iterator[Float[Tensor, 'batch _ _ _']]:
        """Return the features of each layer, from fine to coarse."""
        return self.vgg.taps(image.expand(-1, 3, -1, -1), self.taps)
