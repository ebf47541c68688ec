"""TF32 is allowed or forbidden in a block, whatever was set before."""

import pytest
import torch

from vlfusion.system.tf32 import tf32

CONV, MATMUL = torch.backends.cudnn.conv, torch.backends.cuda.matmul


def state():
    return CONV.fp32_precision, torch.backends.cudnn.rnn.fp32_precision, MATMUL.fp32_precision


def on_the_cpu():
    return torch.backends.mkldnn.matmul.fp32_precision


@pytest.fixture(params=['default', 'former', 'newer', 'high', 'medium'])
def before(request):
    """Switches as torch sets them, as a user sets them by the former names, and by the newer ones."""
    original, original_on_the_cpu = state(), on_the_cpu()
    try:
        if request.param in ('high', 'medium'):
            torch.set_float32_matmul_precision(request.param)
        if request.param == 'former':
            torch.backends.cudnn.allow_tf32, MATMUL.allow_tf32 = False, True
        if request.param == 'newer':
            CONV.fp32_precision, MATMUL.fp32_precision = 'ieee', 'tf32'
        yield state(), on_the_cpu()
        if request.param in ('high', 'medium'):
            assert torch.get_float32_matmul_precision() == request.param
    finally:
        torch.backends.mkldnn.matmul.fp32_precision = original_on_the_cpu
        torch.backends.cudnn.allow_tf32, MATMUL.allow_tf32 = True, False
        CONV.fp32_precision, torch.backends.cudnn.rnn.fp32_precision, MATMUL.fp32_precision = original


@pytest.mark.parametrize(('allowed', 'value'), [(True, 'tf32'), (False, 'ieee')])
def test_the_switches_hold_in_the_block(before, allowed, value):
    with pytest.raises(KeyError), tf32(allowed):
        assert state() == (value,) * 3 and on_the_cpu() == before[1]
        assert (torch.backends.cudnn.allow_tf32, MATMUL.allow_tf32) == (allowed, allowed)
        with tf32(not allowed):
            assert CONV.fp32_precision != value
        assert state() == (value,) * 3
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=allowed):  # reads the former switches
            raise KeyError
    assert (state(), on_the_cpu()) == before


@pytest.mark.parametrize('allowed', [True, False])
def test_blocks_of_two_threads_may_overlap(before, allowed):
    first, second = tf32(allowed), tf32(allowed)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert state() == ('tf32' if allowed else 'ieee',) * 3, 'the second still computes'
    second.__exit__(None, None, None)
    assert (state(), on_the_cpu()) == before


def test_torch_allows_tf32_in_convolutions_by_default():
    assert CONV.fp32_precision == 'tf32', 'if this changes, `vlfusion fuse --precision float32` needs no switch'
