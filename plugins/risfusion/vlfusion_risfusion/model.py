"""The fusion network of RIS-FUSION: text-driven fusion from the perspective of referring image segmentation.

Ma, Gong, Fan, Ma and Jiang, arXiv:2509.12710, 2025. Two encoders and one decoder form a U-Net. At a quarter and an
eighth of the size each pixel attends to the words of the text, and their answer says how much of each source to take.
At the finer scales the sources are averaged. This independent implementation reproduces the output of the released
network up to rounding.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlfusion.models.layers.tokens import checked_text
from vlfusion.models.released import convert
from vlfusion.registry import BACKBONES

Feature = Float[Tensor, 'batch c h w']


@BACKBONES.register_module()
class RISFusion(nn.Module):
    """The fusion network of RIS-FUSION: a U-Net of two streams that each word of the text can guide.

    4,020,679 parameters. The attention needs memory for one number a word, head and pixel at a quarter of the size.

    Args:
        text_dim: width of the text's token features.
        dim: channels at full size; they double with each of three halvings.
        attention_dim: width of the attention.
        heads: number of its heads.

    >>> RISFusion(text_dim=6, dim=4)(torch.rand(2, 1, 20, 27), torch.rand(2, 1, 20, 27), torch.rand(2, 5, 6)).shape
    torch.Size([2, 1, 20, 27])
    """

    halo, multiple = 51, 8  # the text is the only thing that pixels share

    def __init__(self, text_dim: int = 768, dim: int = 32, attention_dim: int = 256, heads: int = 4):
        super().__init__()
        self.text_dim = text_dim
        self.embed_text = nn.Sequential(nn.Linear(text_dim, attention_dim), nn.LayerNorm(attention_dim))
        dims = [dim * 2**level for level in range(4)]
        self.encode_infrared, self.encode_visible = (
            nn.ModuleList(_convolutions(channels, out_channels)
                          for channels, out_channels in zip([1, *dims], dims, strict=False)) for _ in range(2))
        self.guide = nn.ModuleList(WordGuidedFusion(channels, attention_dim, heads) for channels in dims[2:])
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(2 * channels, channels, 2, stride=2) for channels in dims[:3])
        self.decode = nn.ModuleList(_convolutions(2 * channels, channels) for channels in dims[:3])
        self.output = nn.Conv2d(dim, 1, 1)

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Float[Tensor, 'batch token dim'] | None = None,
                text_mask: Bool[Tensor, 'batch token'] | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse an infrared and a visible image of one scene.

        Sides that are no multiples of 8 are extended by repeating the last pixels, and cut again.

        Args:
            source_a: luminance of the infrared image in [0, 1].
            source_b: luminance of the visible image in [0, 1].
            text: token features of the text, BERT's in the paper.
            text_mask: True for a real token, False for padding, which has no effect; None if all tokens are real.

        Returns:
            The fused luminance, in (0, 1).

        Raises:
            ConfigError: no text is given, or the width of its features is not `text_dim`.
            DataError: a text of the batch has no real token.
        """
        words = self.embed_text(checked_text(self, text, text_mask, self.text_dim))
        height, width = source_a.shape[-2:]
        sources = (F.pad(source, (0, -width % 8, 0, -height % 8), mode='replicate') for source in (source_a, source_b))
        pairs = zip(*map(_pyramid, (self.encode_infrared, self.encode_visible), sources), strict=True)
        *finer, third, fourth = pairs
        skips = [(infrared + visible) / 2 for infrared, visible in finer]
        skips.append(self.guide[0](*third, words, text_mask))
        x = self.guide[1](*fourth, words, text_mask)
        for level in (2, 1, 0):
            x = self.decode[level](torch.cat((skips[level], self.enlarge[level](x)), 1))
        return self.output(x).sigmoid()[..., :height, :width]

    @staticmethod
    def convert_released(state: dict) -> dict[str, Tensor]:
        """Rename the state of the released network to the names of this one.

        Args:
            state: released name to tensor, as `prefusion_model` of a released checkpoint; or that whole checkpoint, of
                which the segmenter is not used. The means and deviations of ImageNet, which undo the normalisation of
                the released input, are dropped.

        Raises:
            CheckpointError: a name is missing, or RISFusion does not have it.
        """
        return convert(RISFusion, state.get('prefusion_model', state), _RELEASED, dropped=r'^(mean|std)_(vis|ir)$',
                       remedy='Give model_best_lavt.pth of RIS-FUSION, or the tensors of its `prefusion_model`.')


class WordGuidedFusion(nn.Module):
    """Blend the features of both sources, pixel by pixel, by what each pixel reads in the text.

    A pixel's answer `c` gives the share of infrared `alpha(c)`, a scale `gamma(c)` and a shift `beta(c)`, each one
    number for all channels: `(1 + 0.1 gamma) ((1 - alpha) visible + alpha infrared) + beta`.

    Args:
        dim: channels of each source.
        attention_dim: width of the text features and of the attention.
        heads: number of attention heads.
        hidden: width between the two layers behind `alpha`, and behind `gamma` and `beta`.
    """

    def __init__(self, dim: int, attention_dim: int, heads: int, hidden: int = 128):
        super().__init__()
        self.heads = heads
        self.query = nn.Conv2d(2 * dim, attention_dim, 1)
        self.key, self.value = nn.Linear(attention_dim, attention_dim), nn.Linear(attention_dim, attention_dim)
        self.answer = nn.Conv2d(attention_dim, attention_dim, 1)
        self.share, self.modulation = (
            nn.Sequential(nn.Conv2d(attention_dim, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, out_channels, 1))
            for out_channels in (1, 2))

    def forward(self, infrared: Feature, visible: Feature, words: Float[Tensor, 'batch token width'],
                mask: Bool[Tensor, 'batch token'] | None) -> Feature:
        query = self.query(torch.cat((visible, infrared), 1))
        heads = [x.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (batch, head, pixel or token, width)
                 for x in (query.flatten(2).mT, self.key(words), self.value(words))]
        read = F.scaled_dot_product_attention(*heads, attn_mask=None if mask is None else mask[:, None, None])
        answer = self.answer(read.transpose(1, 2).flatten(2).mT.unflatten(2, query.shape[2:]))
        fused = torch.lerp(visible, infrared, self.share(answer).sigmoid())
        scale, shift = self.modulation(answer).chunk(2, 1)
        return (1 + 0.1 * scale) * fused + shift


def _convolutions(channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(*(layer for count in (channels, out_channels) for layer in (
        nn.Conv2d(count, out_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))))


def _pyramid(levels: nn.ModuleList, image: Tensor) -> list[Tensor]:
    """Compute the features at full size, and after each halving."""
    features = [levels[0](image)]
    for level in levels[1:]:
        features.append(level(F.max_pool2d(features[-1], 2)))
    return features


#: From our names to the released ones.
_RELEASED = (
    (r'^embed_text\.0', 'net.txt.proj'), (r'^embed_text\.1', 'net.txt.norm'),
    (r'^encode_(infrared|visible)\.(\d)\.', lambda m: 'net.' + {'infrared': 'i', 'visible': 'y'}[m[1]]
     + ('_inc.block.' if m[2] == '0' else f'_d{m[2]}.conv.block.')),
    (r'^guide\.(\d)', lambda m: f'net.lang_l{int(m[1]) + 3}'),
    (r'\.(query|key|value|answer)\.', lambda m: {'query': '.pwam.q', 'key': '.pwam.k', 'value': '.pwam.v',
                                                 'answer': '.pwam.out'}[m[1]] + '_proj.'),
    (r'\.share\.', '.fuse_gate.'), (r'\.modulation\.', '.film.'),
    (r'^enlarge\.(\d)', lambda m: f'net.u{int(m[1]) + 1}.up'),
    (r'^decode\.(\d)', lambda m: f'net.u{int(m[1]) + 1}.conv.block'),
    (r'^output', 'net.outc'))
