"""TextFusion: controllable image fusion by textual semantics (Cheng et al., Information Fusion 117, 2025).

One transformer block for each source, then 512 maps in which a sentence's vector gates the infrared features. Written
from the released code, whose output it reproduces up to rounding.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import pad

from vlfusion.models.layers.modulation import pooled_text
from vlfusion.models.layers.window_block import PositionBias, WindowBlock, to_multiples
from vlfusion.models.released import convert
from vlfusion.registry import BACKBONES

#: Least height and width that can be reflected to whole windows; smaller images are extended by repetition.
SMALLEST = 5


@BACKBONES.register_module()
class TextFusion(nn.Module):
    """TextFusion: both sources under the attention of the visible one, and a sentence that gates the infrared.

    As in the released code, the infrared stream takes the result of the visible stream's attention. The code also
    computes an attention of the infrared features and drops it. Its layers are left out here.

    Args:
        text_dim: width of the text's vector and number of gated maps; 512 for CLIP ViT-B/32, as in the paper.
        dim: channels of each stream; an even number.

    >>> net = TextFusion(text_dim=8, dim=4)
    >>> net(torch.rand(2, 1, 20, 27), torch.rand(2, 1, 20, 27), text=torch.rand(2, 1, 8)).shape
    torch.Size([2, 1, 20, 27])
    """

    def __init__(self, text_dim: int = 512, dim: int = 24):
        super().__init__()
        self.text_dim = text_dim
        gain = 8 ** -0.25  # of a network one block deep
        self.embed_a, self.embed_b = (nn.Conv2d(1, dim, 3, padding=1, padding_mode='reflect') for _ in range(2))
        self.block_a = WindowBlock(dim, gain, attends=False)
        self.block_b = WindowBlock(dim, gain)
        self.positions = PositionBias()
        self.gate = TextGate(dim, text_dim)

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Float[Tensor, 'batch token dim'] | None = None,
                text_mask: Bool[Tensor, 'batch token'] | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene as a sentence says.

        Args:
            source_a: infrared, in [0, 1].
            source_b: luminance of the visible image, in [0, 1].
            text: features of the sentence: one pooled vector, not normalised; or several, which are averaged.
            text_mask: True for a real token, False for padding; None if all are real.

        Returns:
            The fused luminance, in [0, 1].

        Raises:
            ConfigError: no text is given, or the width of its features is not `text_dim`.
            DataError: a text of the batch has no real token.
        """
        vector = pooled_text(self, text, text_mask, self.text_dim)
        h, w = source_a.shape[-2:]
        a, b = (to_multiples(pad(source, (0, max(SMALLEST - w, 0), 0, max(SMALLEST - h, 0)), mode='replicate'), 4)
                for source in (source_a, source_b))
        b, lent = self.block_b(self.embed_b(b), self.positions())
        a, _ = self.block_a(self.embed_a(a), attended=lent.attended)
        return (self.gate(a, b, vector).tanh() / 2 + 0.5)[..., :h, :w]

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename the state of the released network to the names of this one.

        Args:
            state: released name to tensor. Parts on which no output depends are left out: the infrared queries and
                keys, two modules that are never called, a table of constants.

        Raises:
            CheckpointError: a name is missing, or TextFusion does not have it.
        """
        return convert(TextFusion, state, _RELEASED_PARTS, dropped=_WITHOUT_EFFECT,
                       remedy='Give the released LLVIP_pretrained.model, unchanged.')


class TextGate(nn.Module):
    """Make one map of two streams: `merge(B + t A)`, where `A` and `B` are maps of the infrared and the visible stream.

    `B + t A` has a map for each of the numbers of the text's vector `t`, and `merge` is a 3x3 convolution. All that
    follows the hidden layers is linear in them. So it is one convolution, whose kernel depends on the text, and the
    maps of the size of the image are never made.

    Args:
        dim: channels of each stream.
        text_dim: width of the vector.

    >>> TextGate(4, 8)(torch.rand(2, 4, 5, 6), torch.rand(2, 4, 5, 6), torch.rand(2, 8)).shape
    torch.Size([2, 1, 5, 6])
    """

    def __init__(self, dim: int, text_dim: int):
        super().__init__()
        self.hidden_a, self.hidden_b = (nn.Conv2d(dim, 2 * dim, 1, bias=False) for _ in range(2))
        self.maps_a, self.maps_b = (nn.Conv2d(2 * dim, text_dim, 1, bias=False) for _ in range(2))
        self.merge = nn.Conv2d(text_dim, 1, 3, padding=1, padding_mode='reflect')

    def forward(self, a: Float[Tensor, 'batch dim h w'], b: Float[Tensor, 'batch dim h w'],
                vector: Float[Tensor, 'batch text_dim']) -> Float[Tensor, 'batch 1 h w']:
        h, w = a.shape[-2:]
        hidden = torch.cat((self.hidden_a(a), self.hidden_b(b)), 1).relu()
        weights = torch.cat((vector[..., None] * self.maps_a.weight[..., 0, 0],
                             self.maps_b.weight[..., 0, 0].expand(len(vector), -1, -1)), 2)
        kernels = torch.einsum('dyx,bdc->byxc', self.merge.weight[0], weights)
        # The product with each of the 3x3 columns of the kernel, then their sum with each moved to its place.
        parts = torch.einsum('byxc,bchw->byxhw', kernels, pad(hidden, (1, 1, 1, 1), mode='reflect'))
        fused = sum(parts[:, y, x, y:y + h, x:x + w] for y in range(3) for x in range(3))
        return fused[:, None] + self.merge.bias


#: Released names on which no output depends.
_WITHOUT_EFFECT = r'^vt_features_fusion\.|^patch_merge1\.|\.ass_QK\.|\.relative_positions$'

#: Patterns that turn our names into the released ones, applied in this order.
_RELEASED_PARTS = (
    (r'^embed_b', 'patch_embed.proj'),
    (r'^embed_a', 'patch_embed2.proj'),
    (r'^positions\.network', 'layer1.blocks.0.attn.attn.meta'),
    (r'^gate\.merge', 'patch_unembed1.proj.0'),
    (r'^gate\.(hidden|maps)_(.)', lambda m: f'fuse_text_image.mlp_{dict(a="ir", b="vis")[m[2]]}'
                                            f'.{dict(hidden=0, maps=2)[m[1]]}'),
    (r'^block_(.)\.norm\.scale', r'block_\1.norm.meta1'),
    (r'^block_(.)\.norm\.offset', r'block_\1.norm.meta2'),
    (r'^block_a\.norm', 'block_a.ass_norm1'),
    (r'^block_b\.norm', 'block_b.norm1'),
    (r'^block_a\.feed_forward', 'block_a.mlp_ass.mlp'),
    (r'^block_b\.feed_forward', 'block_b.mlp.mlp'),
    (r'^block_b\.query_key', 'block_b.attn.QK'),
    (r'^block_a\.value', 'block_a.attn.ass_V'),
    (r'^block_b\.value', 'block_b.attn.V'),
    (r'^block_a\.(local|project)', lambda m: f'block_a.attn.{_LAYERS[m[1]]}_ass'),
    (r'^block_b\.(local|project)', lambda m: f'block_b.attn.{_LAYERS[m[1]]}'),
    (r'^block_.', 'layer1.blocks.0'),
)
_LAYERS = dict(local='conv', project='proj')
