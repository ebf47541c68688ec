"""Find real image pairs and reference outputs that lie in one folder outside the repository.

The environment variable VLFUSION_SHARED names the folder. VLFUSION_SHARED_REQUIRED=1 makes a missing file fail a test
that would otherwise be skipped.
"""

import os
from pathlib import Path

import pytest


def shared(relative: str) -> Path:
    """Return the path of a shared file or folder; skip the running test if it is missing."""
    root = os.environ.get('VLFUSION_SHARED')
    path = Path(root or '', relative)
    if not root or not path.exists():
        reason = f'needs {relative} under VLFUSION_SHARED ({root or "not set"})'
        if os.environ.get('VLFUSION_SHARED_REQUIRED'):
            pytest.fail(reason)
        pytest.skip(reason)
    return path
