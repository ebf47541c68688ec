"""A lock that gives a folder to one training at a time."""

import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from vlfusion.errors import ConfigError
from vlfusion.files import make_folder, write_whole
from vlfusion.system.processes import this_process

#: The lock, and the file that names the process that holds it.
LOCK, OWNER = '.training.lock', '.training'


def lock_work_dir(work_dir: str | os.PathLike) -> FileLock:
    """Keep other processes from training in a work_dir until the lock is released or this process ends.

    On network drives that support locks, such as NFS, this includes processes of other machines. The process that holds
    the lock may take it again.

    Raises:
        ConfigError: another process trains in this folder.
        OSError: the folder cannot be written.
    """
    folder = Path(work_dir)
    make_folder(folder)
    lock = FileLock(folder / LOCK, is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        owner = ''
        with suppress(OSError, ValueError):
            host, number, _ = (folder / OWNER).read_text(encoding='utf-8').split()
            owner = f', process {number} on {host},'
        raise ConfigError(f'Another training{owner} writes to {folder}.',
                          'Wait for its end, or choose another folder with --work-dir. To start several processes of '
                          'one training, use torchrun and --launcher pytorch.') from None
    write_whole(folder / OWNER, this_process().encode())
    return lock
