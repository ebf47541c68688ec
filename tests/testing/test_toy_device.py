"""The toy device refuses what a GPU would refuse, and computes what the CPU does."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from vlfusion.errors import ConfigError
from vlfusion.testing import toy_device as module
from vlfusion.testing.toy_device import NAME, MixedDevices, check_on_toy_device, toy_device, unavailable


@pytest.fixture(autouse=True)
def available():
    """Skip if this torch cannot have the device. Asked in each test: importing this file must not register it."""
    if reason := unavailable():
        pytest.skip(reason)


@pytest.fixture
def x():
    with toy_device():
        yield torch.arange(3., device=NAME)


@pytest.mark.parametrize('mix', [
    lambda x: x + torch.ones(3), lambda x: x * torch.tensor(2.), lambda x: torch.stack([x, torch.ones(3)]),
    lambda x: torch.where(x > 1, x, torch.tensor(0.)), lambda x: torch.ldexp(x, torch.tensor(3)),
    lambda x: x.add_(torch.ones(3)), lambda x: nn.Linear(3, 2)(x), lambda x: x.masked_fill(torch.ones(3) > 0, 0.)])
def test_a_tensor_of_the_cpu_is_refused_and_its_place_named(x, mix):
    with pytest.raises(MixedDevices, match=r'but \w+ at test_toy_device.py:\d+ got tensors on toy and on the CPU'):
        mix(x)


def test_a_check_says_what_to_do():
    with pytest.raises(AssertionError, match='The loss would fail on a GPU. .*, or register it as a buffer'), \
            check_on_toy_device('The loss') as device:
        torch.ones(2, device=device) + torch.ones(2)


def test_its_numbers_are_not_reached_by_accident(x):
    with pytest.raises(TypeError, match='toy device type tensor to numpy'):
        x.numpy()
    assert x.tolist() == x.cpu().numpy().tolist() == [0., 1., 2.]
    assert x.device.type == NAME and x.cpu().device.type == 'cpu'


def test_learning_equals_that_of_the_cpu(x):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.BatchNorm1d(5), nn.Linear(5, 1))
    states = []
    for place in ('cpu', NAME):
        network, inputs = copy.deepcopy(net).to(place), torch.ones(4, 3, device=place).cumsum(0)
        optimizer = torch.optim.Adam(network.parameters())
        for _ in range(2):
            optimizer.zero_grad()
            network(inputs).square().sum().backward()
            optimizer.step()
        states.append(network.cpu().state_dict())
    torch.testing.assert_close(states[1], states[0], rtol=0, atol=0)


def test_it_works_after_gradients_of_the_cpu_and_leaves_them_alone():
    weight = torch.ones(2, requires_grad=True)
    for _ in range(2):
        (2 * weight).sum().backward()
        with toy_device():
            moved = torch.ones(2, device=NAME, requires_grad=True)
            (2 * moved).sum().backward()
            assert moved.grad.tolist() == [2., 2.]
    assert weight.grad.tolist() == [4., 4.]


@pytest.mark.slow
def test_tests_for_a_gpu_do_not_register_it():
    """Once registered, it is torch's accelerator in the whole process, instead of the GPU."""
    code = 'import pytest, torch; pytest.main(["-q", "--collect-only", "-p", "no:cacheprovider", "-m", "device", ' \
           '"tests/testing"]); print(torch._C._get_privateuse1_backend_name())'
    done = subprocess.run([sys.executable, '-c', code], cwd=Path(__file__).parents[2], capture_output=True, text=True,
                          check=True)
    assert 'test_traffic.py::' in done.stdout and done.stdout.split()[-1] == 'privateuseone'


def test_outside_its_block_nothing_is_made_on_it_and_no_program_chooses_it():
    from mmengine.device import get_device
    with toy_device():
        pass
    with pytest.raises(NotImplementedError):
        torch.ones(1, device=NAME)
    assert not torch.accelerator.is_available() and get_device() != NAME
    assert not torch.__future__.get_overwrite_module_params_on_conversion()


def test_views_share_memory_and_changes_reach_them(x):
    x[1:].mul_(10)
    x.view(3, 1)[0, 0] = 7
    assert x.tolist() == [7., 10., 20.]


def test_another_torch_is_told_so(monkeypatch):
    def register():
        raise ImportError('cannot import name _setup_privateuseone_for_python_backend')
    monkeypatch.setattr(module, '_register', register)
    assert 'no device for tests: ImportError: cannot import' in unavailable()
    with pytest.raises(ConfigError, match='toy device cannot be used'), toy_device():
        pass


def test_code_for_the_cpu_goes_on_as_before():
    state = torch.get_rng_state()
    with torch.random.fork_rng():
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), state)
