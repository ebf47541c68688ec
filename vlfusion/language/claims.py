"""Claims on records, so that several processes can fill one store and make each record once.

A claim is a file beside the records. It is created in one step and only if it does not exist. Its process touches it
regularly. Another process may take a claim over if it was not touched for a while, or if its process ran on this
machine and has ended.
"""

import os
import threading
import time
import uuid
from contextlib import suppress
from functools import partial
from pathlib import Path

from filelock import FileLock

from vlfusion.files import make_folder, patiently
from vlfusion.system.processes import has_ended, this_process

#: Lock file of a take-over, so that only one process takes an abandoned claim.
LOCK = '.lock'


class Claims:
    """The claims of one process.

    Args:
        folder: the folder of the claims of all processes, made at the first claim.
        lease: seconds after which an untouched claim of another machine counts as abandoned.
    """

    def __init__(self, folder: Path, lease: float = 300.):
        self.folder, self.lease = folder, lease
        self._held: set[Path] = set()
        self._name = f'{this_process()} {uuid.uuid4().hex}'
        self._own = folder / f'.{self._name[-32:]}'
        self._linked = True  # a claim is a hard link to that file if the file system has links: quick to make and touch
        self._closed = threading.Event()
        self._heart: threading.Thread | None = None

    def take(self, name: str) -> bool:
        """Claim a record. Return False if another process holds it."""
        path = self.folder / name
        if self._heart is None:
            self._begin()
        if not (self._create(path) or self._take_over(path)):
            return False
        self._held.add(path)
        return True

    def release(self, name: str) -> None:
        """Give up a claim of this process."""
        path = self.folder / name
        self._held.discard(path)
        if _owner(path) == self._name:  # another process may have taken it over while this one was suspended
            patiently(partial(path.unlink, missing_ok=True))

    def close(self) -> None:
        """Give up all claims."""
        self._closed.set()
        for path in list(self._held):
            self.release(path.name)
        self._own.unlink(missing_ok=True)

    def _begin(self) -> None:
        make_folder(self.folder)
        for killed in [path for path in self.folder.glob('.*') if has_ended(_owner(path))]:
            killed.unlink(missing_ok=True)
        self._own.write_text(self._name, encoding='utf-8')
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._heart.start()

    def _create(self, path: Path) -> bool:
        if self._linked:
            try:
                os.link(self._own, path)  # the file names its owner from the beginning, even if the process is killed
                return True
            except FileExistsError:
                return False
            except OSError:  # exFAT and many network drives have no links
                self._linked = False
        try:
            with path.open('x', encoding='utf-8') as file:
                file.write(self._name)
        except FileExistsError:
            return False
        return True

    def _take_over(self, path: Path) -> bool:
        """Replace an abandoned claim. Return False if the claim is not abandoned."""
        if not self._is_abandoned(path):
            return False
        with FileLock(self.folder / LOCK):
            if not self._is_abandoned(path):  # meanwhile another process took it over
                return False
            patiently(partial(path.unlink, missing_ok=True))
            return self._create(path)

    def _is_abandoned(self, path: Path) -> bool:
        """True if the process of a claim has ended, or has not touched the claim during the lease."""
        # The process number may belong to another process by now, but then nobody touches the claim.
        return path.exists() and (has_ended(_owner(path)) or self._untouched(path))

    def _untouched(self, path: Path) -> bool:
        try:
            return time.time() - path.stat().st_mtime > self.lease
        except OSError:
            return False

    def _beat(self) -> None:
        while not self._closed.wait(self.lease / 5):
            for path in [self._own] if self._linked else list(self._held):
                with suppress(OSError):  # released meanwhile
                    os.utime(path)


def _owner(path: Path) -> str:
    """Return the process that a claim names; empty if the claim is gone or was never completed."""
    try:
        return path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError):
        return ''
