"""The scan in chunks against the recurrence that defines it, in float64."""

import pytest
import torch
import torch.nn.functional as F

from vlfusion.models.layers.selective_scan import selective_scan
from vlfusion.system.footprint import LiveBytes


def recurrence(x, delta, a, b, c, d=None):
    """One step for each place, as the paper defines the scan."""
    state, outputs = torch.zeros(*x.shape[:2], a.shape[1], dtype=x.dtype), []
    for t in range(x.shape[2]):
        state = (delta[:, :, t, None] * a).exp() * state + (delta[:, :, t] * x[:, :, t])[..., None] * b[:, None, :, t]
        outputs.append((state * c[:, None, :, t]).sum(2))
    y = torch.stack(outputs, 2)
    return y if d is None else y + d[:, None] * x


def draw(length, batch=2, dim=3, states=4, spread=2.0):
    """Sequences whose decays reach from 1 to 0 within rounding."""
    generator = torch.Generator().manual_seed(length)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    delta = F.softplus(spread * normal(batch, dim, length))
    return [normal(batch, dim, length), delta, -(spread * normal(dim, states)).exp(), normal(batch, states, length),
            normal(batch, states, length), normal(dim)]


@pytest.mark.parametrize('chunk', [None, 1, 7, 100])
@pytest.mark.parametrize('length', [1, 2, 25, 38])
def test_equals_the_recurrence_in_values_and_gradients(length, chunk):
    tensors = [tensor.requires_grad_() for tensor in draw(length)]
    expected, y = recurrence(*tensors), selective_scan(*tensors, chunk=chunk)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-13)
    weights = draw(length)[0]
    for ours, theirs in zip(*(torch.autograd.grad((weights * output).sum(), tensors, allow_unused=True)
                              for output in (y, expected)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)


def test_training_gives_what_evaluation_gives():
    tensors = draw(30)
    with torch.no_grad():
        expected = selective_scan(*tensors)
    assert torch.equal(selective_scan(*(tensor.requires_grad_() for tensor in tensors)).detach(), expected)


def test_without_skip():
    *tensors, d = draw(20)
    torch.testing.assert_close(selective_scan(*tensors) + d[:, None] * tensors[0], selective_scan(*tensors, d))


def test_decays_that_vanish_within_a_chunk():
    """Their product over a chunk is exp(-2000): zero, by which nothing may be divided."""
    x, _, _, b, c, d = draw(100)
    a, delta = torch.full((3, 4), -20., dtype=torch.float64), torch.full_like(x, 10.)
    tensors = [tensor.requires_grad_() for tensor in (x, delta, a, b, c, d)]
    y = selective_scan(*tensors)
    torch.testing.assert_close(y, recurrence(*tensors), rtol=1e-12, atol=1e-13)
    y.sum().backward()
    assert all(tensor.grad.isfinite().all() for tensor in tensors)


def test_a_state_that_never_decays_is_a_running_sum():
    x, *_ = draw(200)
    one = torch.ones(2, 1, 200, dtype=torch.float64)
    y = selective_scan(x, torch.ones_like(x), torch.zeros(3, 1, dtype=torch.float64), one, one)
    torch.testing.assert_close(y, x.cumsum(2))


def test_half_precision_is_computed_in_float32():
    tensors = [tensor.bfloat16() for tensor in draw(40)]
    y = selective_scan(*tensors)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y.double(), recurrence(*(tensor.double() for tensor in tensors)), rtol=1e-4, atol=1e-4)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(selective_scan(*(tensor.float() for tensor in tensors)), y)


def test_training_needs_less_memory_than_the_recurrence():
    """The recurrence keeps a state for each place."""
    most = {}
    for scan in (selective_scan, recurrence):
        tensors = [tensor.requires_grad_() for tensor in draw(900, batch=1, dim=8, states=16)]
        with LiveBytes() as living:
            scan(*tensors).square().sum().backward()
        most[scan] = living.most
    assert most[selective_scan] < most[recurrence] / 2
