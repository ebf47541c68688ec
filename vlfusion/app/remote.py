"""Addresses of other servers, which the page never fetches.

Gradio downloads a file for anyone who names its address: as the path of an upload, or behind `/file=`. Both are
refused.
"""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import gradio as gr
from starlette.responses import PlainTextResponse

_ADDRESS = re.compile(r'\s*[a-z][a-z0-9+.-]*://', re.IGNORECASE)
_PROBLEM = 'This page takes uploads, but got an address.'


def names_address(value: Any) -> bool:
    """Tell whether the input of a component holds a file by its address.

    >>> names_address([{'path': 'https://example.org/a.png', 'meta': {'_type': 'gradio.FileData'}}])
    True
    >>> names_address({'path': '/uploads/a.png', 'url': 'http://localhost/file=a.png'}), names_address('https://a.org')
    (False, False)
    """
    if isinstance(value, dict):
        path = value.get('path')
        return isinstance(path, str) and bool(_ADDRESS.match(path)) or any(map(names_address, value.values()))
    return isinstance(value, list | tuple) and any(map(names_address, value))


class LocalBlocks(gr.Blocks):
    """Blocks whose inputs are uploads, never addresses."""

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any) -> list[Any]:
        """Prepare the inputs of a callback; an address or a missing upload is an error."""
        if names_address(inputs):
            raise gr.Error(_PROBLEM, print_exception=False)
        try:
            return await super().preprocess_data(block_fn, inputs, *args, **kwargs)
        except FileNotFoundError as error:  # uploads are removed after a while
            raise gr.Error('A file is not on the server any more. Upload it again.', print_exception=False) from error


class RefuseAddresses:
    """Middleware that answers 403 where Gradio would fetch `/file=ADDRESS` and pass it on."""

    def __init__(self, app: Callable[..., Awaitable[None]]):
        self.app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Callable, send: Callable) -> None:
        """Pass a request on, or refuse it."""
        _, named, path = scope.get('path', '').partition('/file=')
        if scope['type'] == 'http' and named and _ADDRESS.match(path):
            await PlainTextResponse(_PROBLEM, 403)(scope, receive, send)
        else:
            await self.app(scope, receive, send)
