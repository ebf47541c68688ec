"""A short spin of waiting threads is set before torch is loaded, and a user's own choice is kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vlfusion.system.threads import CHOICES, ROUNDS

ROOT = Path(__file__).parents[2]
#: Prints, when torch is first asked for, what its OpenMP library would then read; torch itself is not loaded.
SITE = """
import atexit, os, sys

class Watch:
    def find_spec(self, name, *_):
        if name == 'torch':
            print({key: os.environ[key] for key in ('GOMP_SPINCOUNT', 'OMP_WAIT_POLICY', 'KMP_BLOCKTIME')
                   if key in os.environ})
            sys.stdout.flush()
            os._exit(0)

sys.meta_path.insert(0, Watch())
"""


@pytest.fixture
def read_by_torch(tmp_path):
    """A function that runs Python with arguments and an environment, and gives the settings that torch finds."""
    (tmp_path / 'sitecustomize.py').write_text(SITE)
    clean = {key: value for key, value in os.environ.items() if key not in CHOICES}
    clean['PYTHONPATH'] = os.pathsep.join([str(tmp_path), str(ROOT), clean.get('PYTHONPATH', '')])

    def run(*arguments, **environment):
        return subprocess.run([sys.executable, *map(str, arguments)], env=clean | environment, cwd=ROOT,
                              text=True, capture_output=True, check=True).stdout.strip()
    return run


ENTRIES = {'console script': ('-c', 'import sys; from vlfusion.cli import main; sys.exit(main())', 'list'),
           'module': ('-m', 'vlfusion', 'list'), 'tool of a checkout': (ROOT / 'tools/list.py',)}


@pytest.mark.slow
@pytest.mark.parametrize('entry', ENTRIES.values(), ids=ENTRIES)
def test_the_command_line_bounds_the_spin_before_torch_is_loaded(read_by_torch, entry):
    assert read_by_torch(*entry) == str({'GOMP_SPINCOUNT': str(ROUNDS)})


@pytest.mark.slow
@pytest.mark.parametrize('chosen', [{name: '5'} for name in CHOICES] + [{'OMP_WAIT_POLICY': 'active'}],
                         ids=lambda chosen: '='.join(*chosen.items()))
def test_the_choice_of_the_user_is_kept(read_by_torch, chosen):
    assert read_by_torch('-m', 'vlfusion', 'list', **chosen) == str(chosen)
