"""Opening the page: a server on this machine alone, unless more is asked for."""

import atexit
import os
import shutil
import tempfile
import time
import webbrowser
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from vlfusion.app.limits import Limits
from vlfusion.app.models import Models
from vlfusion.errors import ConfigError, needs

if TYPE_CHECKING:
    import gradio

#: The address of this machine that no other one reaches.
LOOPBACK = '127.0.0.1'
ASSETS = Path(__file__).parent / 'assets'
#: Variables that keep Gradio from calling home, set before it is imported.
QUIET = {'GRADIO_ANALYTICS_ENABLED': 'False', 'GRADIO_SSR_MODE': 'False', 'HF_HUB_DISABLE_TELEMETRY': '1'}


@dataclass(frozen=True)
class Opened:
    """A page that is open.

    Attributes:
        page: the page.
        address: its address on this machine.
        public: its public address; empty if it has none.
    """

    page: 'gradio.Blocks'
    address: str
    public: str = ''

    def wait(self) -> None:
        """Wait until the page is closed. Ctrl-C raises KeyboardInterrupt, which `page.block_thread` would swallow."""
        while self.page.is_running:
            time.sleep(0.2)


@contextmanager
def open_page(model: str = '', *, port: int | None = None, share: bool = False, limits: Limits | None = None,
              host: str | None = LOOPBACK, browser: bool = False, store: str | os.PathLike | None = None,
              modules: Sequence[str] = (), **options: Any) -> Iterator[Opened]:
    """Serve the page inside the block. Uploads and results lie in a folder that is removed at the end.

        with open_page('film-guide-mif') as opened:
            opened.wait()

    Args:
        model: model that the page opens with; by default the first that is here.
        port: port of the page; by default the first free one from 7860 on.
        share: True to let everyone who knows a public address use the page, through a server of Gradio's.
        limits: largest uploads.
        host: address to listen on; None for that of `GRADIO_SERVER_NAME`, as on a Hugging Face Space.
        browser: True to open the page in a browser.
        store: text store to keep; by default descriptions of uploads are removed with them.
        modules: modules that were imported for the page, which lines to copy have to import too.
        options: options of every `Fuser`, such as `device`, `words` or `max_memory`.

    Raises:
        ConfigError: Gradio is not installed, the port is taken, or there is no model.
    """
    stop = Event()
    with (tempfile.TemporaryDirectory(prefix='vlfusion-app-', ignore_cleanup_errors=True) as place,
          _environment(_variables(Path(place).resolve()))):
        page = _build(model, Path(place).resolve(), limits, store, modules, options, stop)
        try:
            _, address, public = page.launch(
                server_name=host, server_port=port, share=share, prevent_thread_lock=True,
                **launch_options(limits or Limits()))
        except OSError as error:
            raise ConfigError(f'The page cannot be opened: {error}.', 'Choose another --port, or none.') from error
        if browser:
            webbrowser.open(address)
        try:
            yield Opened(page, address, public or '')
        finally:
            stop.set()
            page.close(verbose=False)


def make_page(model: str = '', *, limits: Limits | None = None,
              store: str | os.PathLike | None = None, modules: Sequence[str] = (), **options: Any) -> 'gradio.Blocks':
    """Build the page without opening it; its uploads and results are removed when Python ends.

    Gradio reads its folder and its privacy from environment variables when the page is launched, so these stay set.

    Args:
        model: model that the page opens with.
        limits, store, modules, options: as for `open_page`.

    Raises:
        ConfigError: Gradio is not installed, or there is no model.
    """
    folder = Path(tempfile.mkdtemp(prefix='vlfusion-app-')).resolve()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ.update(_variables(folder))
    return _build(model, folder, limits, store, modules, options, Event())


def _build(model: str, folder: Path, limits: Limits | None, store: str | os.PathLike | None, modules: Sequence[str],
           options: Mapping[str, Any], stop: Event) -> 'gradio.Blocks':
    """Build the page over a folder, whose old files are removed until `stop` is set."""
    with needs('The page', 'gradio', 'app'):
        from vlfusion.app.desk import Desk
        from vlfusion.app.page import build
    desk = Desk(Models(model, Path(store) if store else folder / 'text', options, modules), limits or Limits(), folder)
    Thread(target=desk.keep_swept, args=[stop], daemon=True).start()
    return build(desk)


def _variables(folder: Path) -> dict[str, str]:
    return QUIET | {'GRADIO_TEMP_DIR': str(folder / 'uploads')}


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables inside the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def launch_options(limits: Limits) -> dict[str, Any]:
    """Return the arguments of Gradio's `launch` that every server of the page needs."""
    from starlette.middleware import Middleware

    from vlfusion.app.page import theme
    from vlfusion.app.remote import RefuseAddresses
    script = (ASSETS / 'zoom.js').read_text(encoding='utf-8')
    return dict(theme=theme(), css_paths=ASSETS / 'app.css', head=f'<script>{script}</script>',
                max_file_size=limits.bytes, allowed_paths=[], footer_links=[], enable_monitoring=False, quiet=True,
                show_error=False, ssr_mode=False, pwa=False, mcp_server=False,
                app_kwargs={'middleware': [Middleware(RefuseAddresses)]})
