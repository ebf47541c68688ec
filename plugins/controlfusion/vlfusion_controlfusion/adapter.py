"""The visual adapter of ControlFusion: it predicts from the images what a text about their degradation would say."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.errors import DataError
from vlfusion.models.layers.autocast import without_autocast


class VisualAdapter(nn.Module):
    """Predict the vector of a text from one image, or from both.

    Three stacks of convolutions read the image at half resolution and below, its four quarters at full resolution, and
    the logarithm of its spectrum. The adapter of one image weighs the three results.

    The quarters are the costly part: about `370 000 h w` multiplications at `width=64`, and features of
    `7 width` values for each pixel.

    Args:
        text_dim: width of the predicted vector.
        sources: sources that it reads: `('a',)`, `('b',)` or `('a', 'b')`.
        width: channels of the first convolutions; 64 in the released code.
    """

    def __init__(self, text_dim: int, sources: Sequence[str], width: int = 64):
        super().__init__()
        self.sources, one = tuple(sources), len(sources) == 1
        channels, features = len(sources), 16 * width
        self.coarse = convolutions([channels, width, 2 * width, 4 * width], stride=2)
        self.coarse_output = nn.Linear(4 * width, features)
        self.quarters = convolutions([channels, width, 2 * width, 4 * width], stride=1)
        self.quarters_output = nn.Linear(4 * 4 * width, features)
        self.spectrum = convolutions([channels, width, 2 * width, 4 * width, 8 * width, 16 * width], stride=2, first=7)
        self.spectrum_output = nn.Linear(16 * width, features)
        self.weigh = nn.Sequential(nn.Linear(3, 1, bias=False), nn.ReLU(), nn.Linear(1, 3, bias=False),
                                   nn.Sigmoid()) if one else None
        self.project = nn.Sequential(nn.Linear(3 * features, 24 * width), nn.GELU(), nn.Linear(24 * width, text_dim))
        self.floor = 1. if one else 1e-8  # what the released code adds within the logarithm

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch dim']:
        """Predict the vector; raise DataError if an image has fewer than two rows or columns."""
        given = dict(a=source_a, b=source_b)
        images = torch.cat([given[source] for source in self.sources], 1)
        height, width = images.shape[-2:]
        if min(height, width) < 2:
            raise DataError(f'The visual adapter reads quarters of an image, but got {width}x{height} (width x '
                            'height).', 'Give images of at least 2x2 pixels, or a text.')
        quarters = [self.quarters(quarter).mean((2, 3)) for half in images.tensor_split([height // 2], 2)
                    for quarter in half.tensor_split([width // 2], 3)]
        branches = torch.stack((self.coarse_output(self.coarse(images).mean((2, 3))),
                                self.quarters_output(torch.cat(quarters, 1)),
                                self.spectrum_output(self.spectrum(self.log_spectrum(images)).mean((2, 3)))), 1)
        if self.weigh is not None:
            branches = branches * self.weigh(branches.mean(2))[..., None]
        return self.project(branches.flatten(1))

    def log_spectrum(self, images: Float[Tensor, 'batch c h w']) -> Float[Tensor, 'batch c h w']:
        """Return the logarithm of the magnitude of each image's spectrum, with frequency zero in the middle."""
        with without_autocast(images.device):  # a spectrum has a wide range, and no half precision
            spectrum = torch.fft.fftshift(torch.fft.fft2(images.to(torch.promote_types(images.dtype, torch.float32))),
                                          dim=(-2, -1))
            return (spectrum.abs() + self.floor).log().to(images)


def convolutions(channels: Sequence[int], stride: int, first: int = 3) -> nn.Sequential:
    """Build 3x3 convolutions, each with ReLU, through a list of channels; `first` is the side of the first kernel."""
    layers = []
    for place, (before, after) in enumerate(zip(channels, channels[1:], strict=False)):
        side = 3 if place else first
        layers += [nn.Conv2d(before, after, side, stride, padding=side // 2), nn.ReLU()]
    return nn.Sequential(*layers)
