"""U2Fusion: a unified unsupervised image fusion network (Xu, Ma, Jiang, Guo and Ling, TPAMI 44(1), 2022).

A densely connected encoder sees both sources as two channels; four convolutions turn all its features into the fused
image. One set of weights serves every task. This independent implementation reproduces the output of the released
TensorFlow network up to rounding.
"""

import os

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.models.released import convert
from vlfusion.models.tensorflow_data import read_data_file, with_torch_kernels
from vlfusion.registry import BACKBONES


@BACKBONES.register_module()
class U2Fusion(nn.Module):
    """U2Fusion: a densely connected encoder of both sources and a convolutional decoder. 659,217 parameters, no text.

    Convolutions reflect the border, so both sides of an image need at least two pixels.

    Args:
        dim: channels of each dense layer.
        layers: number of dense layers after the first convolution.
        swap: whether source B is the first channel. The authors' order is visible, infrared; functional, structural;
            over-, under-exposed; far, near. So all tasks but `mef` need True.

    >>> U2Fusion()(torch.rand(2, 1, 20, 27), torch.rand(2, 1, 20, 27)).shape
    torch.Size([2, 1, 20, 27])
    """

    def __init__(self, dim: int = 44, layers: int = 5, swap: bool = False):
        super().__init__()
        self.swap = swap
        self.halo = 1 + layers + 4  # 3x3 convolutions: the first, the dense layers, the decoder
        self.embed = _convolution(2, dim)
        self.dense = nn.ModuleList(_convolution(i * dim, dim) for i in range(1, layers + 1))
        self.decoder = nn.Sequential(
            _convolution((layers + 1) * dim, 128),
            _convolution(128, 64),
            _convolution(64, 32),
            nn.Conv2d(32, 1, 3, padding=1, padding_mode='reflect'),
            nn.Tanh())
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.trunc_normal_(layer.weight, std=0.05, a=-0.1, b=0.1)
                nn.init.zeros_(layer.bias)

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Tensor | None = None, text_mask: Tensor | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene.

        Args:
            source_a, source_b: luminance in [0, 1].
            text, text_mask: unused.

        Returns:
            The fused luminance, in [0, 1].
        """
        sources = (source_b, source_a) if self.swap else (source_a, source_b)
        features = self.embed(torch.cat(sources, 1))
        for layer in self.dense:
            features = torch.cat((layer(features), features), 1)  # newest first, as in the released kernels
        return (self.decoder(features) + 1) / 2

    @staticmethod
    def read_released(path: str | os.PathLike) -> dict[str, Tensor]:
        """Read the tensors of the released file, `model.ckpt.data-00000-of-00001`, by released name.

        Raises:
            CheckpointError: the file is missing or has another size.
        """
        with torch.device('meta'):
            return read_data_file(path, 'U2Fusion', U2Fusion(), _released_name)

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename the state of the released network to the names of this one.

        Args:
            state: released name to tensor, kernels as `(height, width, in, out)`.

        Raises:
            CheckpointError: a name is missing, or U2Fusion does not have it.
        """
        return with_torch_kernels(convert(
            U2Fusion, state, _released_name,
            remedy='Give the file model.ckpt.data-00000-of-00001 of hanna-xu/U2Fusion, unchanged.'))


def _convolution(channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out_channels, 3, padding=1, padding_mode='reflect'), nn.LeakyReLU(0.2))


def _released_name(name: str) -> str:
    """Released name of a parameter: `dense.2.0.weight` is `Generator/encoder/dense_block_conv3/kernel`."""
    part, *number, parameter = name.split('.')
    layer = {'embed': 'Generator/encoder/conv1_1',
             'dense': f'Generator/encoder/dense_block_conv{int(number[0]) + 1}',
             'decoder': f'Generator_1/decoder/conv2_{int(number[0]) + 1}'}[part]
    return f'{layer}/{dict(weight="kernel", bias="bias")[parameter]}'
