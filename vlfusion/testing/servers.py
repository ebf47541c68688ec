"""HTTP servers on this machine, which stand for public ones in tests."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar


class Answers(BaseHTTPRequestHandler):
    """Answers to requests. A subclass has a method for each verb, such as `do_GET`.

    Attributes:
        owner: the `LocalServer`.
    """

    owner: Any
    protocol_version = 'HTTP/1.1'

    def answer(self, status: int, body: bytes = b'', **headers: str) -> None:
        """Send a whole answer; `Content_Type='text/plain'` sends the header Content-Type."""
        self.send_response(status)
        for name, value in {**headers, 'Content-Length': str(len(body))}.items():
            self.send_header(name.replace('_', '-'), value)
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


class LocalServer:
    """Serve at `address` until the block ends, each request in a thread.

    Attributes:
        answers: class of the answers.
        address: address of the server, at a port that the system chose.
    """

    answers: ClassVar[type[Answers]] = Answers

    def __enter__(self) -> 'LocalServer':
        self._server = ThreadingHTTPServer(('127.0.0.1', 0), type('Handler', (self.answers,), {'owner': self}))
        self.address = f'http://127.0.0.1:{self._server.server_port}'
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()
