"""The end of a command: one line and an exit code for errors, signals, and a console that takes no more output."""

import _thread
import errno
import io
import logging
import os
import re
import select
import signal
import stat
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vlfusion.errors import VLFusionError, printable
from vlfusion.files import cache_folder
from vlfusion.guards.redaction import mask

#: Exit codes by the convention of shells: an error of the user, and a pipe that is no longer read.
USAGE, PIPE = 2, 128 + 13
#: Errors of a full disk.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: Remedies for errors of the operating system, by number.
REMEDIES = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), 'Check its permissions, or choose another place.'),
    **dict.fromkeys(FULL, 'Make room there, or choose another place.'),
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), 'There is a file where a folder is needed: choose another place.'),
    errno.EISDIR: 'There is a folder where a file is needed: choose another place.',
    errno.ENAMETOOLONG: 'Shorten the name, or choose another place.',
    errno.ENOENT: 'Check the path.',
    errno.EIO: 'Check the disk or the network drive, and run the command again.',
    errno.EMFILE: 'Raise the limit of open files (ulimit -n), or use fewer workers.',
}
#: Start of an error that torch raises again from a worker of a data loader; it contains the whole traceback.
_FROM_WORKER = re.compile(r'Caught \w+ in \w+ worker process \d+\.\nOriginal Traceback.*\n[\w.]+: ', re.DOTALL)
_ERRNO = re.compile(r'\[Errno (\d+)\] ')


class Signalled(KeyboardInterrupt):
    """A signal that asks the process to end."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


def run_to_the_end(command: Callable[[], int | None]) -> int:
    """Run a command; an error that a user can fix, or a signal, becomes a line with its remedy and an exit code.

    Other errors are raised. The exit code is 130 after Ctrl-C and 143 after SIGTERM. A second signal ends the process
    at once.
    """
    _write_all_signs()
    logging.raiseExceptions = False  # if the disk is full, the files that must be written report it, in one line
    with _signals() as received:
        try:
            code = command() or 0
            _flush(sys.stdout)
            return code
        except BaseException as error:
            if received:  # a library may have turned it into another error
                return _end(Signalled(received[0]))
            if isinstance(error, KeyboardInterrupt | OSError | VLFusionError):
                return _end(error)
            if isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError):
                return PIPE  # rich ends a program if its output is no longer read
            if isinstance(error, SystemExit) and (fault := _fault_of_stdout()):  # argparse has printed something
                return _end(fault)
            raise


def _end(error: BaseException) -> int:
    """Print what ended the command, and return its exit code."""
    if isinstance(error, KeyboardInterrupt):
        number = getattr(error, 'number', signal.SIGINT)
        _print(f'Stopped by {signal.Signals(number).name}. Finished work is kept; no file is half written.')
        return 128 + number
    if fault := _fault_of_stdout(error):
        if isinstance(fault, BrokenPipeError):
            return PIPE  # the reader of the output, such as `head`, has ended
        _print(f'error: Cannot write the output: {fault.strerror}.')
        return USAGE
    if isinstance(error, BrokenPipeError):  # another pipe, such as that of a data loader's worker
        raise error
    _print(f'error: {mask(explained(error))}')
    return USAGE


@contextmanager
def traced(verbose: bool) -> Iterator[None]:
    """Print where in the code an error of the block was raised, if `verbose`; the error goes on."""
    try:
        yield
    except (OSError, VLFusionError):
        if verbose:
            _print(printable(mask(traceback.format_exc())))
        raise


def explained(error: OSError | VLFusionError) -> str:
    """The text of an error and its remedy, without the traceback of a worker.

    >>> print(explained(PermissionError(errno.EACCES, 'Permission denied', 'out/a.png')))
    out/a.png: Permission denied.
      -> Check its permissions, or choose another place.
    """
    text = _FROM_WORKER.sub('', str(error)).strip()
    if isinstance(error, VLFusionError):
        return text
    number, path, cause = error.errno, error.filename2 or error.filename, error.strerror
    if number is None and (match := _ERRNO.match(text)):  # an error of a worker
        number, cause = int(match[1]), text[match.end():]
    problem = ': '.join(str(part) for part in (path, cause) if part) or text or type(error).__name__
    remedy = REMEDIES.get(number, '')
    if path and Path(os.fsdecode(path)).is_relative_to(cache_folder()):
        remedy = "This is in the folder of vlfusion's downloads and words. Name another one by VLFUSION_HOME."
    return printable(f'{problem.rstrip(".")}.' + (f'\n  -> {remedy}' if remedy else ''))


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Let a signal raise `Signalled` in the main thread; the next one ends the process at once.

    Yields:
        The signals that were received.
    """
    main, received = os.getpid(), []

    def receive(number: int, _) -> None:
        if os.getpid() != main:  # a forked worker, which its parent ends
            if number != signal.SIGINT:
                os._exit(128 + number)
        elif received:
            os._exit(128 + number)
        else:
            received.append(number)
            raise Signalled(number)

    def raise_again(swallowed) -> None:
        # Python ignores all exceptions in a destructor, such as that of a data loader.
        if isinstance(swallowed.exc_value, Signalled):
            received.clear()
            threading.Timer(0.05, _thread.interrupt_main, [swallowed.exc_value.number]).start()
        else:
            show_ignored(swallowed)

    before, show_ignored = {}, sys.unraisablehook
    if threading.current_thread() is threading.main_thread():
        # Signals that are ignored, as under nohup or in the background, stay ignored.
        before = {number: handler for name in ('SIGINT', 'SIGTERM', 'SIGHUP')
                  if (number := getattr(signal, name, None))  # Windows has no SIGHUP
                  and (handler := signal.getsignal(number)) in (signal.default_int_handler, signal.SIG_DFL)}
    for number in before:
        signal.signal(number, receive)
    sys.unraisablehook = raise_again
    try:
        yield received
    finally:
        if not received:  # otherwise the interpreter is ending, and may still wait for threads
            for number, handler in before.items():
                signal.signal(number, handler)
            sys.unraisablehook = show_ignored


def _write_all_signs() -> None:
    """Let a console that lacks a character, such as an arrow, write its code instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == 'strict':
            stream.reconfigure(errors='backslashreplace')


def _fault_of_stdout(error: BaseException | None = None) -> OSError | None:
    """The error of standard output, if any. Then the output is closed, so that it does not fail again at the end.

    Args:
        error: error that ended the command, perhaps this one.
    """
    try:
        _flush(sys.stdout)
        # The printed text may already be lost, and the buffer empty.
        if not (isinstance(error, BrokenPipeError) and _has_no_reader()
                or isinstance(error, OSError) and error.errno in FULL and error.filename is None and _is_full()):
            return None
    except OSError as flushed:
        error = flushed
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return error


def _has_no_reader() -> bool:
    """Tell whether standard output is a pipe that nobody reads. True if the system cannot tell, as this is likely."""
    if sys.stdout is None or not hasattr(select, 'poll'):
        return sys.stdout is not None
    watched = select.poll()
    watched.register(sys.stdout, 0)
    return bool(watched.poll(0))


def _is_full() -> bool:
    """Tell whether standard output is a file on a full disk, or a device that accepts no data, such as /dev/full."""
    try:
        number = sys.stdout.fileno()
        mode = os.fstat(number).st_mode
        if stat.S_ISREG(mode) and hasattr(os, 'fstatvfs'):
            return os.fstatvfs(number).f_bavail == 0
        if stat.S_ISCHR(mode) and not os.isatty(number):
            os.write(number, b'\n')
    except (OSError, AttributeError, ValueError) as error:
        return isinstance(error, OSError) and error.errno in FULL
    return False


def _flush(stream: io.TextIOBase | None) -> None:
    if stream is not None:  # a program without a console has none
        stream.flush()


def _print(text: str) -> None:
    with suppress(OSError):  # standard error may be closed
        print(text, file=sys.stderr, flush=True)
