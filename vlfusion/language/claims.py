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
        self._owner = f'{socket.gethostname()} {os.getpid()}'
        self._closed = threading.Event()
        self._heart: threading.Thread | None = None

    def take(self, name: str) -> bool:
        """Claim a record. False where another process holds it."""
        path = self.folder / name
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._create(path):
            if not self._left_behind(path):
                return False
            aside = path.with_name(f'.{name}.{uuid.uuid4().hex}')
            try:
                path.rename(aside)  # of two processes that see it left behind one succeeds
            except FileNotFoundError:
                return False
            aside.unlink()
            if not self._create(path):
                return False
        self._held.add(path)
        if self._heart is None:
            self._heart = threading.Thread(target=self._beat, daemon=True)
            self._heart.start()
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

    def _create(self, path: Path) -> bool:
        draft = path.with_name(f'.{uuid.uuid4().hex}')
        draft.write_text(self._owner)
        try:
            os.link(draft, path)  # with its owner in it from the beginning: a kill must not leave a nameless claim
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        return True

    def _left_behind(self, path: Path) -> bool:
        try:
            host, _, pid = path.read_text().rpartition(' ')
            age = time.time() - path.stat().st_mtime
        except OSError:
            return False  # just given up: the next attempt will get it
        gone = host == socket.gethostname() and pid.isdigit() and not _alive(int(pid))
        return gone or age > self.lease  # a number may be another process by now, but then nobody touches the claim

    def _beat(self) -> None:
        while not self._closed.wait(self.lease / 5):
            for path in list(self._held):
                with suppress(OSError):  # given up meanwhile
                    os.utime(path)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
