"""Settings of every test run in this repository: shapes are checked, no hub is asked, one thread computes."""

import os
from pathlib import Path

os.environ.setdefault('HF_HUB_OFFLINE', '1')
# One thread here and in every process the tests start: sums are bit-equal only among equal numbers of threads.
os.environ['OMP_NUM_THREADS'] = '1'

import torch
import vlfusion_shared  # noqa: F401  (sets where real image pairs lie)
from jaxtyping import install_import_hook

torch.set_num_threads(1)

# Before any of them is imported: shapes and types of arrays are checked in vlfusion and in every plugin. `make quick`
# leaves it out, because compiling the checks takes half of its start.
PLUGINS = Path(__file__).parent.glob('plugins/*/vlfusion_*/__init__.py')
if os.environ.get('VLFUSION_TYPECHECK', '1') != '0':
    install_import_hook(['vlfusion', *sorted(path.parent.name for path in PLUGINS)], 'typecheck.checker')
