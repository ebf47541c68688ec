"""DATFuse: infrared and visible image fusion via dual attention transformer (Tang et al., IEEE TCSVT 33(7), 2023).

A convolution over both sources, a dual attention residual module (DARM), a transformer module (TRM) and a second DARM.
This independent implementation reproduces the output of the released network up to rounding. Comments mark where the
released code differs from the paper.
"""


import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.models.layers.single_token_block import RELEASED_BLOCK_PARTS, SingleTokenBlock, values_only
from vlfusion.models.released import convert
from vlfusion.registry import BACKBONES


@BACKBONES.register_module()
class DATFuse(nn.Module):
    """DATFuse: attention by channel and place, around a small transformer. 9,464 parameters, no text.

    >>> DATFuse().eval()(torch.rand(2, 1, 20, 27), torch.rand(2, 1, 20, 27)).shape
    torch.Size([2, 1, 20, 27])

    Args:
        dim: channels of the features, and width of the transformer's tokens.
        depth: transformer blocks.
    """

    def __init__(self, dim: int = 16, depth: int = 2):
        super().__init__()
        self.embed = nn.Sequential(nn.Conv2d(2, dim, 5, padding=2, padding_mode='replicate'), nn.BatchNorm2d(dim),
                                   nn.ReLU())
        # The paper has two of these, before and after the transformer; the released code uses one twice.
        self.attend = DualAttention(dim)
        self.transformer = nn.Sequential(*(SingleTokenBlock(dim) for _ in range(depth)))
        self.project = nn.Conv2d(dim, 1, 1)

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Tensor | None = None, text_mask: Tensor | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene.

        Args:
            source_a: infrared, in [0, 1].
            source_b: luminance of the visible image, in [0, 1].
            text, text_mask: unused.

        Returns:
            The fused luminance in [0, 1]; in training mode in [-1, 1], the range of the published losses.
        """
        x = self.embed(torch.cat((source_a, source_b), 1))
        _, attended = self.attend(x)
        x = F.relu(attended + x)
        # A token is not a pixel. The released code reshapes the planar features (dim, h, w) to tokens of width `dim`:
        # each token is a run of `dim` consecutive pixels of one channel.
        tokens = x.flatten(1).unflatten(1, (-1, x.shape[1]))  # (batch, h * w, dim)
        x = self.transformer(tokens).reshape(x.shape)
        feature, attended = self.attend(x)
        fused = self.project(attended + feature).tanh()
        return fused if self.training else fused.clamp(0, 1)

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename the state of the released network to the names of this one.

        Args:
            state: released name to tensor. A prefix `module.` is dropped, as are tensors without effect on the output:
                a normalisation that is never called, and the queries, keys and position biases of the attention.

        Raises:
            CheckpointError: a name is missing, or DATFuse does not have it.
        """
        return convert(DATFuse, values_only(state), _RELEASED_PARTS, dropped=r'^patch_embed\.norm\.',
                       remedy='Give the released model_10.pth, unchanged.')


class DualAttention(nn.Module):
    """Dual attention residual module: features weighted in parallel by channel and by place.

    Two convolutions extract the features. In the released code they share weights and normalisation.

    Args:
        dim: channels in and out.
        reduction: factor by which the hidden layers of both attentions have fewer channels.
    """

    def __init__(self, dim: int, reduction: int = 4):
        super().__init__()
        self.extract = nn.Sequential(nn.Conv2d(dim, dim, 3, padding=1, padding_mode='replicate'), nn.BatchNorm2d(dim))
        hidden = dim // reduction
        self.channel = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(dim, hidden, 1), nn.ReLU(),
                                     nn.Conv2d(hidden, dim, 1), nn.Sigmoid())
        self.spatial = nn.Sequential(nn.Conv2d(dim, hidden, 3, padding=1), nn.BatchNorm2d(hidden), nn.ReLU(),
                                     nn.Conv2d(hidden, 1, 3, padding=1), nn.BatchNorm2d(1), nn.Sigmoid())

    def forward(self, x: Float[Tensor, 'batch dim h w']) -> tuple[Float[Tensor, 'batch dim h w'],
                                                                  Float[Tensor, 'batch dim h w']]:
        """Return the extracted features, and the sum of both weighted copies."""
        feature = self.extract(F.relu(self.extract(x)))
        return feature, feature * self.channel(feature) + feature * self.spatial(feature)


#: Patterns that turn our names into the released ones, applied in this order.
_RELEASED_PARTS = (
    (r'^embed\.0', r'convolutional.conv'),
    (r'^embed\.1', r'convolutional.bn'),
    (r'^attend\.extract\.0', r'fem.conv'),
    (r'^attend\.extract\.1', r'fem.bn'),
    (r'^attend\.channel\.1', r'cam.fc.0'),
    (r'^attend\.channel\.3', r'cam.fc.2'),
    (r'^attend\.spatial', r'sam.body'),
    (r'^project', r'convolutional_out.conv'),
    (r'^transformer', r'basicLayer.blocks'),
    *RELEASED_BLOCK_PARTS,
)
