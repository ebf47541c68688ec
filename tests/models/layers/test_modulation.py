"""Modulation by a vector, and texts as one vector."""

import pytest
import torch
from torch import nn

from vlfusion.errors import ConfigError, DataError
from vlfusion.models.layers.modulation import FeatureModulation, pooled_text


@pytest.mark.parametrize(('around_one', 'expected'), [(True, 2 * 3 - 1.75), (False, 1 * 3 - 1.75)])
def test_modulation_by_hand(around_one, expected):
    layer = FeatureModulation(1, 1, hidden=2, around_one=around_one)
    first, _, second = layer.mlp
    for parameter, values in ((first.weight, [[1.], [-1.]]), (first.bias, [0., 0.]),
                              (second.weight, [[0.5, 0.], [0., 100.]]), (second.bias, [0., 0.25])):
        parameter.data = torch.tensor(values)
    # The layers between: (2, -2) -> leaky (2, -0.02) -> scale 1, shift -1.75.
    torch.testing.assert_close(layer(torch.full((1, 1, 1, 1), 3.), torch.tensor([[2.]])).item(), expected)


def test_tokens_are_averaged_without_padding():
    text = torch.tensor([[[1., 2.], [3., 4.], [100., 100.]]])
    mask = torch.tensor([[True, True, False]])
    torch.testing.assert_close(pooled_text(nn.Identity(), text, mask, 2), torch.tensor([[2., 3.]]))
    torch.testing.assert_close(pooled_text(nn.Identity(), text[:, :1], None, 2), text[:, 0])


@pytest.mark.parametrize(('text', 'mask', 'error', 'words'), [
    (None, None, ConfigError, 'its argument `task` is None'),
    (torch.ones(1, 1, 3), None, ConfigError, 'Set text_dim=3'),
    (torch.ones(1, 1, 2), torch.zeros(1, 1, dtype=torch.bool), DataError, 'no real token')])
def test_a_text_that_cannot_be_pooled(text, mask, error, words):
    with pytest.raises(error, match=words):
        pooled_text(nn.Identity(), text, mask, 2, name='task')
