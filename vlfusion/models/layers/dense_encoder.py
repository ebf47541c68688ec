"""The encoder of DenseFuse (Li and Wu, IEEE TIP 2019): a convolution and three densely connected ones."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

#: Patterns of the names of our layers, and those of the PyTorch versions of DenseFuse, as arguments of
#: `vlfusion.models.released.by_patterns`.
RELEASED_ENCODER_PARTS = (
    (r'\.0\.(weight|bias)$', r'.conv2d.\1'),
    (r'^first', r'conv1'),
    (r'^dense\.(\d)', r'DB1.denseblock.\1.dense_conv'),
)


class DenseEncoder(nn.Module):
    """Four rectified 3x3 convolutions; from the second one on, each sees the output of all before it.

    Args:
        dim: channels that each layer makes.

    >>> DenseEncoder().encode(torch.rand(2, 1, 9, 8)).shape
    torch.Size([2, 64, 9, 8])
    """

    def __init__(self, dim: int = 16):
        super().__init__()
        self.first = rectified_conv(1, dim)
        self.dense = nn.ModuleList(rectified_conv(dim * layer, dim) for layer in (1, 2, 3))

    def encode(self, image: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch dim h w']:
        """Compute the features of an image of at least 2x2 pixels; they are not negative."""
        features = self.first(image)
        for layer in self.dense:
            features = torch.cat((features, layer(features)), 1)
        return features


def rectified_conv(channels: int, dim: int) -> nn.Sequential:
    """Build a 3x3 convolution whose border is reflected, and a ReLU."""
    return nn.Sequential(nn.Conv2d(channels, dim, 3, padding=1, padding_mode='reflect'), nn.ReLU())
