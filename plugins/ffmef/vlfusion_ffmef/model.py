"""FFMEF: efficient multi-exposure image fusion via filter-dominated fusion and gradient-driven unsupervised learning.

Zheng, Huang, Yu and Zhao, CVPR workshops (MIPI), 2023. From features of three levels, the network predicts a small
filter for every pixel of each source. The fused image is the sum of the filtered sources.
This independent implementation reproduces the output of the released network up to rounding.
"""


import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.errors import ConfigError
from vlfusion.models.released import convert
from vlfusion.registry import BACKBONES


@BACKBONES.register_module()
class FFMEF(nn.Module):
    """FFMEF: fuses by small filters, predicted for every pixel of each source. 7,662 parameters, no text.

    Args:
        dim: channels of the features.
        first: source that the network takes first, `a` or `b`. Both load the same checkpoint, but weights belong to one
            order: the released exposure weights take the under-exposed image (source B) first, the infrared-visible
            weights the infrared image (source A).

    >>> FFMEF()(torch.rand(2, 1, 20, 27), torch.rand(2, 1, 20, 27)).shape
    torch.Size([2, 1, 20, 27])

    Raises:
        ConfigError: `first` is neither `a` nor `b`.
    """

    def __init__(self, dim: int = 4, first: str = 'b'):
        super().__init__()
        if first not in ('a', 'b'):
            raise ConfigError(f'Expected a source as `first` of FFMEF, but got {first!r}.', "Use 'a' or 'b'.")
        self.first = first
        self.embed = nn.Conv2d(1, dim, 1)
        self.representation = HierarchicalRepresentation(dim)
        self.fusions = nn.ModuleList(
            FilterFusion(dim, size, share) for size, share in ((1, 0.6), (3, 0.3), (5, 0.1)))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_normal_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Tensor | None = None, text_mask: Tensor | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene.

        Args:
            source_a: luminance in [0, 1]; for exposure pairs the over-exposed image.
            source_b: luminance of the other source in [0, 1].
            text, text_mask: unused.

        Returns:
            The fused luminance, clamped to [0, 1].
        """
        sources = (source_a, source_b) if self.first == 'a' else (source_b, source_a)
        sources = [limited_range(source) for source in sources]
        levels = zip(*(self.representation(self.embed(source)) for source in sources), strict=True)
        fused = sum(fusion(*sources, *features) for fusion, features in zip(self.fusions, levels, strict=True))
        return ((255 * fused - 16) / 219).clamp(0, 1)

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename the state of the released network to the names of this one.

        Args:
            state: released name to tensor, at the top or under `model`. A prefix `module.` and the counters of a
                profiler (`total_ops`, `total_params`) are dropped.

        Raises:
            CheckpointError: a name is missing, or FFMEF does not have it.
        """
        return convert(FFMEF, state.get('model', state), _RELEASED_PARTS, dropped=r'(^|\.)total_(ops|params)$',
                       remedy='Give one of the released mef.pth, mff.pth and vif.pth, unchanged.')


def limited_range(luminance: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch 1 h w']:
    """Convert luminance in [0, 1] to limited range: black is 16/255 and white 235/255 (ITU-R BT.601)."""
    return (16 + 219 * luminance) / 255


class HierarchicalRepresentation(nn.Module):
    """Features of one source at three depths of a U-shaped network of constant resolution.

    The sampling of the paper is a convolution of stride 1 with normalisation. Learned sums join the branches.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.blocks = nn.ModuleList(HalfNormBlock(dim, dim) for _ in range(5))  # two down, the bottom, two up
        self.steps = nn.ModuleList(
            nn.Sequential(convolution(dim, dim, 3, padding=1), nn.InstanceNorm2d(dim, affine=True), nn.ReLU())
            for convolution in (nn.Conv2d, nn.Conv2d, nn.ConvTranspose2d, nn.ConvTranspose2d))
        self.skips = nn.ModuleList(
            LearnedSum(nn.Sequential(nn.Conv2d(2 * dim, dim, 1), nn.InstanceNorm2d(dim, affine=True), nn.ReLU()))
            for _ in range(6))
        self.merges = nn.ModuleList(LearnedSum(HalfNormBlock(2 * dim, dim)) for _ in range(2))

    def forward(self, x: Float[Tensor, 'batch dim h w']) -> tuple[Float[Tensor, 'batch dim h w'], ...]:
        """Return the features from the last level to the deepest."""
        down1 = self.blocks[0](x)
        y = self.skips[0](x, self.steps[0](down1))
        down2 = self.blocks[1](y)
        y = self.skips[1](y, self.steps[1](down2))
        y = self.skips[2](x, y)

        bottom = self.blocks[2](y)

        y = self.skips[3](bottom, self.steps[2](bottom))
        up2 = self.merges[0](down2, self.blocks[3](y))
        y = self.skips[4](up2, self.steps[3](up2))
        y = self.skips[5](bottom, self.blocks[4](y))
        return self.merges[1](down1, y), up2, bottom


class HalfNormBlock(nn.Module):
    """Two convolutions and a residual, with half of the channels normalised in between.

    This is the block of HINet (Chen et al., CVPR workshops 2021).
    """

    def __init__(self, channels: int, dim: int):
        super().__init__()
        self.project = nn.Conv2d(channels, dim, 1)
        self.conv1 = nn.Conv2d(channels, dim, 3, padding=1)
        self.norm = nn.InstanceNorm2d(dim // 2, affine=True)
        self.conv2 = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x: Float[Tensor, 'batch c h w']) -> Float[Tensor, 'batch dim h w']:
        normed, plain = self.conv1(x).chunk(2, 1)
        y = F.leaky_relu(torch.cat((self.norm(normed), plain), 1), 0.2)
        return F.leaky_relu(self.conv2(y), 0.2) + self.project(x)


class LearnedSum(nn.Module):
    """`s f([x, y]) + t y`: features `y` joined with earlier features `x`, with learned factors `s` and `t`."""

    def __init__(self, joint: nn.Module):
        super().__init__()
        self.joint = joint
        self.joint_scale = nn.Parameter(torch.tensor([1.0]))
        self.own_scale = nn.Parameter(torch.tensor([0.5]))

    def forward(self, earlier: Float[Tensor, 'batch dim h w'],
                own: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim h w']:
        return self.joint_scale * self.joint(torch.cat((earlier, own), 1)) + self.own_scale * own


class FilterFusion(nn.Module):
    """One level of fusion: spatial cross-attention, then a filter predicted for every pixel, applied to the sources.

    Args:
        dim: channels of the features.
        size: side of the filters in pixels; beyond the border the sources are 0.
        share: initial value of the learned factor of this level.
    """

    def __init__(self, dim: int, size: int, share: float):
        super().__init__()
        self.size = size
        self.attention = nn.Sequential(nn.Conv2d(2 * dim, dim, 1), nn.ReLU(), nn.Conv2d(dim, 2, 1), nn.Sigmoid())
        self.predict = nn.Sequential(
            nn.Conv2d(dim, dim, 3, padding=1), nn.ReLU(),
            nn.Conv2d(dim, size**2, size, padding=size // 2), nn.ReLU(),
            nn.Conv2d(size**2, size**2, 1))
        self.share = nn.Parameter(torch.tensor([share]))

    def forward(self, first: Float[Tensor, 'batch 1 h w'], second: Float[Tensor, 'batch 1 h w'],
                first_feature: Float[Tensor, 'batch dim h w'],
                second_feature: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch 1 h w']:
        attention = self.attention(torch.cat((first_feature, second_feature), 1)).chunk(2, 1)
        filtered = [self.filter(image, self.predict(feature * gate)) for image, feature, gate in
                    zip((first, second), (first_feature, second_feature), attention, strict=True)]
        return self.share * sum(filtered)

    def filter(self, image: Float[Tensor, 'batch 1 h w'],
               filters: Float[Tensor, 'batch place h w']) -> Float[Tensor, 'batch 1 h w']:
        """Sum the neighbourhood of each pixel, weighted by the filter of that pixel."""
        neighbours = F.unfold(image, self.size, padding=self.size // 2)  # (batch, place, h * w)
        neighbours = rearrange(neighbours, 'b place (h w) -> b place h w', h=image.shape[-2])
        return (filters * neighbours).sum(1, keepdim=True)


#: Patterns that turn our names into the released ones, applied in this order:
#: `skips.0.joint.0.bias` becomes `encode.skip1.body.0.bias`.
_RELEASED_PARTS = (
    (r'^embed', 'preconv'),
    (r'^fusions\.(\d)\.share$', lambda match: f'alpha{int(match[1]) + 1}'),
    (r'^fusions\.(\d)\.attention', lambda match: f'sca{int(match[1]) + 1}.spatial_attention'),
    (r'^fusions\.(\d)\.predict', lambda match: f'kp{int(match[1]) + 1}.spatial_attention'),
    (r'^representation\.', 'encode.'),
    (r'blocks\.(\d)\.', lambda match: ('layer_dowm1', 'layer_dowm2', 'layer_bottom', 'layer_up2',
                                       'layer_up1')[int(match[1])] + '.body.0.'),
    (r'steps\.(\d)\.', lambda match: ('dowm1', 'dowm2', 'up2', 'up1')[int(match[1])] + '.conv.'),
    (r'skips\.(\d)', lambda match: f'skip{int(match[1]) + 1}'),
    (r'merges\.(\d)\.joint\.', lambda match: f'fus{2 - int(match[1])}.body.0.'),
    (r'merges\.(\d)', lambda match: f'fus{2 - int(match[1])}'),
    (r'joint_scale$', 'alpha1'),
    (r'own_scale$', 'alpha2'),
    (r'joint\.', 'body.'),
    (r'\.project\.', '.identity.'),
    (r'\.conv1\.', '.conv_1.'),
    (r'\.conv2\.', '.conv_2.0.'))
