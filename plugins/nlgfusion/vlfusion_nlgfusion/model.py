"""NLG-fusion: a natural language guided, interactive network for infrared and visible image fusion (2024).

The fusion network of ReCoNet (Huang et al., ECCV 2022) with Restormer blocks beside its attention, and with three texts
that scale and shift its features. Written from the released code, whose output it reproduces from a random state.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlfusion.errors import ConfigError
from vlfusion.models.layers.modulation import FeatureModulation, pooled_text
from vlfusion.models.layers.restormer import RELEASED_BLOCK_PARTS, RestormerBlock
from vlfusion.models.released import convert
from vlfusion.registry import BACKBONES

#: Features of the tokens of a text, and a mask of its real tokens. Texts may differ in length.
Text = Float[Tensor, 'batch _ _'] | None
Mask = Bool[Tensor, 'batch _'] | None


@BACKBONES.register_module()
class NLGFusion(nn.Module):
    """NLG-fusion: a sentence about the task and one about each source modulate a small network.

    Both sources' features go through one modulation, as in the released code, whose second one is never called.

    Args:
        text_dim: width of the three texts' features; 512 for CLIP ViT-B/32, as in the paper.
        loops: number of corrections of the fused image. All use the same weights.
        dim: channels of each of the three dilated convolutions.

    >>> net, texts = NLGFusion(text_dim=8, dim=4).eval(), torch.rand(3, 2, 1, 8)
    >>> instruction, text_a, text_b = texts
    >>> net(torch.rand(2, 1, 20, 27), torch.rand(2, 1, 20, 27), instruction, text_a, text_b).shape
    torch.Size([2, 1, 20, 27])

    Raises:
        ConfigError: `loops` is less than 1.
    """

    def __init__(self, text_dim: int = 512, *, loops: int = 1, dim: int = 32):
        super().__init__()
        if loops < 1:
            raise ConfigError(f'NLGFusion needs at least one loop, but got loops={loops}.', 'The paper uses loops=1.')
        self.text_dim = dict.fromkeys(('instruction', 'text_a', 'text_b'), text_dim)
        self.loops = loops
        self.halo = 7 * loops  # each loop: a block and a convolution, or 2 + 1; dilation 3; a convolution
        self.read_a = SourceReader()
        self.read_b = SourceReader()
        self.modulate_sources = FeatureModulation(text_dim, 3, hidden=6)
        self.dilated = nn.ModuleList(
            nn.Sequential(nn.Conv2d(7, dim, 3, padding=dilation, dilation=dilation), nn.GELU())
            for dilation in (1, 2, 3))
        self.modulate = FeatureModulation(text_dim, 3 * dim, hidden=6 * dim)
        self.merge = nn.Sequential(nn.Conv2d(3 * dim, 1, 3, padding=1), nn.Tanh())

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                instruction: Text = None, text_a: Text = None, text_b: Text = None, instruction_mask: Mask = None,
                text_a_mask: Mask = None, text_b_mask: Mask = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene as the three texts say.

        Args:
            source_a: infrared, in [0, 1].
            source_b: luminance of the visible image, in [0, 1].
            instruction: features of a text about the task: one pooled vector, or several, which are averaged.
            text_a, text_b: the same of a text about each source.
            instruction_mask, text_a_mask, text_b_mask: True for a real token, False for padding; None if all are real.

        Returns:
            The fused luminance in [0, 1]; in training mode in [-1, 1], so that no gradient is lost to a clamp.

        Raises:
            ConfigError: a text is missing, or the width of its features is not `text_dim`.
            DataError: a text of the batch has no real token.
        """
        texts = dict(instruction=(instruction, instruction_mask), text_a=(text_a, text_a_mask),
                     text_b=(text_b, text_b_mask))
        task, about_a, about_b = (pooled_text(self, *texts[name], dim, name) for name, dim in self.text_dim.items())
        fused = torch.maximum(source_a, source_b)
        for _ in range(self.loops):
            features_a = self.modulate_sources(self.read_a(source_a, fused), about_a)
            features_b = self.modulate_sources(self.read_b(source_b, fused), about_b)
            features = torch.cat((features_a, fused, features_b), 1)
            features = torch.cat([layer(features) for layer in self.dilated], 1)
            fused = self.merge(self.modulate(features, task))  # in [-1, 1]
        return fused if self.training else fused.clamp(0, 1)

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename the state of the released network to the names of this one.

        CLIP, which the released file holds twice, and the modulation that is never called are left out.

        Args:
            state: released name to tensor.

        Raises:
            CheckpointError: a name is missing, or NLGFusion does not have it.
        """
        return convert(NLGFusion, state, _RELEASED_PARTS, dropped=r'model_clip\.|prompt_guidance_vi\.',
                       remedy="Give the authors' .ckpt file, unchanged.")


class SourceReader(nn.Module):
    """Read one source beside the fused image: the source under attention, and two channels of features.

    >>> SourceReader()(torch.rand(2, 1, 8, 9), torch.rand(2, 1, 8, 9)).shape
    torch.Size([2, 3, 8, 9])
    """

    def __init__(self):
        super().__init__()
        self.detail = block()
        self.base = block()
        self.attend = nn.Sequential(nn.Conv2d(4, 1, 3, padding=1, bias=False), nn.BatchNorm2d(1), nn.GELU())

    def forward(self, source: Float[Tensor, 'batch 1 h w'],
                fused: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch 3 h w']:
        both = torch.cat((source, fused), 1)
        seen = torch.cat((torch.maximum(source, fused), (source + fused) / 2, self.detail(both)), 1)
        return torch.cat((source * self.attend(seen).sigmoid(), self.base(both)), 1)


def block() -> RestormerBlock:
    """Build a Restormer block of two channels and two heads.

    A head of one channel attends to itself alone: queries, keys and temperature have no effect, so an output depends on
    nearby pixels only. The temperature, which never gets a gradient, is no trainable parameter.
    """
    layer = RestormerBlock(2, heads=2, expansion=2)
    layer.attention.temperature.requires_grad_(False)
    return layer


#: Patterns that turn our names into the released ones.
_RELEASED_PARTS = (
    *RELEASED_BLOCK_PARTS,
    (r'read_(.)\.attend', r'att_\1_conv.group'),
    (r'read_(.)\.detail', r'trans_\1'),
    (r'read_a\.base', r'trans_ir'),
    (r'read_b\.base', r'trans_vi'),
    (r'modulate_sources\.mlp', r'prompt_guidance_ir.MLP'),
    (r'modulate\.mlp', r'decoder.prompt_guidance.MLP'),
    (r'dilated\.(\d)', r'decoder.conv_d.\1.group'),
    (r'merge', r'decoder.conv_s'),
    (r'^', 'fuser.'),
)
