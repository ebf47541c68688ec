"""Names of processes that say, even on a shared disk, whose a file is and whether its owner has ended."""

import hashlib
import os
import re
import socket
from functools import cache
from pathlib import Path


def this_process() -> str:
    """The name of this process: host, process number and machine, as in `wind 4711 9c1fe2aa`."""
    return f'{socket.gethostname()} {os.getpid()} {machine()}'


@cache
def machine() -> str:
    """Eight digits for the set of processes among which a number has one meaning.

    Two containers may share a host's name, but a number means another process in each; so the namespace of process
    numbers counts where there is one, and the boot.
    """
    parts = [socket.gethostname()]
    for read in (lambda: os.readlink('/proc/self/ns/pid'), lambda: Path('/proc/sys/kernel/random/boot_id').read_text()):
        try:
            parts.append(read())
        except OSError:  # not Linux
            continue
    return hashlib.sha256('\n'.join(parts).encode()).hexdigest()[:8]


def has_ended(process: str) -> bool:
    """Tell whether a process was one of this machine and is gone; of other machines nothing is known.

    Args:
        process: its name, and perhaps a blank and more.
    """
    name = re.match(r'\S+ (\d+) (\S+)', process)
    return name is not None and name[2] == machine() and not is_alive(int(name[1]))


def is_alive(number: int) -> bool:
    """Tell whether a process of this machine has the number."""
    # Signal 0, which POSIX has for this, is Ctrl-C on Windows.
    import psutil
    return psutil.pid_exists(number)
