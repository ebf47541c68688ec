"""Devices by name."""

from threading import Thread

import pytest
import torch

from vlfusion.errors import ConfigError
from vlfusion.system.devices import device_of, with_index


def test_devices_that_are_there():
    assert device_of('cpu') == torch.device('cpu')
    assert device_of().type == ('cuda' if torch.cuda.is_available() else 'cpu')


@pytest.fixture
def two_gpus(monkeypatch):
    """A machine that claims to have two GPUs, the second of which is current in this thread."""
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    monkeypatch.setattr('torch.cuda.device_count', lambda: 2)
    monkeypatch.setattr('torch.cuda.current_device', lambda: 1)
    monkeypatch.delenv('LOCAL_RANK', raising=False)


def test_processes_of_a_machine_take_its_gpus_in_turn(two_gpus, monkeypatch):
    for rank in range(4):
        monkeypatch.setenv('LOCAL_RANK', str(rank))
        assert with_index('cuda') == f'cuda:{rank % 2}' and with_index('cuda:0') == 'cuda:0'
    found = []
    thread = Thread(target=lambda: found.append(with_index('cuda')))  # whose current GPU torch would not know
    thread.start()
    thread.join()
    assert found == ['cuda:1']


def test_without_a_launcher_the_current_gpu_is_taken(two_gpus):
    assert with_index('cuda') == 'cuda:1' and with_index('cpu') == 'cpu'


def test_a_device_has_its_index_before_it_is_tried(two_gpus, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '3')
    tried = []
    monkeypatch.setattr('torch.ones', lambda *_, device, **__: tried.append(device) or torch.zeros(1))
    assert device_of('cuda') == torch.device('cuda:1') and tried == ['cuda:1']


@pytest.mark.parametrize('name', ['zz', 'cuda:99', 'meta', 'mkldnn', 'CPU', 'cpu:x', ' '])
def test_devices_that_are_not(name):
    with pytest.raises(ConfigError, match='cannot be used') as caught:
        device_of(name)
    assert '\n' not in caught.value.problem
