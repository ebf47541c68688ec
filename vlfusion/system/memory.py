"""Memory of the system and of this process. Imports no torch, so that images can be read quickly."""

import ctypes
import re
from pathlib import Path

from vlfusion.errors import ConfigError

#: Messages by which torch and its libraries say that memory ran out. Only few of them come as torch.OutOfMemoryError.
_NO_MEMORY = re.compile('|'.join((
    'out of memory',  # torch itself, the runtimes of CUDA, MPS and others
    r'ALLOC(ATION)?_FAILED',  # cuBLAS, cuDNN, cuFFT, cuSOLVER
    'unable to find an engine',  # what torch makes of a workspace for cuDNN that does not fit
    "DefaultCPUAllocator|can't allocate memory|bad_alloc")))  # the CPU

_UNITS = {'': 0, 'k': 1, 'm': 2, 'g': 3, 't': 4}


def parse_bytes(text: str) -> int:
    """Parse an amount of memory into bytes. All units are powers of 1024.

    >>> parse_bytes('1.5 GiB')
    1610612736

    Raises:
        ConfigError: the text is not a positive amount of memory.
    """
    match = re.fullmatch(r'([\d.]+)\s*([kmgt]?)(i?b)?', text.strip().lower())
    try:
        count = int(float(match[1]) * 1024 ** _UNITS[match[2]])
    except (TypeError, ValueError, OverflowError):
        count = 0
    if count < 1:
        raise ConfigError(f'{text!r} is not an amount of memory.', 'Write for example 8GiB or 500MiB.')
    return count


def free_memory() -> int | None:
    """Return free memory in bytes: the smallest of system memory, control-group limit and address-space limit.

    None if the system reports none of them.
    """
    counts = [read() for read in (_free, _left_in_group, _left_in_space)]
    return min((count for count in counts if count is not None), default=None)


def _free() -> int | None:
    try:
        return _field('/proc/meminfo', 'MemAvailable')
    except OSError:
        return None


def _left_in_group() -> int | None:
    """Return the bytes left in the root control group, as in a container. Reads version 2, else version 1."""
    for folder, limit, usage in (('/sys/fs/cgroup', 'memory.max', 'memory.current'),
                                 ('/sys/fs/cgroup/memory', 'memory.limit_in_bytes', 'memory.usage_in_bytes')):
        try:
            most, used = (int(Path(folder, name).read_text()) for name in (limit, usage))
            statistics = dict(line.split() for line in Path(folder, 'memory.stat').read_text().splitlines())
        except (OSError, ValueError):  # another version, or `max` for no limit
            continue
        return most - used + int(statistics.get('inactive_file', 0))  # the kernel would drop these cached files
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
    """Read a field in bytes from a Linux file with lines of the form `Name: number kB`."""
    return next(int(line.split()[1]) * 1024 for line in Path(path).read_text().splitlines()
                if line.startswith(f'{name}:'))


def out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception or its cause says that memory ran out, on any device."""
    if isinstance(error, MemoryError) or isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)):
        return True
    return error.__cause__ is not None and out_of_memory(error.__cause__)


def peak_of_process() -> int | None:
    """Return the peak memory of this process in bytes, or None if the system does not report it."""
    try:
        return _field('/proc/self/status', 'VmHWM')
    except OSError:
        return None


class PeakOfProcess:
    """Peak resident memory of the process since this object was made, minus what it held then.

    `bytes()` is None on systems other than Linux, where the peak cannot be reset.
    """

    def __init__(self):
        try:
            ctypes.CDLL(None).malloc_trim(0)  # freed memory must not count as held
            Path('/proc/self/clear_refs').write_text('5')
            self.before = _field('/proc/self/status', 'VmRSS')
        except (OSError, AttributeError, TypeError):  # Windows raises TypeError
            self.before = None

    def bytes(self) -> int | None:
        return None if self.before is None else max(_field('/proc/self/status', 'VmHWM') - self.before, 0)
