"""Devices by name."""

import pytest
import torch

from vlfusion.errors import ConfigError
from vlfusion.system.devices import device_of


def test_devices_that_are_there():
    assert device_of('cpu') == torch.device('cpu')
    assert device_of().type == ('cuda' if torch.cuda.is_available() else 'cpu')


@pytest.mark.parametrize('name', ['zz', 'cuda:99', 'meta', 'mkldnn', 'CPU', 'cpu:x', ' '])
def test_devices_that_are_not(name):
    with pytest.raises(ConfigError, match='cannot be used') as caught:
        device_of(name)
    assert '\n' not in caught.value.problem
