"""A plain implementation of FILM with stock modules, the baseline for the network of vlfusion.

It uses planar memory, the unchanged `nn.MultiheadAttention`, layer normalisation through reshapes, and does not regroup
sums. Its parts have the names of vlfusion's FILM, so that one state loads into both.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PlainFILM(nn.Module):
    """The network of FILM, without checks and without a text mask."""

    def __init__(self, text_dim: int = 768, dim: int = 32, heads: int = 8, expansion: int = 4,
                 guidance_grid: tuple[int, int] = (288, 384), attention_dim: int = 256):
        super().__init__()
        self.text_projection = nn.Linear(text_dim, attention_dim)
        self.stages = nn.ModuleList(
            nn.ModuleDict({branch: Branch(channels, dim, heads, expansion, guidance_grid, attention_dim)
                           for branch in ('branch_a', 'branch_b')}) for channels in (1, dim, dim))
        self.decoder = nn.Sequential(
            Block(2 * dim, heads, expansion), nn.Conv2d(2 * dim, dim, 1), Block(dim, heads, expansion),
            Block(dim, heads, expansion), nn.Conv2d(dim, 1, 1), nn.Sigmoid())

    def forward(self, source_a: Tensor, source_b: Tensor, text: Tensor) -> Tensor:
        text = self.text_projection(text)
        a, b = source_a, source_b
        for stage in self.stages:
            a, b = stage['branch_a'](a, text), stage['branch_b'](b, text)
        return self.decoder(torch.cat((a, b), 1))


class Branch(nn.Module):
    def __init__(self, channels: int, dim: int, heads: int, expansion: int, grid: tuple[int, int], attention_dim: int):
        super().__init__()
        self.embed = nn.Sequential(nn.Conv2d(channels, dim, 3, padding=1, bias=False), nn.PReLU())
        self.restormer = Block(dim, heads, expansion)
        self.guidance = Guidance(dim, heads, grid, attention_dim)
        self.merge = nn.Sequential(nn.Conv2d(2 * dim, dim, 1), nn.PReLU())

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        feature = self.restormer(self.embed(x))
        return self.merge(torch.cat((feature, self.guidance(feature, text) + feature), 1))


class Guidance(nn.Module):
    def __init__(self, dim: int, heads: int, grid: tuple[int, int], attention_dim: int):
        super().__init__()
        self.grid, self.attention_dim = grid, attention_dim
        self.embed = nn.Conv2d(dim, dim, 1)
        self.attention = nn.MultiheadAttention(attention_dim, heads, batch_first=True)
        self.project = nn.Sequential(nn.Conv2d(dim, dim, 1), nn.PReLU())

    def forward(self, feature: Tensor, text: Tensor) -> Tensor:
        batch, dim, h, w = feature.shape
        tokens = F.interpolate(self.embed(feature), self.grid, mode='nearest').view(batch, -1, self.attention_dim)
        attended, _ = self.attention(text, tokens, tokens)
        gate = F.normalize(attended.mean(1, keepdim=True), p=1, dim=-1)
        return self.project(F.interpolate((tokens * gate).view(batch, dim, *self.grid), (h, w), mode='nearest'))


class Block(nn.Module):
    """A Restormer block."""

    def __init__(self, dim: int, heads: int, expansion: int):
        super().__init__()
        self.attention_norm, self.attention = Norm(dim), ChannelAttention(dim, heads)
        self.feed_forward_norm, self.feed_forward = Norm(dim), FeedForward(dim, expansion)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.feed_forward_norm(x))


class Norm(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        pixels = x.flatten(2).transpose(1, 2)
        mean, variance = pixels.mean(-1, keepdim=True), pixels.var(-1, keepdim=True, unbiased=False)
        normal = (pixels - mean) / torch.sqrt(variance + 1e-5) * self.weight + self.bias
        return normal.transpose(1, 2).reshape(x.shape)


class ChannelAttention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(dim, 3 * dim, 1, bias=False)
        self.qkv_depthwise = nn.Conv2d(3 * dim, 3 * dim, 3, padding=1, groups=3 * dim, bias=False)
        self.project = nn.Conv2d(dim, dim, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.reshape(len(x), self.heads, -1, x.shape[2] * x.shape[3])
                   for part in self.qkv_depthwise(self.qkv(x)).chunk(3, 1))
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        attention = (q @ k.transpose(-2, -1) * self.temperature).softmax(-1)
        return self.project((attention @ v).reshape(x.shape))


class FeedForward(nn.Module):
    def __init__(self, dim: int, expansion: int):
        super().__init__()
        hidden = dim * expansion
        self.expand = nn.Conv2d(dim, 2 * hidden, 1, bias=False)
        self.depthwise = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False)
        self.project = nn.Conv2d(hidden, dim, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.depthwise(self.expand(x)).chunk(2, 1)
        return self.project(F.gelu(gate) * value)
