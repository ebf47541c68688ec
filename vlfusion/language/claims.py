"""Claims: which process works on which record, so that several fill one store without doing any record twice.

A claim is a file beside the records, made in one step and only where there is none. Its process touches it again and
again; a claim that nobody has touched for a while, or whose process on this machine is gone, may be taken over.
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

#: Held while a claim is taken over, so that of several processes that see it left behind one succeeds.
LOCK = '.lock'


class Claims:
    """The claims of one process.

    Args:
        folder: where all processes keep them; made at the first claim.
        lease: seconds after which an untouched claim of another machine counts as left behind.
    """

    def __init__(self, folder: Path, lease: float = 300.):
        self.folder, self.lease = folder, lease
        self._held: set[Path] = set()
        self._name = f'{this_process()} {uuid.uuid4().hex}'
        self._own = folder / f'.{self._name[-32:]}'
        self._linked = True  # a claim is a link to that file, quick to make and touch, where the file system has links
        self._closed = threading.Event()
        self._heart: threading.Thread | None = None

    def take(self, name: str) -> bool:
        """Claim a record. False where another process holds it."""
        path = self.folder / name
        if self._heart is None:
            self._begin()
        if not (self._create(path) or self._take_over(path)):
            return False
        self._held.add(path)
        return True

    def release(self, name: str) -> None:
        """Give up a claim of one's own."""
        path = self.folder / name
        self._held.discard(path)
        if _owner(path) == self._name:  # another process may have taken it over, while this one was suspended
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
                os.link(self._own, path)  # with its owner in it from the beginning, whatever kills the process
                return True
            except FileExistsError:
                return False
            except OSError:  # exFAT and many a network drive have no links
                self._linked = False
        try:
            with path.open('x', encoding='utf-8') as file:
                file.write(self._name)
        except FileExistsError:
            return False
        return True

    def _take_over(self, path: Path) -> bool:
        """Replace the claim of a process that is gone."""
        if not self._left_behind(path):
            return False
        with FileLock(self.folder / LOCK):
            if not self._left_behind(path):  # meanwhile another process took it over
                return False
            patiently(partial(path.unlink, missing_ok=True))
            return self._create(path)

    def _left_behind(self, path: Path) -> bool:
        """Tell whether nobody works on a claim: its process has ended, or is elsewhere and has long not touched it."""
        # The number may be another process by now, but then nobody touches the claim.
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
    """The process that a claim names; empty where it is gone, or its process was killed before it wrote its name."""
    try:
        return path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError):
        return ''
