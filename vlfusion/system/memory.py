"""Memory of the system and of this process. Imports no torch, so that images can be read quickly."""

import ctypes
import re
from pathlib import Path

from vlfusion.errors import ConfigError

_UNITS = {'': 0, 'k': 1, 'm': 2, 'g': 3, 't': 4}


def parse_bytes(text: str) -> int:
    """A number of bytes as people write it; all units are powers of 1024.

    >>> parse_bytes('1.5 GiB')
    1610612736

    Raises:
        ConfigError: it is no such number.
    """
    found = re.fullmatch(r'([\d.]+)\s*([kmgt]?)(i?b)?', text.strip().lower())
    try:
        count = int(float(found[1]) * 1024 ** _UNITS[found[2]])
    except (TypeError, ValueError, OverflowError):
        count = 0
    if count < 1:
        raise ConfigError(f'{text!r} is no amount of memory.', 'Write 8GiB or 500MiB.')
    return count


def free_memory() -> int | None:
    """Bytes that can still be taken: the least of what the system has free, of what a control group leaves, and of what
    the address space may grow by. None where no system tells."""
    known = [read() for read in (_free, _left_in_group, _left_in_space)]
    return min((count for count in known if count is not None), default=None)


def _free() -> int | None:
    try:
        return _field('/proc/meminfo', 'MemAvailable')
    except OSError:
        return None


def _left_in_group() -> int | None:
    """Memory left in the control group that this process sees as its root, as in a container, version 2 or 1."""
    for folder, limit, usage in (('/sys/fs/cgroup', 'memory.max', 'memory.current'),
                                 ('/sys/fs/cgroup/memory', 'memory.limit_in_bytes', 'memory.usage_in_bytes')):
        try:
            most, used = (int(Path(folder, name).read_text()) for name in (limit, usage))
            statistics = dict(line.split() for line in Path(folder, 'memory.stat').read_text().splitlines())
        except (OSError, ValueError):  # no such version, or `max`, which is no number
            continue
        return most - used + int(statistics.get('inactive_file', 0))  # files it would drop
    return None


def _left_in_space() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most == resource.RLIM_INFINITY:
        return None
    return most - _field('/proc/self/status', 'VmSize')


def _field(path: str, name: str) -> int:
    """Bytes of a field of one of Linux's files of `Name: number kB`."""
    return next(int(line.split()[1]) * 1024 for line in Path(path).read_text().splitlines()
                if line.startswith(f'{name}:'))


def peak_of_process() -> int | None:
    """Bytes that this process took at most so far; None if no system tells."""
    try:
        return _field('/proc/self/status', 'VmHWM')
    except OSError:
        return None


class PeakOfProcess:
    """The most that the process took since, beyond what it had.

    By Linux's account of the resident memory, whose highest value can be set back; None on other systems.
    """

    def __init__(self):
        try:
            ctypes.CDLL(None).malloc_trim(0)  # what was freed counts no longer as held
            Path('/proc/self/clear_refs').write_text('5')
            self.before = _field('/proc/self/status', 'VmRSS')
        except (OSError, AttributeError, TypeError):  # TypeError is Windows'
            self.before = None

    def bytes(self) -> int | None:
        return None if self.before is None else max(_field('/proc/self/status', 'VmHWM') - self.before, 0)
