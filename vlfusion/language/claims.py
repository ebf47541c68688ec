"""Claims: which process works on which record, so that several fill one store without doing any record twice.

A claim is a file beside the records, made in one step and only where there is none. Its process touches it again and
again; a claim that nobody has touched for a while, or whose process on this machine is gone, may be taken over.
"""

import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path


class Claims:
    """The claims of one process.

    Args:
        folder: where all processes keep them; made at the first claim.
        lease: seconds after which an untouched claim of another machine counts as left behind.
    """

    def __init__(self, folder: Path, lease: float = 300.):
        self.folder, self.lease = folder, lease
        self._held: set[Path] = set()
        self._own = folder / f'.{uuid.uuid4().hex}'  # every claim is a link to it: no file is made for each
        self._closed = threading.Event()
        self._heart: threading.Thread | None = None

    def take(self, name: str) -> bool:
        """Claim a record. False where another process holds it."""
        path = self.folder / name
        if self._heart is None:
            self._begin()
        if not self._create(path):
            if not self._left_behind(path):
                return False
            aside = path.with_name(f'.{name}.{uuid.uuid4().hex}')
            try:
                path.rename(aside)  # of two processes that see it left behind one succeeds
            except FileNotFoundError:
                return False
            if not self._left_behind(aside):  # meanwhile another process took it over, and this is its claim
                with suppress(OSError):
                    os.link(aside, path)
                aside.unlink(missing_ok=True)
                return False
            aside.unlink(missing_ok=True)
            if not self._create(path):
                return False
        self._held.add(path)
        return True

    def release(self, name: str) -> None:
        """Give up a claim of one's own."""
        path = self.folder / name
        self._held.discard(path)
        path.unlink(missing_ok=True)

    def close(self) -> None:
        """Give up all claims."""
        self._closed.set()
        for path in list(self._held):
            self.release(path.name)
        self._own.unlink(missing_ok=True)

    def _begin(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        # A container may have our host's name and processes that we cannot see; their hearts beat.
        for killed in [path for path in self.folder.glob('.*') if _gone(path) and self._untouched(path)]:
            killed.unlink(missing_ok=True)
        self._own.write_text(f'{socket.gethostname()} {os.getpid()}')
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._heart.start()

    def _create(self, path: Path) -> bool:
        try:
            os.link(self._own, path)  # with its owner in it from the beginning: a kill must not leave a nameless claim
        except FileExistsError:
            return False
        return True

    def _left_behind(self, path: Path) -> bool:
        """Whether nobody works on a claim: its process has ended, or is elsewhere and has not touched it for long. The
        number may be another process by now, but then nobody touches the claim."""
        return path.exists() and (_gone(path) or self._untouched(path))

    def _untouched(self, path: Path) -> bool:
        try:
            return time.time() - path.stat().st_mtime > self.lease
        except OSError:
            return False

    def _beat(self) -> None:
        while not self._closed.wait(self.lease / 5):
            with suppress(OSError):  # closed meanwhile
                os.utime(self._own)  # and with it every claim


def _gone(path: Path) -> bool:
    """Whether the process of this machine that a claim names has ended."""
    try:
        host, _, pid = path.read_text().rpartition(' ')
    except OSError:
        return False
    return host == socket.gethostname() and pid.isdigit() and not _alive(int(pid))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
