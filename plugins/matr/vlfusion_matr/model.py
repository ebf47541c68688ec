"""MATR: multimodal medical image fusion via multiscale adaptive transformer (Tang et al., IEEE TIP 31, 2022).

Convolutions whose kernels adapt to the image, applied once, twice and three times; the features of each of these three
scales go through a transformer and one more convolution, and their sum becomes the image. Written afresh; what the
authors' released network computes is reproduced to rounding, and where that is not what a reader of the paper would
expect, a comment says so.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.models.layers.single_token_block import RELEASED_BLOCK_PARTS, SingleTokenBlock, values_only
from vlfusion.models.released import ReleasedWeights, convert
from vlfusion.registry import BACKBONES


@BACKBONES.register_module()
class MATR(nn.Module):
    """The network of MATR. It has 11,574 parameters and reads no text.

    >>> MATR().eval()(torch.rand(2, 1, 20, 27), torch.rand(2, 1, 20, 27)).shape
    torch.Size([2, 1, 20, 27])

    Args:
        dim: channels of the features, and width of the transformer's tokens.
        depth: transformer blocks.
        scales: how many times the convolution is applied at most.
    """

    released: ClassVar[dict[str, ReleasedWeights]] = {
        'mif': ReleasedWeights(
            files={'model_10.pth': '523f6be0ef0330a84c473a7ad2e037a7eb1a98584021c4772dfd317c1c0ddaab'},
            source='https://github.com/tthinking/MATR (models)', licence='none stated', task='mif',
            protocol='truncate')}

    def __init__(self, dim: int = 16, depth: int = 3, scales: int = 3):
        super().__init__()
        self.scales = scales
        self.embed = _adaptive_block(2, dim)
        # The scales, and what follows the transformer, share one convolution and one transformer in the released code.
        self.extract = _adaptive_block(dim, dim)
        self.transformer = nn.Sequential(*(SingleTokenBlock(dim) for _ in range(depth)))
        self.project = nn.Conv2d(dim, 1, 1, bias=False)

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Tensor | None = None, text_mask: Tensor | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene.

        Args:
            source_a: MRI, or what shows structure, in [0, 1].
            source_b: luminance of the functional image (SPECT, PET), in [0, 1]; the network takes it first.
            text, text_mask: unused.

        Returns:
            The fused luminance: in [0, 1], but in training in [-1, 1] as the losses are published for it.
        """
        embedded = x = self.embed(torch.cat((source_b, source_a), 1))
        total = 0
        for scale in range(1, self.scales + 1):
            if self.training:
                # The same features again, from the start: what counts is that they enter the running statistics of the
                # shared normalisation again, as they did when the released weights were trained.
                x = embedded
                for _ in range(scale - 1):
                    x = self.extract(x)
            x = self.extract(x)
            total = total + self.extract(self._transform(x))
        fused = self.project(total).tanh()
        return fused if self.training else fused.clamp(0, 1)

    def _transform(self, x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim h w']:
        # A token is not a position: the released code views the planar features (dim, h, w) as tokens of width `dim`,
        # which makes each a run of `dim` consecutive pixels of one channel.
        tokens = x.flatten(1).unflatten(1, (-1, x.shape[1]))  # (batch, h * w, dim)
        return self.transformer(tokens).reshape(x.shape)

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename the state of the released network to the names of this one.

        Args:
            state: released name to tensor; a prefix `module.` is dropped, and so is what has no effect on the output:
                a normalisation that is never called, and of the attention the queries, keys and position biases.

        Raises:
            CheckpointError: a name is missing, or MATR does not have it.
        """
        return convert(MATR, values_only(state), _RELEASED_PARTS, dropped=r'^patch_embed\.norm\.',
                       remedy='Give the released model_10.pth, unchanged.')


class AdaptiveConv(nn.Module):
    """A 3x3 convolution, each weight of which is gated by what the whole image looks like.

    `y = x * (W . sigmoid(G_in + G_out))`: the image, averaged to 3x3 places, is encoded channel by channel into a
    latent code; of it one decoder makes the gates of each input channel, another, after mixing the channels, those of
    each output channel. This is the context-gated convolution of Lin et al. (ECCV 2020). Zeros lie beyond the border.

    Args:
        channels: of the input; the code mixes all of them.
        dim: channels of the output.
        side: height and width of a kernel.
    """

    def __init__(self, channels: int, dim: int, side: int = 3):
        super().__init__()
        area, latent = side * side, side * side // 2 + 1
        self.side = side
        self.weight = nn.Parameter(nn.Conv2d(channels, dim, side).weight.detach())  # (dim, channels, side, side)
        self.encode = nn.Linear(area, latent, bias=False)
        self.input_norm = nn.BatchNorm1d(channels)
        self.input_gate = nn.Linear(latent, area, bias=False)
        self.mix_norm = nn.BatchNorm1d(channels)
        self.mix = nn.Linear(channels, dim, bias=False)
        self.output_norm = nn.BatchNorm1d(dim)
        self.output_gate = nn.Linear(latent, area, bias=False)

    def forward(self, x: Float[Tensor, 'batch channels h w']) -> Float[Tensor, 'batch dim h w']:
        batch = len(x)
        code = self.encode(F.adaptive_avg_pool2d(x, self.side).flatten(2))  # (batch, channels, latent)
        of_input = self.input_gate(F.relu(self.input_norm(code)))  # (batch, channels, side * side)
        mixed = self.mix(F.relu(self.mix_norm(code)).transpose(1, 2)).transpose(1, 2)  # (batch, dim, latent)
        of_output = self.output_gate(F.relu(self.output_norm(mixed)))  # (batch, dim, side * side)
        gates = (of_input[:, None] + of_output[:, :, None]).sigmoid().unflatten(-1, (self.side, self.side))
        kernels = (self.weight * gates).flatten(0, 1)  # (batch * dim, channels, side, side)
        # Each image has kernels of its own: the images become groups of channels of one.
        y = F.conv2d(x.flatten(0, 1)[None], kernels, padding=self.side // 2, groups=batch)
        return y.unflatten(1, (batch, -1))[0]


def _adaptive_block(channels: int, dim: int) -> nn.Sequential:
    return nn.Sequential(AdaptiveConv(channels, dim), nn.BatchNorm2d(dim), nn.ReLU())


#: Patterns that turn our names into the released ones, applied in this order.
_RELEASED_PARTS = (
    (r'^project', r'convolutional_out.conv1'),
    (r'^embed\.0', r'convInput.conv1'),
    (r'^embed\.1', r'convInput.bn1'),
    (r'^extract\.0', r'conv.conv1'),
    (r'^extract\.1', r'conv.bn1'),
    (r'\.encode\.', r'.ce.'),
    (r'\.input_norm', r'.ce_bn'),
    (r'\.input_gate', r'.gd'),
    (r'\.mix_norm', r'.ci_bn2'),
    (r'\.mix\.', r'.ci.'),
    (r'\.output_norm', r'.ci_bn'),
    (r'\.output_gate', r'.gd2'),
    (r'^transformer', r'basicLayer.blocks'),
    *RELEASED_BLOCK_PARTS,
)
