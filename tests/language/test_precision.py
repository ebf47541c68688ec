"""Devices and precisions by name."""

import pytest
import torch

from vlfusion.errors import ConfigError
from vlfusion.language.keys import identity
from vlfusion.language.precision import torch_device, torch_dtype
from vlfusion.registry import TEXT_ENCODERS


def test_auto_is_a_gpu_if_there_is_one(monkeypatch):
    assert torch_device('auto') == ('cuda:0' if torch.cuda.is_available() else 'cpu')
    monkeypatch.setenv('LOCAL_RANK', '3')
    for available, device in ((True, 'cuda:1'), (False, 'cpu')):
        monkeypatch.setattr('torch.cuda.is_available', lambda available=available: available)
        monkeypatch.setattr('torch.cuda.device_count', lambda: 2)
        assert torch_device('auto') == device and torch_device('cuda:0') == 'cuda:0'
        assert torch_device('cuda') == (device if available else 'cuda'), 'whose absence is reported later'


def test_a_device_does_not_change_what_a_record_is():
    assert identity(TEXT_ENCODERS, dict(type='TransformersTextEncoder', device='auto')) == identity(
        TEXT_ENCODERS, dict(type='TransformersTextEncoder'))


def test_a_dtype_that_is_unknown_is_named():
    assert torch_dtype('X', 'bfloat16') is torch.bfloat16
    with pytest.raises(ConfigError, match="X has no dtype 'half'"):
        torch_dtype('X', 'half')
