"""The check of conversions passes a careful one and finds careless ones."""

import pytest
import torch
from torch import nn

from vlfusion.errors import CheckpointError
from vlfusion.models.released import under_our_names, without_prefix
from vlfusion.testing.released import check_conversion, draw_state


class Scale(nn.Module):
    """One number, `scale`, which the released files call `alpha`."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    @staticmethod
    def convert_released(state):
        return under_our_names('Scale', without_prefix(state), {'scale': 'alpha'}, 'Give alpha.pth.')


class Lenient(Scale):
    """Takes whatever it finds."""

    @staticmethod
    def convert_released(state):
        return {'scale': without_prefix(state).get('alpha', torch.zeros(1))}


class Strict(Scale):
    """Does not know the prefix of training on several devices."""

    @staticmethod
    def convert_released(state):
        return under_our_names('Scale', state, {'scale': 'alpha'}, 'Give alpha.pth.')


def test_a_conversion_that_keeps_the_rules_passes():
    converted = check_conversion(Scale(), {'alpha': torch.tensor([2.])}, missing='alpha', unknown='beta')
    assert converted == {'scale': torch.tensor([2.])}


def test_a_conversion_that_takes_anything_is_found():
    with pytest.raises(AssertionError, match='The incomplete state is converted'):
        check_conversion(Lenient(), {'alpha': torch.ones(1)}, missing='alpha', unknown='beta')


def test_a_conversion_that_minds_the_prefix_is_found():
    with pytest.raises(CheckpointError, match='lacks 1 of its names'):
        check_conversion(Strict(), {'alpha': torch.ones(1)}, missing='alpha', unknown='beta')


def test_a_drawn_state_depends_on_names_and_seed_alone():
    shapes = {'b.weight': (4, 2, 3, 3), 'a.running_var': (4,), 'a.weight': (4,), 'a.bias': (4,),
              'a.num_batches_tracked': ()}
    state = draw_state(shapes)
    assert {name: tuple(value.shape) for name, value in state.items()} == shapes
    again = draw_state(dict(reversed(shapes.items())))
    assert all(torch.equal(again[name], value) for name, value in state.items())
    assert not torch.equal(draw_state(shapes, seed=1)['b.weight'], state['b.weight'])
    for name in ('a.running_var', 'a.weight'):
        assert state[name].min() >= 0.5 and state[name].max() <= 1.5
    assert state['a.num_batches_tracked'].dtype == torch.int64
