"""Scales of U-shaped networks: an encoder that halves the size and doubles the channels, and the way back."""

from collections.abc import Iterable, Sequence

from jaxtyping import Float
from torch import Tensor, nn


class Encoder(nn.Module):
    """Encoder of one source: features at each scale, the finest first.

    Args:
        channels: channels of the source.
        widths: channels at each scale, each twice those before.
        scales: the blocks of each scale.
    """

    def __init__(self, channels: int, widths: Sequence[int], scales: Iterable[nn.Module]):
        super().__init__()
        self.embed = nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)
        self.scales = nn.ModuleList(scales)
        self.down = nn.ModuleList(nn.Sequential(nn.Conv2d(width, width // 2, 3, padding=1, bias=False),
                                                nn.PixelUnshuffle(2)) for width in widths[:-1])

    def forward(self, x: Float[Tensor, 'batch c h w']) -> list[Tensor]:
        features = [self.scales[0](self.embed(x))]
        for down, scale in zip(self.down, self.scales[1:], strict=True):
            features.append(scale(down(features[-1])))
        return features


class Upsample(nn.Sequential):
    """Convolution to twice the size and half the channels."""

    def __init__(self, channels: int):
        super().__init__(nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False), nn.PixelShuffle(2))
