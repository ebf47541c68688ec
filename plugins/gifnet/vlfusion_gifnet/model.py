"""GIFNet: one model for all, by the interaction of low-level tasks (Cheng et al., CVPR 2025, 28102-28112).

A dense encoder extracts common features of a pair. Two streams of transformer blocks refine them: `modality`, trained
on infrared-visible pairs, and `focus`, trained on multi-focus pairs. The streams exchange queries and results. A
decoder makes the image from common and refined features. At test time both streams see the same pair, whatever its
task, and the focus stream gives the result.
This independent implementation reproduces the output of the released network up to rounding.
"""

import re

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlfusion.errors import DataError
from vlfusion.models.layers.window_block import PositionBias, WindowBlock, to_multiples
from vlfusion.models.released import by_patterns, convert
from vlfusion.registry import BACKBONES

GROWTH, WIDTH = 32, 64  # channels that a layer of the encoder adds; channels of the widest decoder layer
DIM = 2 + 3 * GROWTH  # channels of the common features: both sources and the three layers
SHIFT = 4  # of the windows of the second blocks: half a window


@BACKBONES.register_module()
class GIFNet(nn.Module):
    """GIFNet: two interacting streams of transformer blocks, one network for every task.

    Parts that only training needs are in `GIFNetModel`.

    Args:
        b_first: whether source B comes first. The authors put infrared, over-exposed and near-focused images (source A)
            first, but for medical pairs the functional image (source B).

    >>> GIFNet()(torch.rand(2, 1, 20, 27), torch.rand(2, 1, 20, 27)).shape
    torch.Size([2, 1, 20, 27])
    """

    def __init__(self, b_first: bool = False):
        super().__init__()
        self.b_first = b_first
        self.extract = nn.ModuleList(_conv(2 + i * GROWTH, GROWTH) for i in range(3))
        self.embed = nn.ModuleDict({stream: _conv(DIM, DIM) for stream in ('modality', 'focus')})
        self.first = nn.ModuleDict({stream: stream_block(shift=0) for stream in ('modality', 'focus')})
        self.last = stream_block(shift=SHIFT)
        self.positions = nn.ModuleList(PositionBias() for _ in range(2))  # one per depth, shared by the streams
        self.exchange = nn.Parameter(torch.rand(1))  # share of the modality stream that the focus stream adds
        self.unembed = _conv(DIM, DIM)
        self.merge = nn.Sequential(nn.Conv2d(2 * DIM, DIM, 1, bias=False), nn.ReLU(),
                                   nn.Conv2d(DIM, 2 * WIDTH, 1, bias=False))
        self.reconstruct = decoder(2 * WIDTH)

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Float[Tensor, 'batch token dim'] | None = None,
                text_mask: Bool[Tensor, 'batch token'] | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene.

        Args:
            source_a, source_b: luminance in [0, 1], of at least 5x5 pixels.
            text, text_mask: unused; GIFNet reads no text.

        Returns:
            The fused luminance, in [0, 1].

        Raises:
            DataError: the images are smaller than 5x5, too small to be reflected to whole windows.
        """
        common = self.encode(source_a, source_b)
        return self.decode(common, self.refine(common, common))

    def encode(self, source_a: Float[Tensor, 'batch 1 h w'],
               source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch dim h w']:
        """Compute the common features: the sources and the output of three densely connected layers."""
        if min(source_a.shape[-2:]) < 5:
            raise DataError(f'GIFNet needs images of at least 5x5, but got {tuple(source_a.shape[-2:])}.',
                            'Pad them, or use larger crops.')
        features = torch.cat((source_b, source_a) if self.b_first else (source_a, source_b), 1)
        for layer in self.extract:
            features = torch.cat((features, layer(features).relu()), 1)
        return features

    def refine(self, modality: Float[Tensor, 'batch dim h w'], focus: Float[Tensor, 'batch dim h w'],
               teaching: bool = False) -> Float[Tensor, 'batch dim h4 w4']:
        """Refine the common features by the focus stream, with the modality stream as its guest.

        Args:
            modality, focus: common features at the start of each stream; identical at test time.
            teaching: whether to block the gradient of the guest's attention, as in the authors' training.

        Returns:
            Features of the focus stream, for an image reflected to multiples of 4.
        """
        modality, focus = (self.embed[stream](to_multiples(x, 4))
                           for stream, x in (('modality', modality), ('focus', focus)))
        focus, lent = self.first['focus'](focus, self.positions[0]())
        modality, _ = self.first['modality'](modality, self.positions[0](), query=lent.query, frozen=teaching)
        focus, _ = self.last(focus + self.exchange * modality, self.positions[1]())
        return self.unembed(focus)

    def decode(self, common: Float[Tensor, 'batch dim h w'],
               refined: Float[Tensor, 'batch dim h4 w4']) -> Float[Tensor, 'batch 1 h w']:
        """Make an image in [0, 1] from common and refined features; the latter may extend beyond the image."""
        h, w = common.shape[-2:]
        return self.reconstruct(self.merge(torch.cat((common, refined[..., :h, :w]), 1))).tanh() / 2 + 0.5

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename the state of the released network to the names of this one.

        Args:
            state: released name to tensor. Parts without effect on fusing are left out: the restoring decoder, the
                second block of the modality stream, three exchange weights (two are never used), a table of constants.

        Raises:
            CheckpointError: a name is missing, or GIFNet does not have it.
        """
        return convert(GIFNet, state, released_name, dropped=_NOT_FOR_FUSING,
                       remedy='Give the released Final.model, unchanged.')


def decoder(dim: int) -> nn.Sequential:
    """Build four convolutions from `dim` channels to one, the last without activation."""
    widths = (dim, WIDTH, WIDTH // 2, WIDTH // 4, 1)
    layers = [layer for before, after in zip(widths, widths[1:], strict=False)
              for layer in (_conv(before, after), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def stream_block(shift: int) -> WindowBlock:
    """Build a block of one of the two streams, which are two blocks deep."""
    return WindowBlock(DIM, gain=16 ** -0.25, shift=shift)


def _conv(channels: int, dim: int) -> nn.Conv2d:
    return nn.Conv2d(channels, dim, 3, padding=1, padding_mode='reflect')


_STREAMS = 'extractor_multask.SwinTransformerSpecific.'

#: Released names without effect on a fused image.
_NOT_FOR_FUSING = (r'^decoder_rec\.|\.relative_positions$|\.weights\.\d$|\.weights_mfif\.1$'
                   r'|\.blocks\.1\.(norm1|attn\.(conv|V|proj|QK)|mlp)\.')

#: Patterns that turn our names into the released ones, applied in this order. The last three belong to parts that only
#: `GIFNetModel` has.
_RELEASED_PARTS = (
    (r'^extract\.(\d)', lambda m: f'getSharedFeatures.conv_{int(m[1]) + 1}.conv2d'),
    (r'^embed\.(\w+)', rf'{_STREAMS}patch_embed_\1.proj'),
    (r'^first\.(\w+)', rf'{_STREAMS}layer1.blocks.0.\1'),
    (r'^last\.', rf'{_STREAMS}layer1.blocks.1.focus.'),
    (r'^positions\.(\d)\.network', rf'{_STREAMS}layer1.blocks.\1.attn.attn.meta'),
    (r'^exchange$', f'{_STREAMS}layer1.weights_mfif.0'),
    (r'^unembed', f'{_STREAMS}patch_unembed.proj.0'),
    (r'^merge', 'cnnDecoder.fuseComplementFeatures.mlp'),
    (r'^reconstruct\.(\d)', lambda m: f'cnnDecoder.decoder.{int(m[1]) // 2 * 3 + 1}'),
    (r'^restore\.(\d)', lambda m: f'decoder_rec.decoder.{int(m[1]) // 2 * 3 + 1}'),
    (r'^last_modality\.', rf'{_STREAMS}layer1.blocks.1.modality.'),
    (r'^exchange_modality$', f'{_STREAMS}layer1.weights.0'),
)
_BLOCK_PARTS = {'norm.scale': 'norm1{}.meta1', 'norm.offset': 'norm1{}.meta2', 'norm': 'norm1{}',
                'query_key': 'attn.QK{}', 'value': 'attn.V{}', 'local': 'attn.conv{}', 'project': 'attn.proj{}',
                'feed_forward': 'mlp{}.mlp'}


def released_name(name: str) -> str:
    """Released name of a parameter of GIFNet, or of the parts that `GIFNetModel` adds."""
    name = by_patterns(name, _RELEASED_PARTS)
    name = name.replace('patch_embed_modality', 'patch_embed_ivif').replace('patch_embed_focus', 'patch_embed_mfif')
    match = re.search(r'\.(modality|focus)\.(.+?)(\.\d)?\.(weight|bias)$', name)
    if match is None:
        return name
    stream, part, index, parameter = match.groups(default='')
    released = _BLOCK_PARTS[part].format('_mfif' if stream == 'focus' else '')
    return f'{name[:match.start()]}.{released}{index}.{parameter}'
