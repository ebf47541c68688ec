"""Work on a Ray cluster: order, errors, workers and machines that end in the middle, keys, and nothing left behind."""

import functools
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from vlfusion.errors import ConfigError, DataError
from vlfusion.system.ray_cluster import ATTEMPTS, Cluster, _Start

pytestmark = pytest.mark.slow
HAS_RAY = pytest.mark.skipif(not __import__('importlib.util').util.find_spec('ray'), reason="pip install 'vlfusion[ray]'")


def children():
    """Processes of Ray that this process has started, and theirs."""
    return [process for process in psutil.Process().children(recursive=True)
            if process.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def cluster():
    """A local cluster with three workers; its processes end with it."""
    before = {process.pid for process in children()}
    with Cluster('local', workers=3) as cluster:
        yield cluster
    gone, left = psutil.wait_procs([process for process in children() if process.pid not in before], timeout=20)
    assert not left
