"""Settings of every test run in this repository: shapes are checked, no hub is asked, one thread computes, no GPU."""

import os
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault('HF_HUB_OFFLINE', '1')
# One thread here and in every process the tests start: sums are bit-equal only among equal numbers of threads.
os.environ['OMP_NUM_THREADS'] = '1'
# Expected numbers are those of a CPU, so a GPU is hidden, here and from every process the tests start. `make test-gpu`
# names a device for the tests marked `device`.
os.environ.setdefault('VLFUSION_TEST_DEVICE', 'toy')
os.environ.update({'CUDA_VISIBLE_DEVICES': ''} if os.environ['VLFUSION_TEST_DEVICE'] == 'toy' else {})

import pytest
import torch
import vlfusion_shared  # noqa: F401  (sets where real image pairs lie)
from jaxtyping import install_import_hook

torch.set_num_threads(1)
DEVICE = os.environ['VLFUSION_TEST_DEVICE']

# Before any of them is imported: shapes and types of arrays are checked in vlfusion and in every plugin. `make quick`
# leaves it out, because compiling the checks takes half of its start.
PLUGINS = Path(__file__).parent.glob('plugins/*/vlfusion_*/__init__.py')
if os.environ.get('VLFUSION_TYPECHECK', '1') != '0':
    install_import_hook(['vlfusion', *sorted(path.parent.name for path in PLUGINS)], 'typecheck.checker')


#: Modules of the page that import Gradio, which is an extra: without it their docstrings are not tested.
collect_ignore = [] if find_spec('gradio') else [
    f'vlfusion/app/{name}.py' for name in ('desk', 'folders_tab', 'page', 'pair_tab', 'remote', 'volumes_tab')]


def pytest_configure(config: pytest.Config) -> None:
    """Stop with the reason if the device of the tests cannot be used."""
    if DEVICE != 'toy':
        from vlfusion.errors import ConfigError
        from vlfusion.system.devices import device_of
        try:
            device_of(DEVICE)
        except ConfigError as error:
            pytest.exit(f'VLFUSION_TEST_DEVICE={DEVICE}: {error}', returncode=2)


@pytest.fixture
def device():
    """Name of a device other than the CPU: the toy device, or that of VLFUSION_TEST_DEVICE, in float32 without TF32."""
    from vlfusion.system.tf32 import tf32
    from vlfusion.testing.toy_device import toy_device, unavailable
    if DEVICE != 'toy':
        with tf32(False):
            yield DEVICE
    elif reason := unavailable():
        pytest.skip(reason)
    else:
        with toy_device():
            yield DEVICE
