"""FILM: image fusion via vision-language model (Zhao et al., ICML 2024), an independent implementation of the paper.

The network has three stages of two branches, one per source. They compute image features, gated by the text. A decoder
turns the features of both branches into the fused image. Outputs equal those of the authors' released network up to
rounding. Comments mark places where that network differs from what the paper suggests.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vlfusion.errors import ConfigError, did_you_mean
from vlfusion.models.layers.pixels import PixelConv, by_pixel
from vlfusion.models.layers.restormer import RELEASED_BLOCK_PARTS, GatedFeedForward, RestormerBlock, gated
from vlfusion.models.layers.strips import (
    Strip,
    by_strips,
    conv_rows,
    is_traced,
    nearest,
    nearest_rows,
)
from vlfusion.models.layers.text_guidance import ChannelGuidance, SpatialGuidance
from vlfusion.models.layers.tokens import require_tokens
from vlfusion.models.released import convert
from vlfusion.registry import BACKBONES
from vlfusion.system.workers import side_by_side


@BACKBONES.register_module()
class FILM(nn.Module):
    """The network of FILM.

    Args:
        text_dim: width of the text features; 768 for BLIP-2, as published.
        dim: channels of the features.
        heads: heads of the Restormer blocks and of the cross-attention.
        expansion: expansion factor of the feed-forward networks in the Restormer blocks.
        guidance_grid: height and width to which features are resized for the text guidance, for images of any size.
            The grid has no weights: checkpoints fit any grid, but the result changes.
        attention_dim: width of the cross-attention. It must divide the number of grid points for the `released`
            guidance, and be a square number for `channel`.
        guidance: kind of text guidance. `released` is that of the authors' network. `channel` and `spatial` are
            additions of vlfusion: beside the released guidance, they correct the fused image everywhere in one way, or
            at each position in its own, see `vlfusion.models.layers.text_guidance`. They begin at zero.
        instruction_dim: width of a second text, the `instruction`, by which `channel` or `spatial` corrects the image.
            A pair may do without one, and is then fused as by the released network. None corrects by `text`.
        fold: side of the blocks of pixels whose luminances become channels. 1 is as published; with 2 all features have
            a quarter of the pixels, which makes small networks fast. Sizes that it does not divide are extended by the
            border pixels.
        output: how the fused image is made. `sigmoid` is as published. `mixture` weighs source A, source B, white and
            black at each pixel, an addition of vlfusion, see `mixed`.

    >>> film = FILM(text_dim=768, guidance_grid=(16, 32))
    >>> film(torch.rand(2, 1, 20, 28), torch.rand(2, 1, 20, 28), text=torch.rand(2, 7, 768)).shape
    torch.Size([2, 1, 20, 28])

    Without gradients, each stage overwrites the features of the previous one, so a hook must copy what it keeps.

    Raises:
        ConfigError: `attention_dim` does not fit the guidance grid, `heads` does not divide `dim` or `attention_dim`,
            `guidance` or `output` is unknown, or the released guidance is given an instruction.
    """

    #: Weights may be cast to bfloat16, see `vlfusion.inference.network.Network`.
    bfloat16_weights = True

    def __init__(self, text_dim: int = 768, dim: int = 32, heads: int = 8, expansion: float = 4,
                 guidance_grid: Sequence[int] = (288, 384), attention_dim: int = 256, guidance: str = 'released',
                 fold: int = 1, output: str = 'sigmoid', instruction_dim: int | None = None):
        super().__init__()
        if guidance not in GUIDANCES:
            raise ConfigError(f'FILM has no guidance {guidance!r}.', did_you_mean(guidance, GUIDANCES))
        if output not in OUTPUTS:
            raise ConfigError(f'FILM has no output {output!r}.', did_you_mean(output, OUTPUTS))
        if attention_dim % heads:
            raise ConfigError(f'attention_dim={attention_dim} cannot be divided among {heads} heads.',
                              'Choose a multiple of heads.')
        if instruction_dim and guidance == 'released':
            raise ConfigError("FILM's released guidance reads no instruction, but instruction_dim is set.",
                              "Set guidance='spatial' or 'channel', or leave instruction_dim out.")
        guide = partial(TextGuidance, dim, heads, attention_dim, guidance_grid)
        self.width, self.dim, self.fold, self.output = text_dim, dim, fold, output
        self.text_dim = dict(text=text_dim, instruction=instruction_dim) if instruction_dim else text_dim
        if instruction_dim:
            self.text_optional = ('instruction',)
        #: A batch may hold several instructions for each pair, see `vlfusion.models.InstructedModel`.
        self.several_instructions = bool(instruction_dim)
        self.text_projection = nn.Linear(text_dim, attention_dim)
        self.stages = nn.ModuleList(
            Stage(channels, dim, heads, expansion, guide) for channels in (fold ** 2, dim, dim))
        maps, squash = OUTPUTS[output]
        self.decoder = Decoder(
            RestormerBlock(2 * dim, heads, expansion),
            PixelConv(2 * dim, dim),
            RestormerBlock(dim, heads, expansion),
            RestormerBlock(dim, heads, expansion),
            PixelConv(dim, maps * fold ** 2),
            squash())
        correct = GUIDANCES[guidance]
        self.correction = correct and correct(instruction_dim or text_dim)
        if correct:
            self.maps = ('region',)

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Float[Tensor, 'batch token dim'] | None = None,
                text_mask: Bool[Tensor, 'batch token'] | None = None,
                instruction: Float[Tensor, 'several word width'] | None = None,
                instruction_mask: Bool[Tensor, 'several word'] | None = None,
                region: Float[Tensor, 'batch 1 h w'] | None = None) -> Float[Tensor, 'several 1 h w']:
        """Fuse two images of one scene, guided by a text about them.

        Args:
            source_a: luminance of source A in [0, 1]. The branches share no weights, so the order of sources matters.
            source_b: luminance of source B in [0, 1].
            text: one feature vector per token, in any order.
            text_mask: True for real tokens, False for padding. By default all rows are real, as in the released code.
            instruction: one feature vector per token of an instruction; without it, or without a real token, it has no
                effect. There may be several for each pair, which then stand next to each other.
            instruction_mask: as `text_mask`.
            region: weight of each pixel in [0, 1]: where the image is corrected, instead of where the instruction says.

        Returns:
            The fused luminance, in [0, 1]; one image for each instruction.

        Raises:
            ConfigError: the text is missing, the width of its features is not `text_dim`, or that of the instruction
                is not `instruction_dim`; or an instruction is given to a network that reads none.
            DataError: a text of the batch has no real token.
        """
        if text is None:
            raise ConfigError('FILM is guided by text, but its argument `text` is None.',
                              "Give the data set a text source, such as text_source=dict(stream='pair/paragraph'), or "
                              'choose a backbone that reads no text.')
        if text.shape[-1] != self.width:
            raise ConfigError(f'FILM was built for text features of width {self.width}, but these have width '
                              f'{text.shape[-1]}.',
                              f'Set text_dim={text.shape[-1]} in the config of the backbone: it must equal the '
                              "text encoder's width. Trained weights need the encoder that they were trained with.")
        if instruction is not None:
            self._check_instruction(instruction)
        text_weight = _token_weight(text, text_mask)
        dtype = self.text_projection.weight.dtype
        projected = self.text_projection(text.to(dtype))
        a, b = (folded(source.to(dtype), self.fold) for source in (source_a, source_b))
        with torch.set_grad_enabled(torch.is_grad_enabled() and self._learns(a, b, projected)):
            decoded = self._decoded(a, b, projected, text_weight)
        fused = mixed(decoded, folded(source_a, self.fold), folded(source_b, self.fold)) \
            if self.output == 'mixture' else decoded
        if self.fold > 1:
            fused = F.pixel_shuffle(fused, self.fold)[:, :, :source_a.shape[2], :source_a.shape[3]]
        words, mask = (instruction, instruction_mask) if self.several_instructions else (text, text_mask)
        if self.correction is None or words is None:
            return fused
        several = words.shape[0] // source_a.shape[0]  # `len` would be a constant in a traced graph
        images = [source_a, source_b, fused, *([] if region is None else [region])]
        if several > 1:
            images = [image.repeat_interleave(several, 0) for image in images]
        return self.correction(*images[:3], words, _mask(words, mask), *images[3:])

    def _learns(self, *inputs: Tensor) -> bool:
        """Tell whether anything before the correction needs a gradient; if not, features are overwritten."""
        parts = (*self.stages.parameters(), *self.decoder.parameters(), *inputs)
        return self.correction is None or any(tensor.requires_grad for tensor in parts)

    def understand(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                   instruction: Float[Tensor, 'several word width'],
                   instruction_mask: Bool[Tensor, 'several word'] | None = None) -> dict[str, Tensor]:
        """Return what the network reads in instructions, for the losses that teach it to read.

        Returns:
            `amounts (several, 8)` and `directions (several, 12)`, see `SpatialGuidance.read`; and `places`, the logit
            of each place, `(several, 1, rows, columns)`. Arguments and errors are those of `forward`.
        """
        self._check_instruction(instruction)
        mask = _mask(instruction, instruction_mask)
        several = len(instruction) // len(source_a)
        a, b = (source.repeat_interleave(several, 0) for source in (source_a, source_b))
        return self.correction.understand(a, b, instruction, mask)

    def colour_strength(self, instruction: Float[Tensor, 'several token dim'],
                        instruction_mask: Bool[Tensor, 'several token'] | None = None) -> Float[Tensor, ' several']:
        """Return the factor of the saturation that each instruction asks for; 1 without a real token.

        Arguments and errors are those of `forward`.
        """
        self._check_instruction(instruction)
        return self.correction.colour_strength(instruction, _mask(instruction, instruction_mask))

    def _check_instruction(self, instruction: Tensor) -> None:
        expected = self.text_dim['instruction'] if self.several_instructions else None
        if instruction.shape[-1] != expected:
            raise ConfigError(f'FILM was given an instruction of width {instruction.shape[-1]}, but '
                              f'{f"was built for width {expected}" if expected else "reads none"}.',
                              f"Set guidance='spatial' and instruction_dim={instruction.shape[-1]} in the config of "
                              'the backbone, and train it.')

    def _decoded(self, a: Tensor, b: Tensor, text: Tensor, text_weight: Tensor) -> Tensor:
        """Return the maps that the image is made of."""
        if torch.is_grad_enabled() or is_traced():
            for stage in self.stages:
                a, b = stage(a, b, text, text_weight)
            return self.decoder(torch.cat((a, b), 1))
        # Without gradients, earlier features are not needed again: one map of both branches is computed in place.
        both = torch.empty(len(a), 2 * self.dim, *a.shape[2:], dtype=a.dtype, device=a.device,
                           memory_format=torch.channels_last)
        for stage in self.stages:
            a, b = stage(a, b, text, text_weight, both.chunk(2, 1))
        return self.decoder(both, both)

    def compile(self, *args: Any, **options: Any) -> None:
        """Compile by `torch.compile` with these options: on a GPU the whole network, on a CPU only the gates.

        On a CPU the network runs in strips, which leaves a compiler little to gain beyond the feed-forward gates.
        """
        if self.text_projection.weight.is_cuda:
            super().compile(*args, **options)
            return
        compiled = torch.compile(gated, *args, **{'dynamic': True, **options})
        for part in self.modules():
            if isinstance(part, GatedFeedForward):
                part.gated = compiled

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename the state of the released network to the names of this one.

        Args:
            state: tensors by released name, or the released checkpoint, which holds them under `model`. A prefix
                `module.` is removed.

        Raises:
            CheckpointError: names are missing or unknown.
        """
        state = convert(FILM, state.get('model', state), _RELEASED_PARTS,
                        remedy='Give one of the released IVF.pth, MEF.pth and MFF.pth, unchanged.')
        # The released code projects the text by a convolution of width one.
        state['text_projection.weight'] = state['text_projection.weight'].flatten(1)
        return state


def folded(source: Float[Tensor, 'batch 1 h w'], side: int) -> Float[Tensor, 'batch pixels rows columns']:
    """Make channels of the pixels of each block of `side` rows and columns; border pixels complete the last blocks."""
    if side == 1:
        return source
    below, right = -source.shape[2] % side, -source.shape[3] % side
    return F.pixel_unshuffle(F.pad(source, (0, right, 0, below), mode='replicate'), side)


def mixed(scores: Float[Tensor, 'batch scores h w'], source_a: Float[Tensor, 'batch pixels h w'],
          source_b: Float[Tensor, 'batch pixels h w']) -> Float[Tensor, 'batch pixels h w']:
    """Mix source A, source B, white and black at each pixel, weighted by a softmax of the scores.

    So the output lies in [0, 1], and a network reproduces a source without learning the identity.
    """
    a, b, white, _ = scores.unflatten(1, (4, -1)).softmax(1).unbind(1)
    return a * source_a + b * source_b + white


#: Maps that the decoder computes for each pixel, and their activation, by kind of output.
OUTPUTS = {'sigmoid': (1, nn.Sigmoid), 'mixture': (4, nn.Identity)}


class Stage(nn.Module):
    """One stage: a branch for each source, without shared weights or exchange. Arguments as for `Branch`."""

    def __init__(self, channels: int, *options: Any):
        super().__init__()
        self.branch_a = Branch(channels, *options)
        self.branch_b = Branch(channels, *options)

    def forward(self, a: Tensor, b: Tensor, text: Tensor, text_weight: Tensor,
                out: Sequence[Tensor | None] = (None, None)) -> tuple[Tensor, Tensor]:
        return self.branch_a(a, text, text_weight, out[0]), self.branch_b(b, text, text_weight, out[1])


class Branch(nn.Module):
    """Compute image features, guide them by text, and merge both."""

    strip_maps = 2

    def __init__(self, channels: int, dim: int, heads: int, expansion: float, guide: Callable[[], nn.Module]):
        super().__init__()
        self.embed = nn.Sequential(nn.Conv2d(channels, dim, 3, padding=1, bias=False), nn.PReLU())
        self.restormer = RestormerBlock(dim, heads, expansion)
        self.guidance = guide()
        self.merge = nn.Sequential(PixelConv(2 * dim, dim), nn.PReLU())

    def forward(self, x: Tensor, text: Tensor, text_weight: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the features `(batch, dim, h, w)`; without gradients they are written to `out`, which may be `x`."""
        feature = by_strips(self._embedded, x, halo=1, learned=self.embed.parameters(), out=out)
        feature = self.restormer(feature, out)
        guided = self.guidance(feature, text, text_weight)
        return by_strips(self._merged, feature, guided, learned=self.merge.parameters(), out=out)

    def _embedded(self, x: Tensor, strip: Strip) -> Tensor:
        conv, activation = self.embed
        return activation(conv_rows(x, conv.weight, strip))

    def _merged(self, feature: Tensor, strip: Strip, guided: Tensor) -> Tensor:
        return self.merge(torch.cat((feature, nearest_rows(guided, feature, strip) + feature), 1))


class Decoder(nn.Sequential):
    """Make the fused image from the features of both branches."""

    strip_maps = 2

    def forward(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the image `(batch, 1, h, w)`; without gradients all features are written to `out`, maybe `x`."""
        *parts, last, squash = self
        for part in parts:
            if isinstance(part, nn.Conv2d):
                out = None if out is None else out[:, :part.out_channels]
                x = by_strips(lambda x, _, part=part: part(x), x, learned=part.parameters(), out=out)
            else:  # a block, which a sharded training may have wrapped
                x = part(x, out)
        # In float32 also in a network in bfloat16, whose levels near white would be 1/256.
        return by_strips(lambda x, _: squash(last(x).to(torch.promote_types(x.dtype, torch.float32))), x,
                         learned=last.parameters())


class TextGuidance(nn.Module):
    """Multiply features by a gate from cross-attention, in which the text queries the image.

    An image token is not a position. It is a run of `attention_dim` consecutive pixels of one channel, because the
    released code views the planar grid `(dim, h, w)` as tokens of that width. The gate has one value per place in the
    run. So it is the same for every channel and repeats along the pixels: at 384 columns and a width of 256 it is a
    pattern of vertical stripes that recurs every two rows. It can select neither channels nor regions.
    """

    strip_maps = 1

    def __init__(self, dim: int, heads: int, attention_dim: int, grid: Sequence[int]):
        super().__init__()
        if grid[0] * grid[1] % attention_dim:
            raise ConfigError(f'A guidance_grid of {grid[0]}x{grid[1]} = {grid[0] * grid[1]} points cannot be split '
                              f'into tokens of attention_dim={attention_dim} points.',
                              'Choose a grid whose area is a multiple of attention_dim; the published FILM has 288x384 '
                              'and 256.')
        self.grid = tuple(grid)
        self.embed = PixelConv(dim, dim)
        self.attention = PooledAttention(attention_dim, heads)
        self.project = nn.Sequential(PixelConv(dim, dim), nn.PReLU())

    def forward(self, feature: Tensor, text: Tensor, text_weight: Tensor) -> Tensor:
        """Return the guided features in the size of the grid or of `feature`, whichever has fewer pixels."""
        # Nearest-neighbour resizing and a 1x1 convolution can change places, so the smaller size is computed.
        grows = not is_traced() and feature.shape[2] * feature.shape[3] < self.grid[0] * self.grid[1]
        sampled = nearest(feature, self.grid)
        # One matrix product gives the planar grid without a transposition.
        pixels = sampled.permute(0, 2, 3, 1).flatten(1, 2).mT
        weight = self.embed.weight.flatten(1).expand(pixels.shape[0], -1, -1)
        planes = torch.baddbmm(self.embed.bias[:, None], weight, pixels)
        tokens = planes.reshape(pixels.shape[0], -1, text.shape[-1])  # `len` would be a constant in a traced graph
        # The gate's absolute values sum to 1, so it shrinks the features about attention_dim times. In an untrained
        # network the text changes almost nothing.
        gate = F.normalize(self.attention(text, tokens, text_weight), p=1, dim=-1)
        stripes = gate.repeat(1, self.grid[0] * self.grid[1] // gate.shape[1]).unflatten(1, (1, *self.grid))
        if grows:
            sampled, stripes = nearest(sampled, feature.shape[2:]), nearest(stripes, feature.shape[2:])
        return by_strips(self._gated, sampled, stripes, learned=self.parameters())

    def _gated(self, sampled: Tensor, strip: Strip, stripes: Tensor) -> Tensor:
        return self.project(self.embed(sampled) * stripes[:, :, strip.top:strip.bottom])


class PooledAttention(nn.MultiheadAttention):
    """Multi-head attention, averaged over the queries, with the parameters of `nn.MultiheadAttention`.

    All steps after the softmax are linear, so the attention weights can be averaged first. Then only one weighted sum
    of raw tokens per head is projected, instead of the values of all tokens. The key bias is not used: it adds the same
    number to all scores of a query, which does not change the softmax.
    """

    def forward(self, query: Float[Tensor, 'batch query dim'], tokens: Float[Tensor, 'batch token dim'],
                query_weight: Float[Tensor, 'batch query']) -> Float[Tensor, 'batch dim']:
        """Return the attention output, averaged over the queries by weights that sum to 1."""
        weight_q, weight_k, weight_v = self.in_proj_weight.chunk(3)
        bias_q, _, bias_v = self.in_proj_bias.chunk(3)
        queries = F.linear(query, weight_q, bias_q) * self.head_dim ** -0.5
        keys = by_pixel(tokens.mT[:, :, None], weight_k[..., None, None])[:, :, 0].mT

        queries, keys = (rearrange(x, 'b n (head dim) -> b head n dim', head=self.num_heads) for x in (queries, keys))
        if query.device.type == 'cpu' and not is_traced():
            heads = list(zip(queries.split(1, 1), keys.split(1, 1), strict=True))
            run = _recomputed(_mean_attention_in_cache)
            attention = torch.cat(list(side_by_side(lambda head: run(*head, query_weight), heads)), 1)
        else:  # a call costs more than the memory of its scores
            attention = _recomputed(_mean_attention)(queries, keys, query_weight)  # (batch, head, token)

        weight_v = rearrange(weight_v, '(head out) dim -> head out dim', head=self.num_heads)
        values = einsum(attention.to(tokens) @ tokens, weight_v, 'b head dim, head out dim -> b head out')
        return self.out_proj(values.flatten(1) + bias_v)


#: Kinds of text guidance by their name in configs, with the correction that stands beside the released one.
GUIDANCES = {'released': None, 'channel': ChannelGuidance, 'spatial': SpatialGuidance}


def _recomputed(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Compute again in the backward pass, so that query x token scores are never kept."""
    if not torch.is_grad_enabled():
        return function
    return partial(checkpoint, function, use_reentrant=False, preserve_rng_state=False)


def _mean_attention(q: Float[Tensor, 'batch head query dim'], k: Float[Tensor, 'batch head token dim'],
                    query_weight: Float[Tensor, 'batch query']) -> Float[Tensor, 'batch head token']:
    """Return the attention weight of each token, averaged over the queries."""
    scores = (q @ k.mT).softmax(-1, dtype=query_weight.dtype)
    # Not a matrix product with the weights: its backward pass on CUDA is one that torch compiles with Triton, which
    # needs a C compiler on the machine.
    return (scores * query_weight[:, None, :, None]).sum(2)


def _mean_attention_in_cache(q: Float[Tensor, 'batch 1 query dim'], k: Float[Tensor, 'batch 1 token dim'],
                             query_weight: Float[Tensor, 'batch query']) -> Float[Tensor, 'batch 1 token']:
    """Return the same for one head. The scores of 32 queries at a time stay in the cache of a processor."""
    tokens = k.contiguous().mT  # rows that lie apart make the product much slower
    parts = zip(q.split(32, 2), query_weight[:, None, None].split(32, 3), strict=True)
    return sum(weight @ (part @ tokens).softmax(-1, dtype=weight.dtype) for part, weight in parts)[:, :, 0]


def _mask(text: Tensor, mask: Tensor | None) -> Tensor:
    """Return the mask, by default one for real tokens only."""
    return text.new_ones(text.shape[:2], dtype=torch.bool) if mask is None else mask


def _token_weight(text: Tensor, mask: Tensor | None) -> Tensor:
    """Return weights (batch, token) that sum to 1 over the real tokens of each text, in float32 or better."""
    require_tokens(text, mask, 'Encode at least one token for each pair; an empty string too has start and end tokens.')
    dtype = torch.promote_types(text.dtype, torch.float32)
    weight = text.new_ones(text.shape[:2], dtype=dtype) if mask is None else mask.to(dtype)
    return weight / weight.sum(1, keepdim=True)


#: Patterns of our names, and their replacements that give the released names. Applied in this order.
_RELEASED_PARTS = (
    (r'^text_projection', r'text_process.conv'),
    (r'^stages\.0', r'restormerca1'),
    (r'^stages\.1', r'restormerca2'),
    (r'^stages\.2', r'restormerca3'),
    (r'branch_a\.guidance\.attention', r'cross_attentionA1.multihead_attn'),
    (r'branch_b\.guidance\.attention', r'cross_attentionA2.multihead_attn'),
    (r'branch_a', r'A'),
    (r'branch_b', r'B'),
    (r'([AB])\.embed\.0', r'conv\g<1>1'),
    (r'([AB])\.embed\.1', r'prelu\g<1>1'),
    (r'([AB])\.restormer', r'restormer\g<1>1'),
    (r'([AB])\.guidance\.embed', r'imagef2textf\g<1>1.conv'),
    (r'([AB])\.guidance\.project\.0', r'conv\g<1>2'),
    (r'([AB])\.guidance\.project\.1', r'prelu\g<1>2'),
    (r'([AB])\.merge\.0', r'conv\g<1>3'),
    (r'([AB])\.merge\.1', r'prelu\g<1>3'),
    (r'^decoder\.0', r'restormer1'),
    (r'^decoder\.1', r'conv1'),
    (r'^decoder\.2', r'restormer2'),
    (r'^decoder\.3', r'restormer3'),
    (r'^decoder\.4', r'conv2'),
    *RELEASED_BLOCK_PARTS,
)
