"""Names of processes, unique across the machines that share a disk, to tell whether the owner of a file has ended."""

import hashlib
import os
import re
import socket
from functools import cache
from pathlib import Path


def this_process() -> str:
    """Return the name of this process: host, process number and machine, as in `wind 4711 9c1fe2aa`."""
    return f'{socket.gethostname()} {os.getpid()} {machine()}'


@cache
def machine() -> str:
    """Return eight hex digits for this machine: a scope within which process numbers are unique.

    Two containers may share a host name although each numbers its own processes. So on Linux the digits also depend on
    the namespace of process numbers and on the boot.
    """
    parts = [socket.gethostname()]
    for read in (lambda: os.readlink('/proc/self/ns/pid'), lambda: Path('/proc/sys/kernel/random/boot_id').read_text()):
        try:
            parts.append(read())
        except OSError:  # not Linux
            continue
    return hashlib.sha256('\n'.join(parts).encode()).hexdigest()[:8]


def has_ended(process: str) -> bool:
    """Tell whether a process ran on this machine and has ended. False for other machines, which cannot be asked.

    Args:
        process: the name of the process, as `this_process` returns it; further words after it are ignored.
    """
    name = re.match(r'\S+ (\d+) (\S+)', process)
    return name is not None and name[2] == machine() and not is_alive(int(name[1]))


def is_alive(number: int) -> bool:
    """Tell whether a process with this number runs on this machine."""
    # POSIX offers signal 0 for this, but on Windows signal 0 is Ctrl-C.
    import psutil
    return psutil.pid_exists(number)
