"""The one place that knows where real image pairs and reference outputs lie, for the tests that read them.

VLFUSION_SHARED names the folder; VLFUSION_SHARED_REQUIRED=1 turns a skip for want of it into a failure.
"""

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get('VLFUSION_SHARED', Path(__file__).parents[2] / 'shared'))


def shared(relative: str) -> Path:
    """The path of a shared file or folder; the test is skipped, with the reason, where it is absent."""
    path = ROOT / relative
    if not path.exists():
        reason = f'needs {relative} under VLFUSION_SHARED ({ROOT})'
        if os.environ.get('VLFUSION_SHARED_REQUIRED'):
            pytest.fail(reason)
        pytest.skip(reason)
    return path
