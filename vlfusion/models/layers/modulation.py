"""Guidance by one vector of a text: feature-wise linear modulation, FiLM (Perez et al., AAAI 2018)."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlfusion.models.layers.tokens import checked_text


class FeatureModulation(nn.Module):
    """Scale and shift each channel, by factors that two layers compute from a vector.

    Args:
        text_dim: width of the vector.
        channels: channels of the features.
        hidden: width between the two layers.
        activation: activation between them.
        around_one: True for `(1 + scale) x + shift`, False for `scale x + shift`.

    >>> import torch
    >>> FeatureModulation(16, 8, hidden=32)(torch.rand(2, 8, 5, 7), torch.rand(2, 16)).shape
    torch.Size([2, 8, 5, 7])
    """

    def __init__(self, text_dim: int, channels: int, *, hidden: int, activation: type[nn.Module] = nn.LeakyReLU,
                 around_one: bool = True):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(text_dim, hidden), activation(), nn.Linear(hidden, 2 * channels))
        self.around_one = around_one

    def forward(self, x: Float[Tensor, 'batch c h w'],
                vector: Float[Tensor, 'batch dim']) -> Float[Tensor, 'batch c h w']:
        scale, shift = self.mlp(vector)[..., None, None].chunk(2, 1)
        return ((1 + scale) if self.around_one else scale) * x + shift


def pooled_text(backbone: nn.Module, text: Float[Tensor, 'batch token dim'] | None,
                mask: Bool[Tensor, 'batch token'] | None, dim: int, name: str = 'text') -> Float[Tensor, 'batch dim']:
    """Average the real tokens of each text. A pooled encoder gives one token, which is returned as it is.

    Args:
        backbone: the network that reads the text, for the errors.
        text: features of the tokens.
        mask: True for a real token, False for padding; None if all are real.
        dim: width that the network was built for.
        name: keyword of the text, for the errors.

    Raises:
        ConfigError: no text is given, or the width of its features is not `dim`.
        DataError: a text of the batch has no real token.
    """
    text = checked_text(backbone, text, mask, dim, name)
    if mask is None:
        return text.mean(1)
    weight = mask.to(text)
    return (text * weight[..., None]).sum(1) / weight.sum(1, keepdim=True)
