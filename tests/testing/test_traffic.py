"""Copies and waits are counted where they happen."""

import inspect

import pytest
import torch

from vlfusion.testing.toy_device import NAME
from vlfusion.testing.traffic import Traffic

pytestmark = pytest.mark.device


@pytest.mark.parametrize('copy', [
    lambda x: torch.ones(3).to(x), lambda x: x[torch.tensor([0, 2])], lambda x: x.copy_(torch.zeros(3))])
def test_a_copy_from_the_host_is_counted(copy, device):
    x = torch.arange(3., device=device)
    with Traffic() as traffic:
        copy(x)
    assert (len(traffic.copies), traffic.waits) == (1, [])


@pytest.mark.parametrize('make', [
    lambda x: torch.tensor([1., 2.], device=x.device), lambda x: torch.as_tensor([1.], device=x.device),
    lambda x: x.new_tensor([1.])])
def test_on_the_toy_device_numbers_of_python_are_counted_too(make, device):
    if device != NAME:
        pytest.skip('torch hides these copies')
    x = torch.arange(3., device=device)
    with Traffic() as traffic:
        assert make(x).device == x.device
    assert len(traffic.copies) == 1


@pytest.mark.parametrize('wait', [
    lambda x: x.sum().item(), lambda x: bool(x[0]), lambda x: x.tolist(), lambda x: x.cpu(), lambda x: x.nonzero(),
    lambda x: x[x > 1], lambda x: torch.equal(x, x), lambda x: x.unique(), lambda x: x.masked_select(x > 1)])
def test_a_wait_is_counted(wait, device):
    x = torch.arange(3., device=device)
    with Traffic() as traffic:
        wait(x)
    assert (traffic.copies, len(traffic.waits)) == ([], 1)


def test_what_needs_neither_is_not_counted(device):
    x = torch.arange(3., device=device)
    places = torch.tensor([0, 2]).to(device)
    with Traffic() as traffic:
        x[x > 1] = 0
        x[places] = x[places] + 1
        x[1] = 4
        torch.where(x > 1, x, 0.)
        torch.zeros_like(x).fill_(2).double()
    assert traffic.copies == traffic.waits == []


def test_a_wait_of_the_backward_pass_is_counted(device):
    x = torch.ones(3, device=device, requires_grad=True)
    total = x.square().sum()
    x.register_hook(lambda gradient: gradient * gradient.max().item())
    with Traffic() as traffic:
        total.backward()
    assert len(traffic.waits) == 1


def test_a_line_of_code_is_named_also_under_inference_mode(device):
    line = inspect.currentframe().f_lineno
    x = torch.arange(3., device=device)
    with torch.inference_mode(), Traffic() as traffic:
        float(x.sum())
        torch.einsum('i,i->', x, torch.ones(3).to(device))
    assert traffic.waits == [f'test_traffic.py:{line + 3}']
    assert traffic.copies == [f'test_traffic.py:{line + 4}']
