"""A process without a GPU of its own can log."""

import subprocess
import sys

import pytest

SHARED_GPU = """
import torch
torch.cuda.is_available, torch.cuda.device_count = lambda: True, lambda: 1
import {module}
from mmengine.logging import print_log
print_log('the message', logger='current')
"""


@pytest.mark.slow
@pytest.mark.parametrize('module', ['vlfusion.registry', 'vlfusion.config'])
@pytest.mark.parametrize('variables', [{}, {'CUDA_VISIBLE_DEVICES': '0'}])
def test_the_second_process_of_one_gpu_logs(monkeypatch, module, variables):
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    for name, value in {'LOCAL_RANK': '1', **variables}.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run([sys.executable, '-c', SHARED_GPU.format(module=module)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'the message' in done.stdout
