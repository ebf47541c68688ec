"""HPFusion: infrared and visible image fusion with hierarchical human perception (Yang et al., ICASSP 2025).

A vision chat answers four questions about each source. The answers guide both sources' features by cross-attention;
then the sources are read at three scales and merged by channel and spatial attention, in equal scales and across them.
Written from the released code, whose output it reproduces from a random state.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlfusion.errors import DataError
from vlfusion.models.layers.tokens import checked_text
from vlfusion.models.released import convert
from vlfusion.registry import BACKBONES

#: Features of the answers about a source, and a mask of the real ones.
Text = Float[Tensor, 'batch _ _'] | None
Mask = Bool[Tensor, 'batch _'] | None

TOKEN = 256  # pixels of a token, and width of the cross-attention


@BACKBONES.register_module()
class HPFusion(nn.Module):
    """HPFusion: answers to four questions about each source, read by cross-attention. 1,071,880 parameters.

    The text hardly moves the output: the attention's result has an absolute sum of one over 256 numbers. One query
    attends to all pixels of a source, so memory grows linearly with the image.

    Args:
        text_dim: width of an answer's vector; 1024 for CLIP RN50, as in the paper.
        answers: number of answers about each source. Missing ones count as zero vectors.
        dim: channels of the features, a multiple of 8.

    Attributes:
        text_tokens: the most rows that each text may have.

    >>> net = HPFusion(text_dim=8, dim=8).eval()
    >>> net(torch.rand(2, 1, 20, 27), torch.rand(2, 1, 20, 27), torch.rand(2, 4, 8), torch.rand(2, 4, 8)).shape
    torch.Size([2, 1, 20, 27])
    """

    def __init__(self, text_dim: int = 1024, *, answers: int = 4, dim: int = 24):
        super().__init__()
        self.text_dim, self.text_tokens = dict(text_a=text_dim, text_b=text_dim), answers
        self.embed = nn.Conv2d(1, dim, 3, padding=1)
        self.weigh_answers = nn.Conv1d(answers, 1, 1)
        self.project_text = nn.Conv1d(text_dim, TOKEN, 1)
        self.weigh_sources = nn.Conv1d(2, 1, 1)
        self.guide_a = TextGuide(dim)
        self.guide_b = TextGuide(dim)
        self.read_full = Down(dim, 1)
        self.read_half = Down(dim, 2)
        self.read_quarter = nn.Sequential(Down(dim, 2), Down(dim, 2))
        self.merge_equal = Merge(dim)
        self.merge_across = Merge(dim, across=True)
        self.up_half = Up(dim, 16)
        self.up_quarter = nn.Sequential(Up(dim, dim), Up(dim, 8))
        self.output = nn.Sequential(nn.Conv2d(2 * dim + 2 * 16 + 8, dim, 3, padding=1),
                                    nn.Conv2d(dim, 1, 3, padding=1), nn.Tanh())

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text_a: Text = None, text_b: Text = None, text_a_mask: Mask = None,
                text_b_mask: Mask = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene.

        Args:
            source_a: infrared, in [0, 1].
            source_b: luminance of the visible image, in [0, 1].
            text_a, text_b: a vector for each answer about a source.
            text_a_mask, text_b_mask: True for a real answer, False for padding; None if all are real.

        Returns:
            The fused luminance in [0, 1].

        Raises:
            ConfigError: a text is missing, or the width of its features is not `text_dim`.
            DataError: a text of the batch has no real token, or has more than `answers`.
        """
        size = source_a.shape[-2:]
        padding = (0, -size[1] % 8, 0, -size[0] % 8)
        a, b = (self.embed(F.pad(source, padding, mode='replicate')) for source in (source_a, source_b))
        text = self.weigh_sources(torch.cat((self.read(text_a, text_a_mask, 'text_a'),
                                             self.read(text_b, text_b_mask, 'text_b')), 1))  # (batch, 1, TOKEN)
        for _ in range(2):  # the same layers twice, as released
            a, b = self.guide_a(a, text), self.guide_b(b, text)

        readers = self.read_full, self.read_half, self.read_quarter
        full_a, half_a, quarter_a = (reader(a) for reader in readers)
        full_b, half_b, quarter_b = (reader(b) for reader in readers)
        merged = torch.cat((self.merge_equal(full_a, full_b), self.merge_across(half_a, full_b),
                            self.up_half(self.merge_equal(half_a, half_b)),
                            self.up_half(self.merge_across(quarter_a, half_b)),
                            self.up_quarter(self.merge_equal(quarter_a, quarter_b))), 1)
        return (self.output(merged) / 2 + 0.5)[..., :size[0], :size[1]]

    def read(self, text: Text, mask: Mask, name: str) -> Float[Tensor, 'batch 1 token']:
        """Reduce the answers about a source to one vector."""
        text = checked_text(self, text, mask, self.text_dim[name], name)
        if text.shape[1] > self.text_tokens:
            raise DataError(f'HPFusion reads {self.text_tokens} answers about a source, but `{name}` has '
                            f'{text.shape[1]} rows.', "Use a prompt of questions and an encoder with output='pooled', "
                            'which gives one row for each answer.')
        text = text if mask is None else text * mask[..., None]
        text = F.pad(text, (0, 0, 0, self.text_tokens - text.shape[1]))
        return self.project_text(self.weigh_answers(text).mT).mT

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename the state of the released network to the names of this one.

        Layers that the released network builds and never calls are left out.

        Args:
            state: released name to tensor, or the authors' file, which holds it as `model`.

        Raises:
            CheckpointError: a name is missing, or HPFusion does not have it.
        """
        return convert(HPFusion, state.get('model', state), _RELEASED_PARTS, dropped=_UNUSED,
                       remedy="Give the authors' .pth file, unchanged.")


class TextGuide(nn.Module):
    """Cross-attention of a text to one source, whose result scales the source's pixels.

    A token is 256 pixels that follow one another in one of 32 maps, whatever the width of the image. The result of the
    attention, 256 numbers whose absolute values sum to one, multiplies each token.
    """

    def __init__(self, dim: int, maps: int = 32, heads: int = 8):
        super().__init__()
        self.to_tokens = nn.Conv2d(dim, maps, 1)
        self.attention = nn.MultiheadAttention(TOKEN, heads, batch_first=True)
        self.restore = nn.Sequential(nn.Conv2d(maps, dim, 1), nn.PReLU())
        self.merge = nn.Sequential(nn.Conv2d(2 * dim, dim, 1), nn.PReLU())

    def forward(self, x: Float[Tensor, 'batch dim h w'],
                text: Float[Tensor, 'batch 1 token']) -> Float[Tensor, 'batch dim h w']:
        maps = self.to_tokens(x)
        tokens = maps.reshape(len(x), -1, TOKEN)
        scale = F.normalize(self.attention(text, tokens, tokens, need_weights=False)[0], p=1, dim=2)
        return self.merge(torch.cat((x, self.restore((tokens * scale).reshape(maps.shape)) + x), 1))


class Down(nn.Module):
    """Residual convolutions, which divide height and width by `stride`."""

    def __init__(self, dim: int, stride: int):
        super().__init__()
        self.residual = nn.Sequential(conv(dim), nn.PReLU(), conv(dim), nn.PReLU(), conv(dim, stride), conv(dim))
        self.skip = nn.Sequential(conv(dim), conv(dim, stride), nn.PReLU())

    def forward(self, x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim _ _']:
        return self.residual(x) + self.skip(x)


class Up(nn.Module):
    """Residual convolutions to twice the height and width and `out` channels."""

    def __init__(self, dim: int, out: int):
        super().__init__()
        self.residual = nn.Sequential(conv(dim), nn.PReLU(), conv(dim), nn.PReLU(), enlarge(dim, dim),
                                      nn.Conv2d(dim, out, 3, padding=1))
        self.skip = nn.Sequential(conv(dim), enlarge(dim, out), nn.PReLU())

    def forward(self, x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch out _ _']:
        return self.residual(x) + self.skip(x)


class Merge(nn.Module):
    """Sum of two feature maps, each weighted by channel and by pixel.

    Args:
        dim: channels of both.
        across: True if the first has half the height and width of the second. It is then enlarged three times, by
            separate layers: for the weights of channels, for those of pixels, and for the sum.
    """

    def __init__(self, dim: int, across: bool = False):
        super().__init__()
        self.enlarge_for_channels = nn.Sequential(enlarge(dim, dim), nn.PReLU()) if across else nn.Identity()
        self.enlarge_for_pixels = nn.Sequential(enlarge(dim, dim), nn.PReLU()) if across else nn.Identity()
        self.enlarge = nn.Sequential(enlarge(dim, dim), nn.ReLU()) if across else nn.Identity()
        self.squeeze = nn.Sequential(nn.Conv2d(dim, dim // 8, 1), nn.PReLU())
        self.channels = nn.ModuleList(nn.Sequential(nn.Conv2d(dim // 8, dim, 1), nn.Sigmoid()) for _ in range(2))
        self.join = nn.Sequential(nn.Conv2d(2 * dim, dim, 1), nn.PReLU())
        self.down = nn.Sequential(conv(dim, 2), nn.PReLU())
        self.pixels = nn.ModuleList(nn.Sequential(enlarge(dim, dim), nn.Sigmoid()) for _ in range(2))

    def forward(self, x: Float[Tensor, 'batch dim _ _'],
                y: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim h w']:
        squeezed = self.squeeze((self.enlarge_for_channels(x) + y).mean((2, 3), keepdim=True))
        joined = self.down(self.join(torch.cat((self.enlarge_for_pixels(x), y), 1)))
        return sum(feature * channels(squeezed) * pixels(joined) for feature, channels, pixels
                   in zip((self.enlarge(x), y), self.channels, self.pixels, strict=True))


def conv(dim: int, stride: int = 1) -> nn.Conv2d:
    """Build a 3x3 convolution of equal width."""
    return nn.Conv2d(dim, dim, 3, stride, padding=1)


def enlarge(dim: int, out: int) -> nn.ConvTranspose2d:
    """Build a transposed convolution to twice the height and width."""
    return nn.ConvTranspose2d(dim, out, 3, 2, padding=1, output_padding=1)


#: Patterns that turn our names into the released ones.
_RELEASED_PARTS = (
    (r'^embed', 'input'),
    (r'^weigh_answers', 'q_fusion'),
    (r'^project_text', 'text_process.conv'),
    (r'^weigh_sources', 'text_fusion'),
    (r'^guide_(.)\.to_tokens', lambda match: f'cross_att.imagef2textf{match[1].upper()}1.conv'),
    (r'^guide_a\.attention', 'cross_att.cross_attentionA1.multihead_attn'),
    (r'^guide_b\.attention', 'cross_att.cross_attentionA2.multihead_attn'),
    (r'^guide_(.)\.merge', lambda match: f'cross_att.conv{match[1].upper()}_1'),
    (r'^guide_(.)\.restore', lambda match: f'cross_att.conv{match[1].upper()}_2'),
    (r'^read_full', 'downsample_1x'),
    (r'^read_half', 'downsample_2x'),
    (r'^read_quarter', 'downsample_4x'),
    (r'^up_half', 'upsample_2x'),
    (r'^up_quarter', 'upsample_4x'),
    (r'(downsample.*)\.skip', r'\1.down_conv'),
    (r'(upsample.*)\.skip', r'\1.up_conv'),
    (r'\.residual', '.res'),
    (r'^merge_equal', 'fusion_1x'),
    (r'^merge_across', 'fusion_2x'),
    (r'\.enlarge_for_channels', '.channel_map.up'),
    (r'\.enlarge_for_pixels', '.spatial_map.trans_conv'),
    (r'\.enlarge', '.up'),
    (r'\.squeeze', '.channel_map.channel_down'),
    (r'\.channels\.(\d)', lambda match: f'.channel_map.channel_up{int(match[1]) + 1}'),
    (r'\.join', '.spatial_map.conv_fusion'),
    (r'(fusion_..)\.down', r'\1.spatial_map.down'),
    (r'\.pixels\.(\d)', lambda match: f'.spatial_map.up{int(match[1]) + 1}'),
    (r'^', 'fusion_model.'),
)
#: Layers that the released network never calls: those that enlarge an image of equal size, and a projection.
_UNUSED = r'fusion_1x\.(up|channel_map\.up|spatial_map\.trans_conv)\.|fusion_.x\.one\.'
