"""SeAFusion: image fusion in the loop of high-level vision tasks (Tang, Yuan and Ma, Information Fusion 82, 2022).

Two encoders of gradient residual dense blocks, one per source, and a decoder of four convolutions, all at full
resolution. This independent implementation reproduces the output of the released network up to rounding. Comments mark
where the released code differs from the paper.
"""


import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.models.released import convert
from vlfusion.registry import BACKBONES

SOBEL = torch.tensor([[1., 0., -1.], [2., 0., -2.], [1., 0., -1.]])


@BACKBONES.register_module()
class SeAFusion(nn.Module):
    """SeAFusion: two encoders of gradient residual dense blocks and one decoder. 166,657 parameters, no text.

    >>> SeAFusion()(torch.rand(2, 1, 20, 27), torch.rand(2, 1, 20, 27)).shape
    torch.Size([2, 1, 20, 27])
    """

    halo = 9  # five 3x3 convolutions in an encoder, four in the decoder

    def __init__(self):
        super().__init__()
        self.encoder_a = _encoder()
        self.encoder_b = _encoder()
        # The released layers also hold batch normalisation, which their forward pass does not use.
        self.decoder = nn.Sequential(
            nn.Conv2d(96, 64, 3, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(64, 32, 3, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(32, 16, 3, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(16, 1, 3, padding=1), nn.Tanh())

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Tensor | None = None, text_mask: Tensor | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene.

        Args:
            source_a: infrared, in [0, 1].
            source_b: luminance of the visible image, in [0, 1].
            text, text_mask: unused.

        Returns:
            The fused luminance, in [0, 1].
        """
        features = torch.cat((self.encoder_b(source_b), self.encoder_a(source_a)), 1)
        return self.decoder(features) / 2 + 0.5

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename the state of the released network to the names of this one.

        Args:
            state: released name to tensor; a prefix `module.` and the unused batch normalisation are dropped.

        Raises:
            CheckpointError: a name is missing, or SeAFusion does not have it.
        """
        return convert(SeAFusion, state, _RELEASED_PARTS, dropped=r'^decode[1-4]\.bn\.',
                       remedy='Give the released SeAFusion.pth, unchanged.')


class GradientResidualDenseBlock(nn.Module):
    """Two densely connected convolutions, plus a residual stream of Sobel magnitudes (GRDB).

    `lrelu(conv1x1([x, d1, d2]) + conv1x1(|S_x * x| + |S_y * x|))`, with `d1` and `d2` from the dense convolutions.

    Args:
        channels: channels of the input.
        out_channels: channels of the output.
    """

    def __init__(self, channels: int, out_channels: int):
        super().__init__()
        self.dense1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.dense2 = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.project_dense = nn.Conv2d(3 * channels, out_channels, 1)
        # In the paper these are the Sobel operator. In the released code they start from it and are trained, one pair
        # for each channel; the released filters differ from Sobel's by up to 0.2.
        self.gradient_x = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.gradient_y = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.project_gradient = nn.Conv2d(channels, out_channels, 1)
        with torch.no_grad():
            self.gradient_x.weight.copy_(SOBEL.expand(channels, 1, 3, 3))
            self.gradient_y.weight.copy_(SOBEL.T.expand(channels, 1, 3, 3))

    def forward(self, x: Float[Tensor, 'batch channels h w']) -> Float[Tensor, 'batch out_channels h w']:
        dense = torch.cat((x, F.leaky_relu(self.dense1(x), 0.2)), 1)
        dense = torch.cat((dense, F.leaky_relu(self.dense2(dense), 0.2)), 1)
        gradient = self.gradient_x(x).abs() + self.gradient_y(x).abs()
        return F.leaky_relu(self.project_dense(dense) + self.project_gradient(gradient), 0.1)


def _encoder() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.LeakyReLU(0.2),
                         GradientResidualDenseBlock(16, 32), GradientResidualDenseBlock(32, 48))


#: Patterns that turn our names into the released ones, applied in this order.
_RELEASED_PARTS = (
    (r'^encoder_a\.', r'inf_'),
    (r'^encoder_b\.', r'vis_'),
    (r'_0\.', r'_conv.conv.'),
    (r'_2\.', r'_rgbd1.'),
    (r'_3\.', r'_rgbd2.'),
    (r'dense([12])\.', r'dense.conv\1.conv.'),
    (r'project_dense', r'convdown.conv'),
    (r'project_gradient', r'convup.conv'),
    (r'gradient_([xy])', r'sobelconv.conv\1'),
    (r'^decoder\.0', r'decode4.conv'),
    (r'^decoder\.2', r'decode3.conv'),
    (r'^decoder\.4', r'decode2.conv'),
    (r'^decoder\.6', r'decode1.conv'),
)
