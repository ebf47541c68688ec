"""DTPF: Distilling Textual Priors from LLM to Efficient Image Fusion (Zhang et al., IEEE TCSVT 2025).

Two encoders of X-Restormer blocks, one per source, work at four scales. At the coarsest scale they exchange features. A
decoder returns to full size and merges the features of both encoders at each scale. The teacher's decoder is modulated
at each scale by one vector of a text. The student is narrower and reads no text; it learns from the teacher. This
independent implementation computes what the released networks compute.
"""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlfusion.errors import ConfigError
from vlfusion.models.layers.modulation import FeatureModulation, pooled_text
from vlfusion.models.layers.scales import Encoder, Upsample
from vlfusion.models.released import by_patterns, under_our_names, without_prefix
from vlfusion.registry import BACKBONES
from vlfusion_dtpf.blocks import AttentiveMerge, Exchange, XRestormerBlock
from vlfusion_dtpf.windows import fuse_in_windows

#: Images are padded to its multiples: three halvings, and windows of eight pixels.
MULTIPLE = 64
#: Side and distance of the windows in which the authors test.
WINDOW, STRIDE = 128, 64

#: Attention heads of channels and of windows, at full size and at each coarser scale.
HEADS, WINDOW_HEADS = (1, 2, 4, 8), (2, 2, 3, 4)


@BACKBONES.register_module()
class DTPF(nn.Module):
    """DTPF for luminance: the teacher with a text, or the student without.

    The teacher has the defaults, and `text_dim=512` for CLIP ViT-B/32. The student has `dim=16, refinement=2,
    expansion=2`. The attention of channels sums over the whole image, so the network is not local.

    Args:
        text_dim: width of the text features; None for a network without text.
        dim: channels at full size, a multiple of four; each coarser scale has twice as many.
        blocks: blocks at each scale, in each encoder and in the decoder.
        refinement: number of blocks after the decoder.
        expansion: expansion of the feed-forward networks.
        channels: channels of source B and of the output: 1, or 3 as released. With three, source B is given as red,
            green and blue, and the fused image is the luminance of the output.
        windows: True to fuse windows of 128 pixels outside training, as the authors test, instead of the whole image.

    Attributes:
        feature_widths: channels of the decoder at each scale, the finest first.

    >>> student = DTPF(dim=4, blocks=(1, 1, 1, 1), refinement=1, expansion=2).eval()
    >>> student(torch.rand(2, 1, 20, 28), torch.rand(2, 1, 20, 28)).shape
    torch.Size([2, 1, 20, 28])

    Raises:
        ConfigError: `dim` is not a multiple of four, or `channels` is neither 1 nor 3.
    """

    def __init__(self, text_dim: int | None = None, *, dim: int = 48, blocks: Sequence[int] = (2, 2, 2, 2),
                 refinement: int = 4, expansion: float = 2.66, channels: int = 1, windows: bool = False):
        super().__init__()
        if dim % 4:
            raise ConfigError(f'The merged features of DTPF have 2 x {dim} channels, which eight heads cannot share.',
                              'Choose `dim` as a multiple of four; the teacher has 48 and the student 16.')
        if channels not in (1, 3):
            raise ConfigError(f'DTPF fuses images of 1 or 3 channels, but got channels={channels}.',
                              'Choose 1, or 3 for the released weights.')
        self.text_dim, self.channels, self.windows = text_dim, channels, windows
        widths = [dim, 2 * dim, 4 * dim, 8 * dim]
        stacks = partial(_stacks, blocks=blocks, expansion=expansion)
        self.encoder_a = Encoder(1, widths, stacks(widths))
        self.encoder_b = Encoder(channels, widths, stacks(widths))
        self.exchange = Exchange(widths[3], WINDOW_HEADS[3])
        self.merge = nn.ModuleList(AttentiveMerge(width) for width in widths)
        if text_dim is not None:
            self.modulate = nn.ModuleList(FeatureModulation(text_dim, width, hidden=width, activation=nn.ReLU,
                                                            around_one=False) for width in widths)
        self.up = nn.ModuleList(Upsample(2 * width) for width in widths[:3])
        self.reduce = nn.ModuleList(nn.Conv2d(2 * width, width, 1, bias=False) for width in widths[1:3])
        # The finest scale keeps the channels of decoder and encoders concatenated.
        self.feature_widths = [2 * dim, *widths[1:]]
        self.decoder = stacks(self.feature_widths)
        self.refine = _stack(2 * dim, HEADS[0], WINDOW_HEADS[0], refinement, expansion)
        self.output = nn.Conv2d(2 * dim, channels, 3, padding=1, bias=False)
        self.register_buffer('luminance', torch.tensor((0.299, 0.587, 0.114) if channels == 3 else (1.,)
                                                       ).view(-1, 1, 1), persistent=False)

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Float[Tensor, 'batch token dim'] | None = None,
                text_mask: Bool[Tensor, 'batch token'] | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene.

        Args:
            source_a: luminance in [0, 1]: infrared, or MRI.
            source_b: luminance in [0, 1]: visible, or CT, PET or SPECT. The output of the network is added to it.
            text: features of the text: one pooled vector, or several, which are averaged. Unused without `text_dim`.
            text_mask: True for a real token, False for padding; None if all tokens are real.

        Returns:
            The fused luminance, in [0, 1] in evaluation mode. In training mode it may leave that range, because a clamp
            would remove the gradient of the worst pixels.

        Raises:
            ConfigError: the network reads a text, and none is given or the width of its features is not `text_dim`.
            DataError: a text of the batch has no real token.
        """
        if self.training:
            return self.fuse_with_features(source_a, source_b, text, text_mask)[0]
        fused = self.fuse_colour(source_a, self._coloured(source_b), self.vector(text, text_mask))
        return self._luminance(fused.clamp(0, 1))

    def fuse_with_features(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                           text: Float[Tensor, 'batch token dim'] | None = None,
                           text_mask: Bool[Tensor, 'batch token'] | None = None) -> tuple[Tensor, list[Tensor]]:
        """Fuse whole images for training. Arguments and errors as for `forward`.

        Returns:
            The fused luminance `(batch, 1, h, w)`, not clamped; and the features of the decoder, as of `decode`.
        """
        fused, features = self.decode(source_a, self._coloured(source_b), self.vector(text, text_mask))
        return self._luminance(fused), features

    def fuse_colour(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch channels h w'],
                    vector: Float[Tensor, 'batch dim'] | None = None) -> Float[Tensor, 'batch channels h w']:
        """Fuse as the network was released, with a colour source B. The result is not clamped.

        Args:
            source_a: luminance in [0, 1].
            source_b: red, green and blue in [0, 1]; luminance if the network has one channel.
            vector: result of `vector`.
        """
        if not self.windows:
            return self.decode(source_a, source_b, vector)[0]
        height, width = source_a.shape[-2:]
        a, b = (_extend(source, max(WINDOW, height), max(WINDOW, width)) for source in (source_a, source_b))
        fused = fuse_in_windows(lambda a, b: self.decode(a, b, vector)[0], a, b, WINDOW, STRIDE)
        return fused[..., :height, :width]

    def vector(self, text: Float[Tensor, 'batch token dim'] | None,
               text_mask: Bool[Tensor, 'batch token'] | None) -> Float[Tensor, 'batch dim'] | None:
        """Pool the text; None for a network without text. Errors as for `forward`."""
        return None if self.text_dim is None else pooled_text(self, text, text_mask, self.text_dim)

    def decode(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch channels h w'],
               vector: Float[Tensor, 'batch dim'] | None = None) -> tuple[Tensor, list[Tensor]]:
        """Fuse whole images.

        Returns:
            The fused image, not clamped, in the shape of source B; and the features of the decoder at each scale, the
            finest first, of `feature_widths` channels. They are those of the images extended to multiples of 64.
        """
        height, width = source_a.shape[-2:]
        size = height + -height % MULTIPLE, width + -width % MULTIPLE
        *finer, coarsest = zip(self.encoder_a(_extend(source_a, *size)), self.encoder_b(_extend(source_b, *size)),
                               strict=True)
        a, b = self.exchange(*coarsest)
        x = self.decoder[3](self._modulated(3, self.merge[3](b, a), vector))
        features = [x]
        for scale in (2, 1, 0):
            x = self._modulated(scale, self.up[scale](x), vector)
            a, b = finer[scale]
            x = torch.cat((x, self.merge[scale](b, a)), 1)
            x = self.decoder[scale](self.reduce[scale - 1](x) if scale else x)
            features.insert(0, x)
        fused = self.output(self.refine(x))[..., :height, :width] + source_b
        return fused, features

    def _modulated(self, scale: int, x: Tensor, vector: Tensor | None) -> Tensor:
        return x if vector is None else self.modulate[scale](x, vector)

    def _coloured(self, source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch channels h w']:
        return source_b.expand(-1, self.channels, -1, -1)

    def _luminance(self, fused: Float[Tensor, 'batch channels h w']) -> Float[Tensor, 'batch 1 h w']:
        return (fused * self.luminance).sum(1, keepdim=True)

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename the state of a released teacher or student to the names of this network.

        Args:
            state: released name to tensor. A prefix `module.` is dropped, and so are the weights of CLIP, which the
                teacher's file holds too.

        Raises:
            CheckpointError: a name is missing, or DTPF does not have it.
        """
        state = {name: value for name, value in without_prefix(state).items() if not name.startswith('model_clip.')}
        blocks = [_places(state, f'encoder_A.encoder_level{level}') for level in (1, 2, 3, 4)]
        text_dim = 512 if any(name.startswith('prompt_guidance') for name in state) else None
        with torch.device('meta'):  # only names are needed, no memory
            network = DTPF(text_dim, blocks=blocks, refinement=_places(state, 'refinement'))
        names = {name: by_patterns(name, _RELEASED_PARTS) for name in network.state_dict()}
        return under_our_names('DTPF', state, names, 'Give distill_epoch999_quality0.9368.pth, unchanged.')


def _stacks(widths: Sequence[int], blocks: Sequence[int], expansion: float) -> nn.ModuleList:
    """Build the blocks of each scale."""
    return nn.ModuleList(_stack(*scale, expansion)
                         for scale in zip(widths, HEADS, WINDOW_HEADS, blocks, strict=True))


def _stack(dim: int, heads: int, window_heads: int, blocks: int, expansion: float) -> nn.Sequential:
    return nn.Sequential(*(XRestormerBlock(dim, heads, window_heads, expansion) for _ in range(blocks)))


def _places(state: dict, part: str) -> int:
    """Count the blocks of a part of a released state, whose names are `PART.0.NAME`, `PART.1.NAME` ..."""
    return len({name.removeprefix(part).split('.')[1] for name in state if name.startswith(f'{part}.')})


def _extend(image: Float[Tensor, 'batch c h w'], height: int, width: int) -> Tensor:
    """Repeat the last row and column until an image has a size."""
    return F.pad(image, (0, width - image.shape[3], 0, height - image.shape[2]), mode='replicate')


#: Patterns that turn our names into the released ones, applied in this order. The authors number scales from 1, and
#: call the source A that the output is added to, which is B here.
_RELEASED_PARTS = (
    (r'relative_rows', r'rel_pos_emb.rel_height'),
    (r'relative_columns', r'rel_pos_emb.rel_width'),
    (r'\.project\.', r'.project_out.'),
    (r'\.expand\.', r'.project_in.'),
    (r'qkv_depthwise', r'qkv_dwconv'),
    (r'\.depthwise', r'.dwconv'),
    (r'channel\.attention_norm', r'norm1.body'),
    (r'channel\.feed_forward_norm', r'norm2.body'),
    (r'channel\.attention', r'channel_attn'),
    (r'channel\.feed_forward', r'channel_ffn'),
    (r'window_norm', r'norm3.body'),
    (r'feed_forward_norm', r'norm4.body'),
    (r'feed_forward', r'spatial_ffn'),
    (r'window_attention', r'spatial_attn'),
    (r'channel_attention', r'channel_attn'),
    (r'^exchange\.window_', r'cross_attention.spatial_attn_'),
    (r'^exchange\.channel_', r'cross_attention.channel_attn_'),
    (r'^exchange\.merge_', r'cross_attention.fusion_'),
    (r'^(encoder|cross_attention\.\w+)_a\b', r'\1_SECOND'),
    (r'^(encoder|cross_attention\.\w+)_b\b', r'\1_A'),
    (r'_SECOND', r'_B'),
    (r'embed', r'patch_embed.proj'),
    (r'(encoder_[AB])\.scales\.(\d)', lambda part: f'{part[1]}.encoder_level{int(part[2]) + 1}'),
    (r'(encoder_[AB])\.down\.(\d)\.0', lambda part: f'{part[1]}.down{int(part[2]) + 1}_{int(part[2]) + 2}.body.0'),
    (r'^merge\.(\d)', lambda part: f'feature_fusion_{int(part[1]) + 1}'),
    (r'^modulate\.(\d)\.mlp', lambda part: f'prompt_guidance_{int(part[1]) + 1}.fc'),
    (r'^up\.(\d)\.0', lambda part: f'up{int(part[1]) + 2}_{int(part[1]) + 1}.body.0'),
    (r'^reduce\.(\d)', lambda part: f'reduce_chan_level{int(part[1]) + 2}'),
    (r'^decoder\.(\d)', lambda part: f'decoder_level{int(part[1]) + 1}'),
    (r'^refine', r'refinement'),
)
