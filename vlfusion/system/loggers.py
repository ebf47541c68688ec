"""MMEngine's logger in a process without a GPU of its own.

MMEngine asks for the GPU number LOCAL_RANK to name log files, and raises IndexError if there are fewer GPUs. Processes
that share one GPU, for example to describe images, would fail at their first message. This module needs only to be
imported. It can go when MMEngine takes the GPUs in turn.
"""

import os

from mmengine.logging import logger

_gpu_of_mmengine = logger._get_device_id


def _gpu_of_log() -> int | str:
    """Return the number of this process's GPU, or LOCAL_RANK if there is no GPU of this number."""
    try:
        return _gpu_of_mmengine()
    except IndexError:
        return int(os.environ['LOCAL_RANK'])


logger._get_device_id = _gpu_of_log
