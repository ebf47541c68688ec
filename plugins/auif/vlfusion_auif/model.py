"""AUIF-Net: infrared and visible image fusion by algorithm unrolling (Zhao et al., IEEE TCSVT 2021).

Two small optimisation problems split an image into base and detail. A fixed number of gradient steps is unrolled into
layers with their own filters and step sizes, which learn by restoring images. Images are fused only at test time.
This independent implementation reproduces the output of the released network up to rounding.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, pad

from vlfusion.errors import ConfigError, DataError, did_you_mean
from vlfusion.models.layers.merging import MERGING_RULES, merge_features, takes_stacks
from vlfusion.models.released import convert
from vlfusion.models.stacks import Stack
from vlfusion.registry import BACKBONES

_LOW_PASS = 11  # side of the box filter that initialises the base
_HIGH_PASS = 19  # side of the Laplacian that initialises the detail


class Parts(NamedTuple):
    """The two scales of an image, `(batch, 1, h, w)` each."""

    base: Float[Tensor, 'batch 1 h w']
    detail: Float[Tensor, 'batch 1 h w']


def low_pass(image: Float[Tensor, 'batch 1 h w'], side: int = _LOW_PASS) -> Float[Tensor, 'batch 1 h w']:
    """Average a window of `side` times `side` pixels, with the image reflected at its border."""
    return avg_pool2d(pad(image, (side // 2,) * 4, mode='reflect'), side, stride=1)


def high_pass(image: Float[Tensor, 'batch 1 h w'], side: int = _HIGH_PASS) -> Float[Tensor, 'batch 1 h w']:
    """Apply the discrete Laplacian of a window of `side` times `side` pixels.

    It is the sum over the window minus `side^2` times the middle, divided by the sum of the kernel's magnitudes.
    """
    # Mean minus image would round four times worse.
    kernel = image.new_full((1, 1, side, side), 1 / (2 * (side**2 - 1)))
    kernel[..., side // 2, side // 2] = -0.5
    return conv2d(pad(image, (side // 2,) * 4, mode='reflect'), kernel)


class GradientStep(nn.Module):
    """One step of descent, `x - eta (R(K'K x) - theta (I - x))`.

    If `R` is the identity, the bracket is the gradient of `|K x|^2 / 2 + theta |I - x|^2 / 2`: the filters `K` should
    respond weakly, and `x` should be near the image. `K'` rotates the filters by 180 degrees, which gives the adjoint
    except at the border, where images are reflected. `R` is batch normalisation and PReLU.

    Args:
        filters: number of 3x3 filters in `K`.
    """

    def __init__(self, filters: int = 64):
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(filters, 1, 3, 3))
        self.rectify = nn.Sequential(nn.BatchNorm2d(1), nn.PReLU())
        self.eta = nn.Parameter(torch.empty(1).normal_(0.1, 0.03))
        self.theta = nn.Parameter(torch.empty(1).normal_(1e-3, 1e-4))

    def forward(self, x: Float[Tensor, 'batch 1 h w'],
                image: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch 1 h w']:
        response = conv2d(pad(x, (1,) * 4, mode='reflect'), self.kernel)  # (batch, filters, h, w)
        adjoint = self.kernel.flip(-1, -2).transpose(0, 1)
        gradient = self.rectify(conv2d(pad(response, (1,) * 4, mode='reflect'), adjoint))
        return x - self.eta * (gradient - self.theta * (image - x))


@BACKBONES.register_module()
class AUIF(nn.Module):
    """AUIF-Net: splits images into base and detail by unrolled gradient descent, fuses both parts and decodes them.

    Both sources are treated alike, so their order does not matter.

    Args:
        fusion: `sum` (the authors' choice), `mean`, or `l1` (weights by activity). Rules have no weights, so any
            rule fits any checkpoint. The means take any number of sources.
        steps: number of gradient steps for the base, and for the detail.
        filters: number of filters in each step.

    >>> AUIF(steps=2)(torch.rand(2, 1, 20, 28), torch.rand(2, 1, 20, 28)).shape
    torch.Size([2, 1, 20, 28])

    Raises:
        ConfigError: the fusion rule is unknown.
    """

    def __init__(self, fusion: str = 'sum', steps: int = 10, filters: int = 64):
        super().__init__()
        if fusion not in MERGING_RULES:
            raise ConfigError(f'AUIF has no fusion rule {fusion!r}.', did_you_mean(fusion, MERGING_RULES))
        self.fusion = fusion
        self.sources = None if takes_stacks(fusion) else 2
        # High pass, two convolutions per step, window of the activity, last convolution.
        self.halo = _HIGH_PASS // 2 + 2 * steps + (fusion == 'l1') + 1
        self.base = nn.ModuleList(GradientStep(filters) for _ in range(steps))
        self.detail = nn.ModuleList(GradientStep(filters) for _ in range(steps))
        self.restore = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode='reflect', bias=False),
                                     nn.BatchNorm2d(1), nn.Sigmoid())

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Float[Tensor, 'batch token dim'] | None = None,
                text_mask: Bool[Tensor, 'batch token'] | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene.

        Args:
            source_a, source_b: luminance in [0, 1].
            text, text_mask: unused; AUIF reads no text.

        Returns:
            The fused luminance, in [0, 1].

        Raises:
            DataError: an image has fewer than ten rows or columns, too few to be reflected for the high pass.
        """
        return self.fuse_stack((source_a, source_b))

    def fuse_stack(self, sources: Stack) -> Float[Tensor, 'batch 1 h w']:
        """Fuse any number of images of one scene; the rest is as for `forward`."""
        return self.decode(Parts(*merge_features(map(self.encode, sources), self.fusion)))

    def encode(self, image: Float[Tensor, 'batch 1 h w']) -> Parts:
        """Split an image in [0, 1] into base and detail. Raises DataError if it is smaller than 10x10 pixels."""
        if min(image.shape[-2:]) <= _HIGH_PASS // 2:
            raise DataError(f'AUIF needs images of at least 10x10 pixels, but got {tuple(image.shape[-2:])}.',
                            'Use larger images or crops.')
        base, detail = low_pass(image), high_pass(image)
        for step in self.base:
            base = step(base, image)
        for step in self.detail:
            detail = step(detail, image)
        return Parts(base, detail)

    def decode(self, parts: Parts) -> Float[Tensor, 'batch 1 h w']:
        """Restore an image in [0, 1] from base and detail."""
        return self.restore(parts.base + parts.detail)

    @staticmethod
    def convert_released(*states: dict) -> dict[str, Tensor]:
        """Rename the released states of both encoders and of the decoder to the names of this network.

        Args:
            states: contents of the three files, released name to tensor; a prefix `module.` is dropped.

        Raises:
            CheckpointError: a name is missing, or AUIF does not have it.
        """
        state = {name: value for part in states for name, value in part.items()}
        return convert(AUIF, state, _released_name,
                       remedy='Give TCSVT_Encoder_Base.model, TCSVT_Encoder_Detail.model and TCSVT_Decoder.model, '
                              'unchanged.')


def _released_name(name: str) -> str:
    """Released name of a parameter of AUIF."""
    part, index, *rest = name.split('.')
    if part == 'restore':  # in the released module, the padding layer comes first
        return '.'.join(('decoder', str(int(index) + 1), *rest))
    rest = ['rest' if word == 'rectify' else word for word in rest]
    return '.'.join(({'base': 'conv1', 'detail': 'conv2'}[part], index, *rest))
