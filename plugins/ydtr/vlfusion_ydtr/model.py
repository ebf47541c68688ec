"""YDTR: infrared and visible image fusion via Y-shape dynamic transformer (Tang et al., IEEE TMM 25, 2023).

Each source passes a branch of convolution, dynamic weighting and transformer. The sum of both branches passes dynamic
weighting and transformer once more: this is the Y. The paper appeared online in 2022. This independent implementation
reproduces the output of the released network up to rounding. Comments mark where the released code differs from the
paper.
"""


from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.models.layers.single_token_block import RELEASED_BLOCK_PARTS, SingleTokenBlock, values_only
from vlfusion.models.released import convert
from vlfusion.registry import BACKBONES


@BACKBONES.register_module()
class YDTR(nn.Module):
    """YDTR: two branches of convolution, weighting and transformer, then a common trunk. 89,946 parameters, no text.

    The order of the sources does not matter.

    >>> import torch
    >>> YDTR().eval()(torch.rand(2, 1, 20, 27), torch.rand(2, 1, 20, 27)).shape
    torch.Size([2, 1, 20, 27])

    Args:
        dim: channels of the features, and width of the transformer's tokens.
        depth: transformer blocks.
    """

    def __init__(self, dim: int = 64, depth: int = 2):
        super().__init__()
        self.embed = nn.Sequential(nn.Conv2d(1, dim, 3, padding=1, padding_mode='replicate'), nn.BatchNorm2d(dim),
                                   nn.ReLU())
        # In the released code, both branches and the trunk share these two, and the branches share `embed`.
        self.weigh = DynamicWeighting(dim)
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
        # One after the other, because in training mode each source is normalised by its own statistics.
        branch_a, branch_b = (self._transform(self.embed(source)) for source in (source_a, source_b))
        fused = self.project(self._transform(branch_a + branch_b)).tanh()
        return fused if self.training else fused.clamp(0, 1)

    def _transform(self, x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim h w']:
        # A token is not a pixel. The released code reshapes the planar features (dim, h, w) to tokens of width `dim`:
        # each token is a run of `dim` consecutive pixels of one channel, or of the end of one
        # channel and the start of the next.
        tokens = self.weigh(x).flatten(1).unflatten(1, (-1, x.shape[1]))  # (batch, h * w, dim)
        return self.transformer(tokens).reshape(x.shape)

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename the state of the released network to the names of this one.

        Args:
            state: released name to tensor. A prefix `module.` is dropped, as are tensors without effect on the output:
                layers that are never called, and the queries, keys and position biases of the attention.

        Raises:
            CheckpointError: a name is missing, or YDTR does not have it.
        """
        return convert(YDTR, values_only(state), _RELEASED_PARTS, dropped=r'^(conv|conv64|patch_embed)\.',
                       remedy='Give the released model_10.pth, unchanged.')


class DynamicWeighting(nn.Module):
    """`x c(x) + x s(x)`: features weighted in parallel by channel and by place, with weights of either sign.

    The paper names it after the decoupled dynamic filter (Zhou et al., CVPR 2021), which predicts a kernel for each
    place and channel. The released code of YDTR predicts one number for each instead.

    Args:
        dim: channels in and out.
        hidden: channels of the hidden layers.
    """

    def __init__(self, dim: int, hidden: int = 8):
        super().__init__()
        self.channel = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(dim, hidden, 1), nn.ReLU(),
                                     nn.Conv2d(hidden, dim, 1))
        self.spatial = nn.Sequential(nn.Conv2d(dim, hidden, 3, padding=1), nn.Conv2d(hidden, 1, 3, padding=1))

    def forward(self, x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim h w']:
        return x * self.spatial(x) + x * self.channel(x)


#: Patterns that turn our names into the released ones, applied in this order.
_RELEASED_PARTS = (
    (r'^embed\.0', r'convInput.conv'),
    (r'^embed\.1', r'convInput.bn'),
    (r'^weigh\.spatial', r'DDF.spatial_branch.body'),
    (r'^weigh\.channel\.1', r'DDF.channel_branch.fc.0'),
    (r'^weigh\.channel\.3', r'DDF.channel_branch.fc.2'),
    (r'^project', r'convolutional_out.conv'),
    (r'^transformer', r'basicLayer.blocks'),
    *RELEASED_BLOCK_PARTS,
)
