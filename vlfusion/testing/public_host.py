"""A server on this machine that lays out files as raw.githubusercontent.com does, with the faults of real servers."""

import hashlib
import threading
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vlfusion.testing.servers import Answers, LocalServer
from vlfusion.zoo.remote import RemoteFile


class _Files(Answers):
    """Files, or the fault that is next for a path."""

    def do_GET(self) -> None:
        path, part, host = unquote(urlsplit(self.path).path), self.headers['Range'], self.owner
        with host._lock:
            host.requests.append((path, part))
            host.headers.append(dict(self.headers))
            fault = host.faults[path].pop(0) if host.faults.get(path) else None
        content = fault if isinstance(fault, bytes) else host.find(path)
        if isinstance(fault, int) or content is None:
            return self.answer(fault if isinstance(fault, int) else 404)
        if isinstance(fault, str) and fault not in ('cut', 'stall', 'whole'):
            return self.answer(302, Location=fault)
        begin = int(part.removeprefix('bytes=').partition('-')[0]) if part and fault != 'whole' else 0
        if begin and begin >= len(content):
            return self.answer(416)
        body = content[begin:]
        self.send_response(206 if begin else 200)
        self.send_header('Content-Length', str(len(body)))
        if begin:
            self.send_header('Content-Range', f'bytes {begin}-{len(content) - 1}/{len(content)}')
        self.end_headers()
        self._send(body[:len(body) // 2] if fault in ('cut', 'stall') else body)
        if fault == 'stall':
            host._ended.wait(30)
        self.close_connection = self.close_connection or fault in ('cut', 'stall')

    def _send(self, body: bytes) -> None:
        try:
            for start in range(0, len(body), 16384):
                piece = body[start:start + 16384]
                with self.owner._lock:  # before the client can have them
                    self.owner.sent += len(piece)
                self.wfile.write(piece)
                time.sleep(self.owner.delay)
        except ConnectionError:
            self.close_connection = True


class PublicHost(LocalServer):
    """Serve files at `/OWNER/NAME/COMMIT/PATH` until the block ends.

        with PublicHost() as host:
            file = host.add(b'weights', 'owner/name', 'model.pth')
            monkeypatch.setenv('VLFUSION_MIRROR', host.address)

    Args:
        folder: a folder whose files are served too, at their relative paths.

    Attributes:
        faults: what the next requests for a path get instead of the file, first one first: a status such as 500;
            `cut` for half of the bytes; `stall` for half of them and then silence; `whole` for all of them although a
            part was asked for; other text for a redirect; bytes for another content.
        requests: path and `Range` of each request.
        sent: bytes sent.
        delay: seconds of waiting after each 16 kB.
    """

    answers = _Files

    def __init__(self, folder: Path | None = None):
        self.folder, self.files = folder, {}
        self.faults: dict[str, list[int | str | bytes]] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.headers: list[dict[str, str]] = []
        self.sent, self.delay = 0, 0.
        self._lock, self._ended = threading.Lock(), threading.Event()

    def __exit__(self, *_) -> None:
        self._ended.set()
        super().__exit__()

    def add(self, content: bytes, repo: str = 'owner/name', path: str = 'model.pth', size: int | None = None,
            sha256: str = '') -> RemoteFile:
        """Serve a file, and return how it is pinned."""
        commit = hashlib.sha1(path.encode()).hexdigest()
        self.files[f'/{repo}/{commit}/{path}'] = content
        return RemoteFile(repo, commit, path, git_blob(content), size, sha256)

    def find(self, path: str) -> bytes | None:
        """Return the file at a path, or None."""
        if path not in self.files and self.folder and (self.folder / path[1:]).is_file():
            return (self.folder / path[1:]).read_bytes()
        return self.files.get(path)


def git_blob(content: bytes) -> str:
    """Return the git blob id of a content.

    >>> git_blob(b'hello\\n')
    'ce013625030ba8dba906f756967f9e9ca394464a'
    """
    return hashlib.sha1(b'blob %d\0' % len(content) + content).hexdigest()
