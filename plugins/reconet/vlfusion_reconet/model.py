"""ReCoNet: recurrent correction network for fast and efficient multi-modality image fusion (Huang et al., ECCV 2022).

This is its fusion part, without the preceding registration. A few parallel convolutions correct the fused image three
times, given both sources through attention. This independent implementation reproduces the output of the released
network up to rounding.
"""


import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.errors import ConfigError
from vlfusion.models.released import convert
from vlfusion.registry import BACKBONES


@BACKBONES.register_module()
class ReCoNet(nn.Module):
    """ReCoNet: corrects a fused image several times by the same small network. 7,527 parameters, no text.

    Args:
        loops: number of corrections. All use the same weights.
        dim: channels of each of the three dilated convolutions.

    >>> ReCoNet().eval()(torch.rand(2, 1, 20, 27), torch.rand(2, 1, 20, 27)).shape
    torch.Size([2, 1, 20, 27])

    Raises:
        ConfigError: `loops` is less than 1.
    """

    def __init__(self, loops: int = 3, dim: int = 64):
        super().__init__()
        if loops < 1:
            raise ConfigError(f'ReCoNet needs at least one loop, but got loops={loops}.', 'The paper uses loops=3.')
        self.loops = loops
        self.halo = 5 * loops  # each loop: attention, a convolution of dilation 3, a convolution
        self.attend_a = Attention()
        self.attend_b = Attention()
        self.dilated = nn.ModuleList(
            nn.Sequential(nn.Conv2d(3, dim, 3, padding=dilation, dilation=dilation), nn.BatchNorm2d(dim), nn.ReLU())
            for dilation in (1, 2, 3))
        self.merge = nn.Sequential(nn.Conv2d(3 * dim, 1, 3, padding=1), nn.BatchNorm2d(1), nn.Tanh())

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Tensor | None = None, text_mask: Tensor | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene.

        Args:
            source_a: infrared, in [0, 1].
            source_b: luminance of the visible image, in [0, 1].
            text, text_mask: unused; ReCoNet reads no text.

        Returns:
            The fused luminance in [0, 1]; in training mode in [-1, 1], so that no gradient is lost to a clamp.
        """
        fused = torch.maximum(source_a, source_b)
        for _ in range(self.loops):
            fused = self.correct(fused, source_a, source_b)  # in [-1, 1]
        return fused if self.training else fused.clamp(0, 1)

    def correct(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
                source_b: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch 1 h w']:
        """Run one loop: correct the fused image, given the sources weighted by attention."""
        attended_a = source_a * self.attend_a(source_a, fused)
        attended_b = source_b * self.attend_b(source_b, fused)
        images = torch.cat((attended_a, fused, attended_b), 1)
        return self.merge(torch.cat([layer(images) for layer in self.dilated], 1))

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename the state of the released network to the names of this one.

        Args:
            state: released name to tensor; a prefix `module.` is dropped.

        Raises:
            CheckpointError: a name is missing, or ReCoNet does not have it.
        """
        return convert(ReCoNet, state, _RELEASED_PARTS,
                       remedy='Give params.pth from the folder archive, unchanged; the files under exp belong to '
                              'another network, which registers images.')


class Attention(nn.Module):
    """Attention to a source at each pixel, from the maximum and the mean of source and fused image.

    >>> Attention()(torch.rand(2, 1, 8, 9), torch.rand(2, 1, 8, 9)).shape
    torch.Size([2, 1, 8, 9])
    """

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 3, padding=1, bias=False)

    def forward(self, source: Float[Tensor, 'batch 1 h w'],
                fused: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch 1 h w']:
        return self.conv(torch.cat((torch.maximum(source, fused), (source + fused) / 2), 1)).sigmoid()


#: Patterns that turn our names into the released ones.
_RELEASED_PARTS = (
    (r'attend_(.)\.conv', r'att_\1_conv'),
    (r'dilated\.(\d)', lambda match: f'dil_conv_{int(match[1]) + 1}'),
    (r'merge', r'fus_conv'),
)
