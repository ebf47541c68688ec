"""MATR: multimodal medical image fusion via multiscale adaptive transformer (Tang et al., IEEE TIP 31, 2022).

Convolutions whose kernels adapt to the image are applied once, twice and three times. The features of each of these
three scales pass a transformer and one more convolution; their sum becomes the image. This independent implementation
reproduces the output of the released network up to rounding. Comments mark where the released code differs from the
paper.
"""


import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.models.layers.single_token_block import RELEASED_BLOCK_PARTS, SingleTokenBlock, values_only
from vlfusion.models.released import convert
from vlfusion.registry import BACKBONES


@BACKBONES.register_module()
class MATR(nn.Module):
    """MATR: adaptive convolutions at three scales, each followed by a transformer. 11,574 parameters, no text.

    >>> MATR().eval()(torch.rand(2, 1, 20, 27), torch.rand(2, 1, 20, 27)).shape
    torch.Size([2, 1, 20, 27])

    Args:
        dim: channels of the features, and width of the transformer's tokens.
        depth: transformer blocks.
        scales: largest number of times that the convolution is applied.
    """

    def __init__(self, dim: int = 16, depth: int = 3, scales: int = 3):
        super().__init__()
        self.scales = scales
        self.embed = _adaptive_block(2, dim)
        # In the released code, all scales share one transformer; they and the layer after it share one convolution.
        self.extract = _adaptive_block(dim, dim)
        self.transformer = nn.Sequential(*(SingleTokenBlock(dim) for _ in range(depth)))
        self.project = nn.Conv2d(dim, 1, 1, bias=False)

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Tensor | None = None, text_mask: Tensor | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene.

        Args:
            source_a: MRI, or another structural image, in [0, 1].
            source_b: luminance of the functional image (SPECT, PET), in [0, 1]; the network takes it first.
            text, text_mask: unused.

        Returns:
            The fused luminance in [0, 1]; in training mode in [-1, 1], the range of the published losses.
        """
        embedded = x = self.embed(torch.cat((source_b, source_a), 1))
        total = 0
        for scale in range(1, self.scales + 1):
            if self.training:
                # Recompute the features from the start, so that they enter the running statistics of the shared
                # normalisation again, as in the training of the released weights.
                x = embedded
                for _ in range(scale - 1):
                    x = self.extract(x)
            x = self.extract(x)
            total = total + self.extract(self._transform(x))
        fused = self.project(total).tanh()
        return fused if self.training else fused.clamp(0, 1)

    def _transform(self, x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim h w']:
        # A token is not a pixel. The released code reshapes the planar features (dim, h, w) to tokens of width `dim`:
        # each token is a run of `dim` consecutive pixels of one channel.
        tokens = x.flatten(1).unflatten(1, (-1, x.shape[1]))  # (batch, h * w, dim)
        return self.transformer(tokens).reshape(x.shape)

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename the state of the released network to the names of this one.

        Args:
            state: released name to tensor. A prefix `module.` is dropped, as are tensors without effect on the output:
                a normalisation that is never called, and the queries, keys and position biases of the attention.

        Raises:
            CheckpointError: a name is missing, or MATR does not have it.
        """
        return convert(MATR, values_only(state), _RELEASED_PARTS, dropped=r'^patch_embed\.norm\.',
                       remedy='Give the released model_10.pth, unchanged.')


class AdaptiveConv(nn.Module):
    """A 3x3 convolution whose weights are gated by the content of the whole image.

    `y = x * (W . sigmoid(G_in + G_out))`. The image is averaged to 3x3 pixels and encoded channel by channel into a
    latent code. One decoder turns the code into the gates of each input channel. Another, after mixing the channels,
    gives the gates of each output channel. This is the context-gated convolution of Lin et al. (ECCV 2020). Zeros lie
    beyond the border.

    Args:
        channels: channels of the input.
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
        input_gate = self.input_gate(F.relu(self.input_norm(code)))  # (batch, channels, side * side)
        mixed = self.mix(F.relu(self.mix_norm(code)).transpose(1, 2)).transpose(1, 2)  # (batch, dim, latent)
        output_gate = self.output_gate(F.relu(self.output_norm(mixed)))  # (batch, dim, side * side)
        gates = (input_gate[:, None] + output_gate[:, :, None]).sigmoid().unflatten(-1, (self.side, self.side))
        kernels = (self.weight * gates).flatten(0, 1)  # (batch * dim, channels, side, side)
        # Each image has its own kernels, so the batch becomes groups of channels of a single image.
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
