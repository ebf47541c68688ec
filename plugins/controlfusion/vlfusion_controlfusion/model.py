"""ControlFusion: a framework with language-vision degradation prompts (Tang et al., NeurIPS 2025).

The network is that of Text-IF (`vlfusion.models.layers.modulated_restormer`) with attention to channels and pixels
after each encoder. Its decoder is modulated by the vector of a text about the degradation, or by the vector that a
visual adapter predicts from the images.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from vlfusion.errors import CheckpointError, ConfigError, did_you_mean
from vlfusion.models.layers.cbam import CBAM
from vlfusion.models.layers.modulated_restormer import ModulatedRestormer
from vlfusion.models.layers.modulation import pooled_text
from vlfusion.models.layers.restormer import RELEASED_BLOCK_PARTS
from vlfusion.models.released import by_patterns, under_our_names, without_prefix
from vlfusion.registry import BACKBONES
from vlfusion_controlfusion.adapter import VisualAdapter

#: Choices of `adapter`, and the sources that each reads.
ADAPTERS = {'both': ('a', 'b'), 'infrared': ('a',), 'visible': ('b',)}


@BACKBONES.register_module()
class ControlFusion(ModulatedRestormer):
    """ControlFusion: Restormer encoders and a decoder that a text, or its prediction from the images, modulates.

    Cost: attention between all pixels at an eighth of the size, three times, takes `6 n^2 c` multiplications for `n`
    pixels and `c = 8 dim` channels; its memory grows with `n`. For 640x480 at `dim=48`, `n` is 4800.

    Args:
        text_dim: width of the text features; 768 for CLIP ViT-L/14@336, as published.
        adapter: images from which the vector is predicted if there is no text: `both`, `visible` (the setting in the
            released script), `infrared`; None for a network that needs a text.
        channels: 3 for the released network, which is given luminance as red, green and blue and whose output is turned
            into luminance; 1 for a network of luminance.
        dim: channels at full size; each coarser scale has twice as many.
        blocks: Restormer blocks at each scale, in each encoder and in the decoder.
        refinement: number of blocks after the decoder.
        heads: attention heads of the blocks at each scale.
        expansion: expansion of the feed-forward networks.
        adapter_width: channels of the adapter's first convolutions.

    >>> net = ControlFusion(text_dim=16, dim=8, blocks=(1, 1, 1, 1), refinement=1, adapter_width=4).eval()
    >>> net(torch.rand(2, 1, 20, 28), torch.rand(2, 1, 20, 28)).shape
    torch.Size([2, 1, 20, 28])

    Attributes:
        text_optional: True if there is an adapter.

    Raises:
        ConfigError: `dim` is odd, `heads` does not divide the channels of a scale, or the adapter or the number of
            channels is unknown.
    """

    def __init__(self, text_dim: int = 768, *, adapter: str | None = 'both', channels: int = 3, dim: int = 48,
                 blocks: Sequence[int] = (2, 2, 2, 2), refinement: int = 4, heads: Sequence[int] = (1, 2, 4, 8),
                 expansion: float = 2, adapter_width: int = 64):
        if channels not in (1, 3):
            raise ConfigError(f'ControlFusion got channels={channels}.', 'Use 3, as released, or 1 for luminance.')
        if adapter is not None and adapter not in ADAPTERS:
            raise ConfigError(f'ControlFusion has no adapter {adapter!r}.', did_you_mean(adapter, ADAPTERS))
        super().__init__(text_dim, channels=channels, dim=dim, blocks=blocks, refinement=refinement, heads=heads,
                         expansion=expansion)
        self.text_optional, self.channels = adapter is not None, channels
        coarser = [2 * dim, 4 * dim, 8 * dim]
        self.attend_a = nn.ModuleList(CBAM(width, bias=True) for width in coarser)
        self.attend_b = nn.ModuleList(CBAM(width, bias=True) for width in coarser)
        self.adapter = VisualAdapter(text_dim, ADAPTERS[adapter], adapter_width) if adapter else None

    def encode(self, source_a: Float[Tensor, 'batch c h w'],
               source_b: Float[Tensor, 'batch c h w']) -> tuple[list[Tensor], list[Tensor]]:
        """Return the features of each source at four scales, attended to at the three coarser ones."""
        (finest_a, *coarser_a), (finest_b, *coarser_b) = super().encode(source_a, source_b)
        return ([finest_a, *(attend(x) for attend, x in zip(self.attend_a, coarser_a, strict=True))],
                [finest_b, *(attend(x) for attend, x in zip(self.attend_b, coarser_b, strict=True))])

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Float[Tensor, 'batch token dim'] | None = None,
                text_mask: Bool[Tensor, 'batch token'] | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene under a text, or without one under the adapter's prediction.

        The released `forward` always takes the prediction. Its README says to exchange two lines for a text.

        Args:
            source_a: infrared luminance in [0, 1].
            source_b: visible luminance in [0, 1].
            text: features of a text about the degradation: one pooled vector, or several, which are averaged.
            text_mask: True for a real token, False for padding; None if all tokens are real.

        Returns:
            The fused luminance, in [0, 1] in evaluation mode; not clamped in training mode, because a clamp would
            remove the gradient of the worst pixels.

        Raises:
            ConfigError: no text is given to a network without an adapter, or its features have another width than
                `text_dim`.
            DataError: a text has no real token, or an image is too small for the adapter.
        """
        if text is None and self.adapter is not None:
            vector = self.adapter(source_a, source_b)
        else:
            vector = pooled_text(self, text, text_mask, self.text_dim)
        fused = self.fuse(*(source.expand(-1, self.channels, -1, -1) for source in (source_a, source_b)), vector)
        if not self.training:
            fused = fused.clamp(0, 1)
        if self.channels == 1:
            return fused
        red, green, blue = fused.split(1, 1)
        return 0.299 * red + 0.587 * green + 0.114 * blue

    @staticmethod
    def convert_released(*states: Mapping) -> dict[str, Shaped[Tensor, '...']]:
        """Rename released states to the names of this network.

        The weights of CLIP inside the first file are dropped. The authors give the visible image first, so both halves
        of each layer that merges the sources change places.

        Args:
            states: contents of the file of the network and, for a network with an adapter, of `both.pth` or `one.pth`.

        Raises:
            CheckpointError: no state or more than two are given, or names are missing or unknown.
        """
        if len(states) not in (1, 2):
            raise CheckpointError(f'ControlFusion was released in two files, but got {len(states)}.', _REMEDY)
        network, *adapters = (without_prefix(state.get('model', state)) for state in states)
        state = {name: value for name, value in network.items() if not name.startswith('model_clip.')}
        state |= {f'adapter.{name}': value for adapter in adapters for name, value in adapter.items()}
        kind = None if not adapters else 'visible' if any('fusion_module' in name for name in adapters[0]) else 'both'
        with torch.device('meta'):
            names = ControlFusion(adapter=kind).state_dict()
        state = under_our_names('ControlFusion', state, {name: released_name(name) for name in names}, _REMEDY)
        return {name: _as_ours(name, value) for name, value in state.items()}


def released_name(name: str) -> str:
    """Return the released name of a tensor; names of an adapter get the prefix `adapter.`."""
    return by_patterns(name, _RELEASED_PARTS)


def _as_ours(name: str, value: Tensor) -> Tensor:
    if name.startswith('merge.'):
        return torch.cat(value.chunk(2, 1)[::-1], 1)  # infrared first
    if name.startswith('attend_') and name.endswith('1.weigh.weight'):
        return value.flip(1)  # the mean of the channels first
    if name.startswith('attend_') and name.endswith('.weight'):
        return value[..., None, None]  # a linear layer as a 1x1 convolution
    return value


_REMEDY = 'Give the released final.pth, and both.pth or one.pth for the adapter, unchanged.'

#: Released names of the encoders: the authors give the visible image first.
_SOURCES = {'a': 'B', 'b': 'A'}

#: Patterns that turn our names into the released ones, applied in this order.
_RELEASED_PARTS = (
    (r'^adapter\.coarse\.', r'adapter.global_cnn.conv_layers.'),
    (r'^adapter\.quarters\.', r'adapter.local_cnn.conv.'),
    (r'^adapter\.spectrum\.', r'adapter.freq_cnn.conv_layers.'),
    (r'^adapter\.coarse_output', r'adapter.global_cnn.fc'),
    (r'^adapter\.quarters_output', r'adapter.local_cnn.fc'),
    (r'^adapter\.spectrum_output', r'adapter.freq_cnn.fc'),
    (r'^adapter\.weigh', r'adapter.fusion_module.fc'),
    (r'^adapter\.project\.0', r'adapter.fc1'),
    (r'^adapter\.project\.2', r'adapter.fc2'),
    (r'^encoder_(.)', lambda found: f'encoder_{_SOURCES[found[1]]}'),
    (r'\.embed\.', r'.patch_embed.proj.'),
    (r'\.scales\.(\d)', lambda found: f'.encoder_level{int(found[1]) + 1}'),
    (r'\.down\.(\d)', lambda found: f'.down{int(found[1]) + 1}_{int(found[1]) + 2}.body'),
    (r'^self_attention\.project', r'attention_spatial.out'),
    (r'^self_attention', r'attention_spatial'),
    (r'^attend_(.)\.(\d)\.0\.weigh', lambda found: f'CBAM_{_SOURCES[found[1]]}{96 << int(found[2])}'
                                                   '.channel_attention.bottleneck'),
    (r'^attend_(.)\.(\d)\.1\.weigh', lambda found: f'CBAM_{_SOURCES[found[1]]}{96 << int(found[2])}'
                                                   '.spatial_attention.conv'),
    (r'^merge\.(\d)', lambda found: f'feature_fusion_{int(found[1]) + 1}.fusion_proj'),
    (r'^modulate\.(\d)\.mlp', lambda found: f'prompt_guidance_{int(found[1]) + 1}.MLP'),
    (r'^up\.(\d)', lambda found: f'up{int(found[1]) + 2}_{int(found[1]) + 1}.body'),
    (r'^reduce\.(\d)', lambda found: f'reduce_chan_level{int(found[1]) + 2}'),
    (r'^decoder\.(\d)', lambda found: f'decoder_level{int(found[1]) + 1}'),
    (r'^refine', r'refinement'),
    (r'feed_forward\.layers\.0', r'ffn.project_in'),
    (r'feed_forward\.layers\.1', r'ffn.dwconv'),
    (r'feed_forward\.layers\.3', r'ffn.project_out'),
    *RELEASED_BLOCK_PARTS,
    (r'^cross_attention\.(.)\.(\w+)', lambda found: f'cross_attention.{found[2]}_{_SOURCES[found[1]]}'),
    (r'^cross_attention\.project_', r'cross_attention.out_'),
)
