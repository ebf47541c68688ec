"""CLIP-Mamba: a CNN-Mamba network with CLIP-based semantic alignment for anatomical and functional image fusion (2025).

A convolution that knows differences reads both sources. A unit that reweighs features by group and channel, with
channel and spatial attention, refines them. Half of the channels then pass a selective scan over the whole image, and
the unit refines once more. This independent implementation reproduces the output of the released network up to
rounding. Comments mark where the released code is odd.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlfusion.models.layers.selective_scan import selective_scan
from vlfusion.models.released import convert
from vlfusion.registry import BACKBONES


@BACKBONES.register_module()
class CLIPMamba(nn.Module):
    """CLIP-Mamba: convolutions, attention and a selective scan. 49,140 parameters; the network reads no text.

    Both the refining unit and its attention are used twice, with the same weights. Text enters the loss alone
    (`CLIPAlignmentLoss`).

    The scan holds four maps of `dim` channels at a time; see `vlfusion.models.layers.selective_scan`. The output at a
    pixel depends on the whole image, so it is not fused in tiles.

    Args:
        dim: channels of the features, a multiple of 16.
        states: states of the scan for each of its channels.
        drop: share of values that training drops after the scan.
        drop_path: share of images for which training leaves the scan out.

    >>> CLIPMamba().eval()(torch.rand(2, 1, 20, 27), torch.rand(2, 1, 20, 27)).shape
    torch.Size([2, 1, 20, 27])
    """

    def __init__(self, dim: int = 64, states: int = 16, drop: float = 0.1, drop_path: float = 0.1):
        super().__init__()
        self.differences = DifferenceConv(2, dim)
        self.partial = nn.Conv2d(dim // 4, dim // 4, 3, padding=1, bias=False)
        self.reconstruct = SpatialChannelReconstruction(dim)
        self.norm = nn.BatchNorm2d(dim)
        self.channel_attention = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(dim, dim // 4, 1), nn.ReLU(), nn.Conv2d(dim // 4, dim, 1), nn.Sigmoid())
        self.spatial_attention = nn.Sequential(
            nn.Conv2d(dim, dim // 4, 3, padding=1), nn.BatchNorm2d(dim // 4), nn.ReLU(),
            nn.Conv2d(dim // 4, 1, 3, padding=1), nn.BatchNorm2d(1), nn.Sigmoid())
        self.mix = LocalGlobalMixer(dim, states, drop, drop_path)
        self.output = nn.Conv2d(dim, 1, 1)

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Tensor | None = None, text_mask: Tensor | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse two images of one scene.

        Args:
            source_a: MRI, in [0, 1].
            source_b: luminance of the functional image (SPECT), in [0, 1].
            text, text_mask: unused.

        Returns:
            The fused luminance in [0, 1]; in training mode in [-1, 1], the range of the published losses.
        """
        width = source_a.shape[-1]
        # An odd width has no halves to interleave, so its last column is repeated.
        sources = F.pad(torch.cat((source_a, source_b), 1), (0, width % 2, 0, 0), mode='replicate')
        x = self.differences(sources)
        convolved, untouched = x.split((len(self.partial.weight), x.shape[1] - len(self.partial.weight)), 1)
        x = torch.cat((self.partial(convolved), untouched), 1)
        x = F.relu(x + self._attend(self._refine(x)))
        refined = self._refine(self.mix(x))
        fused = self.output(refined + self._attend(refined)).tanh()[..., :width]
        return fused if self.training else fused.clamp(0, 1)

    def _refine(self, x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim h w']:
        """Reconstruct and normalise twice, with one set of weights and one set of running statistics."""
        return self.norm(self.reconstruct(F.relu(self.norm(self.reconstruct(x)))))

    def _attend(self, x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim h w']:
        return x * self.channel_attention(x) + x * self.spatial_attention(x)

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename the state of the released network to the names of this one.

        Args:
            state: released name to tensor; a prefix `module.` is dropped.

        Raises:
            CheckpointError: a name is missing, or CLIPMamba does not have it.
        """
        return convert(CLIPMamba, state, _RELEASED_PARTS, remedy='Give the released model_300.pth, unchanged.')


class DifferenceConv(nn.Module):
    """Detail-enhanced convolution (DEConv; Chen, He and Lu, IEEE TIP 2024): five kernels added up to one.

    Four kernels are made of differences: to the middle, from left to right, from top to bottom, and around the middle.
    The fifth is free. Their sum is one 3x3 convolution, so at any size it costs no more than that.
    """

    def __init__(self, channels: int, dim: int):
        super().__init__()
        self.central = nn.Conv2d(channels, dim, 3)
        self.horizontal = nn.Conv1d(channels, dim, 3)
        self.vertical = nn.Conv1d(channels, dim, 3)
        self.angular = nn.Conv2d(channels, dim, 3)
        self.free = nn.Conv2d(channels, dim, 3)
        # Turns the ring of a kernel, whose places are counted row by row, one place clockwise.
        self.register_buffer('turn', torch.tensor([3, 0, 1, 6, 4, 2, 7, 8, 5]), persistent=False)

    def forward(self, x: Float[Tensor, 'batch channels h w']) -> Float[Tensor, 'batch dim h w']:
        parts = (self.central, self.horizontal, self.vertical, self.angular, self.free)
        return F.conv2d(x, self.kernel(), sum(part.bias for part in parts), padding=1)

    def kernel(self) -> Float[Tensor, 'dim channels 3 3']:
        """Add up the five kernels."""
        central, angular = self.central.weight, self.angular.weight
        middle = F.pad(central.sum((2, 3), keepdim=True), (1, 1, 1, 1))
        across, down = self.horizontal.weight[..., :, None], self.vertical.weight[..., None, :]
        turned = angular.flatten(2).index_select(2, self.turn).unflatten(2, (3, 3))
        return (central - middle + torch.cat((across, torch.zeros_like(across), -across), 3)
                + torch.cat((down, torch.zeros_like(down), -down), 2) + angular - turned + self.free.weight)


class SpatialChannelReconstruction(nn.Module):
    """Spatial and channel reconstruction convolution (SCConv; Li, Wen and He, CVPR 2023).

    First, features normalised in groups are separated into those that their scale raises and those that it lowers; the
    halves of one cross to the other halves of the other. Then half of the channels pass wide convolutions and half pass
    cheap ones, and a softmax over the mean of each channel weighs the two results.

    Args:
        dim: channels, a multiple of 8.
        groups: groups of the normalisation.
    """

    def __init__(self, dim: int, groups: int = 4):
        super().__init__()
        self.groups = groups
        self.scale = nn.Parameter(torch.randn(dim, 1, 1))
        self.shift = nn.Parameter(torch.zeros(dim, 1, 1))
        self.squeeze_upper = nn.Conv2d(dim // 2, dim // 4, 1, bias=False)
        self.squeeze_lower = nn.Conv2d(dim // 2, dim // 4, 1, bias=False)
        self.grouped = nn.Conv2d(dim // 4, dim, 3, padding=1, groups=2)
        self.pointwise = nn.Conv2d(dim // 4, dim, 1, bias=False)
        self.cheap = nn.Conv2d(dim // 4, dim - dim // 4, 1, bias=False)

    def forward(self, x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim h w']:
        upper, lower = self.separate(x).chunk(2, 1)
        upper, lower = self.squeeze_upper(upper), self.squeeze_lower(lower)
        rich = self.grouped(upper) + self.pointwise(upper)
        cheap = torch.cat((self.cheap(lower), lower), 1)
        weights = torch.cat((rich, cheap), 1).mean((2, 3), keepdim=True).softmax(1)
        rich_weights, cheap_weights = weights.chunk(2, 1)
        return rich_weights * rich + cheap_weights * cheap

    def separate(self, x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim h w']:
        """Normalise, and cross what the scale raises with what it lowers."""
        grouped = x.unflatten(1, (self.groups, -1)).flatten(2)
        deviation, mean = torch.std_mean(grouped, 2, keepdim=True)
        x = ((grouped - mean) / (deviation + 1e-10)).reshape(x.shape) * self.scale + self.shift
        raised = x * (self.scale / self.scale.sum()) >= 0  # there the sigmoid of SCConv's gate is at least one half
        upper, lower = (x * raised).chunk(2, 1)
        return torch.cat((upper, lower), 1) + torch.cat((x * ~raised).chunk(2, 1)[::-1], 1)


class LocalGlobalMixer(nn.Module):
    """Half of the channels pass dilated convolutions, the other half a selective scan of the whole image.

    Args:
        dim: channels.
        states, drop, drop_path: as in `CLIPMamba`.
    """

    def __init__(self, dim: int, states: int, drop: float, drop_path: float):
        super().__init__()
        half = dim // 2
        self.local = DilatedConvs(half)
        self.norm = nn.LayerNorm(half, eps=1e-6)
        self.scan = SelectiveScan2d(half, states)
        self.drop, self.drop_path = nn.Dropout(drop), drop_path

    def forward(self, x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim h w']:
        local, scanned = x.chunk(2, 1)
        scanned = self.drop(self.scan(self.norm(scanned.permute(0, 2, 3, 1))))
        if self.training and self.drop_path:
            kept = scanned.new_empty(len(x), 1, 1, 1).bernoulli_(1 - self.drop_path)
            scanned = scanned * (kept / (1 - self.drop_path))
        mixed = torch.cat((self.local(local), scanned.permute(0, 3, 1, 2)), 1)
        # The released code means to shuffle the channels of both halves, but takes the width for the channels. So the
        # left and the right half of the image are interleaved column by column. The released weights depend on it.
        return x + mixed.unflatten(3, (2, -1)).transpose(3, 4).flatten(3)


class DilatedConvs(nn.Module):
    """Three dilated convolutions of a narrow map, beside that map itself.

    Args:
        dim: channels, of which each convolution makes a quarter.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.before = nn.BatchNorm2d(dim)
        self.reduce = nn.Conv2d(dim, dim // 4, 1)
        self.dilated = nn.ModuleList(nn.Conv2d(dim // 4, dim // 4, 3, padding=dilation, dilation=dilation)
                                     for dilation in (1, 2, 3))
        self.after = nn.BatchNorm2d(dim)

    def forward(self, x: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim h w']:
        x = self.reduce(self.before(x))
        return F.silu(self.after(torch.cat([x, *(conv(x) for conv in self.dilated)], 1)))


class SelectiveScan2d(nn.Module):
    """Selective scan of an image along four ways (SS2D of VMamba; Liu et al., NeurIPS 2024).

    The ways are row by row and column by column, each from both ends; the four results are added up. Each place chooses
    its own steps, and what is taken in and read, from its features.

    Args:
        dim: channels; the scan has twice as many.
        states: states of each channel of the scan.
    """

    def __init__(self, dim: int, states: int):
        super().__init__()
        inner, rank = 2 * dim, math.ceil(dim / 16)
        self.sizes = (rank, states, states)
        self.expand = nn.Linear(dim, 2 * inner, bias=False)
        self.depthwise = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        # Tensors of the four ways, together as in the released file.
        self.choose = nn.Parameter(torch.empty(4, sum(self.sizes), inner).uniform_(-1, 1) / inner ** 0.5)
        self.step_weight = nn.Parameter(torch.empty(4, inner, rank).uniform_(-1, 1) / rank ** 0.5)
        steps = torch.exp(torch.empty(4, inner).uniform_(math.log(1e-3), math.log(0.1)))
        self.step_bias = nn.Parameter(steps + torch.log(-torch.expm1(-steps)))  # whose softplus the steps are
        self.log_rate = nn.Parameter(torch.arange(1., states + 1).log().repeat(4 * inner, 1))
        self.skip = nn.Parameter(torch.ones(4 * inner))
        self.norm = nn.LayerNorm(inner)
        self.project = nn.Linear(inner, dim, bias=False)

    def forward(self, x: Float[Tensor, 'batch h w dim']) -> Float[Tensor, 'batch h w dim']:
        x, gate = self.expand(x).chunk(2, -1)
        x = F.silu(self.depthwise(x.permute(0, 3, 1, 2)))
        by_row = self.scan(0, x) + self.scan(2, x.flip(2, 3)).flip(2, 3)
        x = x.mT
        by_column = self.scan(1, x) + self.scan(3, x.flip(2, 3)).flip(2, 3)
        return self.project(self.norm((by_row + by_column.mT).permute(0, 2, 3, 1)) * F.silu(gate))

    def scan(self, way: int, image: Float[Tensor, 'batch inner h w']) -> Float[Tensor, 'batch inner h w']:
        """Scan an image row by row, with the weights of one way."""
        x = image.flatten(2)
        steps, write, read = (self.choose[way] @ x).split(self.sizes, 1)
        delta = F.softplus(self.step_weight[way] @ steps + self.step_bias[way][:, None])
        rate, skip = self.log_rate.chunk(4)[way], self.skip.chunk(4)[way]
        return selective_scan(x, delta, -rate.exp(), write, read, skip).unflatten(2, image.shape[2:]).to(image.dtype)


#: Patterns that turn our names into the released ones, applied in this order.
_RELEASED_PARTS = (
    (r'^differences\.free', r'deConv.conv1_5'),
    (r'^differences\.central', r'deConv.conv1_1.conv'),
    (r'^differences\.horizontal', r'deConv.conv1_2.conv'),
    (r'^differences\.vertical', r'deConv.conv1_3.conv'),
    (r'^differences\.angular', r'deConv.conv1_4.conv'),
    (r'^partial', r'pconv.partial_conv3'),
    (r'^reconstruct\.scale', r'fem.ScConv.SRU.gn.weight'),
    (r'^reconstruct\.shift', r'fem.ScConv.SRU.gn.bias'),
    (r'^reconstruct\.squeeze_upper', r'fem.ScConv.CRU.squeeze1'),
    (r'^reconstruct\.squeeze_lower', r'fem.ScConv.CRU.squeeze2'),
    (r'^reconstruct\.grouped', r'fem.ScConv.CRU.GWC'),
    (r'^reconstruct\.pointwise', r'fem.ScConv.CRU.PWC1'),
    (r'^reconstruct\.cheap', r'fem.ScConv.CRU.PWC2'),
    (r'^norm', r'fem.bn'),
    (r'^channel_attention\.(\d)', lambda match: f'cam.fc.{int(match[1]) - 1}'),
    (r'^spatial_attention', r'sam.body'),
    (r'^mix\.norm', r'glm_attn.ln_1'),
    (r'^mix\.local\.before', r'glm_attn.local_spatial_attention.bn'),
    (r'^mix\.local\.reduce', r'glm_attn.local_spatial_attention.conv1x1_1'),
    (r'^mix\.local\.dilated\.(\d)', lambda match: 'glm_attn.local_spatial_attention.dilated_conv'
     + {'0': '3x3', '1': '5x5', '2': '7x7'}[match[1]]),
    (r'^mix\.local\.after', r'glm_attn.local_spatial_attention.bn_act.0'),
    (r'^mix\.scan', r'glm_attn.self_attention'),
    (r'attention\.expand', r'attention.in_proj'),
    (r'attention\.depthwise', r'attention.conv2d'),
    (r'attention\.choose', r'attention.x_proj_weight'),
    (r'attention\.step_(weight|bias)', r'attention.dt_projs_\1'),
    (r'attention\.log_rate', r'attention.A_logs'),
    (r'attention\.skip', r'attention.Ds'),
    (r'attention\.norm', r'attention.out_norm'),
    (r'attention\.project', r'attention.out_proj'),
    (r'^output', r'convolutional_out.conv'),
)
