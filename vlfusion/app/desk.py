"""Common ground of the tabs: errors in the form of the page, folders of visitors, their settings, common components."""

import html
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from threading import Event
from typing import Any

import gradio as gr
import numpy as np

from vlfusion.app.batch import Step
from vlfusion.app.limits import Limits
from vlfusion.app.models import Models, Settings
from vlfusion.app.pair import LONGEST_TEXT
from vlfusion.console.notes import LOG
from vlfusion.errors import VLFusionError, one_line
from vlfusion.imaging.images import read_image
from vlfusion.imaging.registration.alignment import MOTIONS
from vlfusion.system.memory import out_of_memory

#: Seconds after which files that nobody has written to are removed, and seconds between two looks for them.
LIFETIME, SWEEP = 3600, 600
#: Options of events that work: one queue for all, so that visitors come one after the other.
WORK = dict(concurrency_id='work', concurrency_limit=1, api_visibility='private')
#: Options of events that are done at once.
QUICK = dict(api_visibility='private', show_progress='hidden')
#: Rules for pairs of different size, and their names on the page.
FITS = [('refuse', 'refuse'), ('resize the smaller one', 'resize'), ('crop both about the centre', 'crop')]
NO_MOVE = 'leave B where it is'


@dataclass(frozen=True)
class Header:
    """Components above the tabs: the model, and the modality of each source."""

    model: gr.Dropdown
    modality_a: gr.Dropdown
    modality_b: gr.Dropdown

    @property
    def all(self) -> list[gr.Dropdown]:
        """All of them, in the order that `settings` takes."""
        return [self.model, self.modality_a, self.modality_b]


@dataclass(frozen=True)
class Desk:
    """Models, limits and folder that all visitors share; it holds nothing of a visitor.

    Args:
        models: models of the page.
        limits: largest uploads.
        folder: folder below which uploads and results lie.
    """

    models: Models
    limits: Limits
    folder: Path

    def new_folder(self) -> Path:
        """Make an empty folder for one piece of work."""
        place = self.folder / 'work'
        place.mkdir(exist_ok=True)
        return Path(tempfile.mkdtemp(dir=place))

    def settings(self, *values: str | None) -> Settings:
        """Return the settings of a visitor from the values of components; what the model does not read is left out."""
        return self.models.readable(settings(*values))

    def sweep(self, age: float = LIFETIME) -> None:
        """Remove results, uploads and descriptions that are older than `age` in seconds; a kept text store stays."""
        oldest = time.time() - age
        with self.models.alone():  # no work is under way
            for place in (self.folder / 'work').glob('*'):
                if max(path.stat().st_mtime for path in (place, *place.rglob('*'))) < oldest:
                    shutil.rmtree(place, ignore_errors=True)
            for name in ('uploads', 'text'):
                for path in (self.folder / name).rglob('*'):
                    if path.is_file() and path.stat().st_mtime < oldest:
                        path.unlink(missing_ok=True)

    def keep_swept(self, stop: Event) -> None:
        """Sweep until `stop` is set or the folder is gone."""
        while not stop.wait(SWEEP) and self.folder.exists():
            try:
                self.sweep()
            except OSError as error:  # a file that vanished meanwhile; the next sweep takes the rest
                LOG.warning('The page could not remove old files: %s', type(error).__name__)

    @contextmanager
    def work(self, keep: bool = False) -> Iterator[Path]:
        """Yield an empty folder, and remove it at the end; with `keep` only after an error."""
        folder, done = self.new_folder(), False
        try:
            yield folder
            done = keep
        finally:
            if not done:
                shutil.rmtree(folder, ignore_errors=True)


def remove(result: object) -> None:
    """Remove the folder of a result that is not needed any more."""
    if folder := getattr(result, 'folder', None):
        shutil.rmtree(folder, ignore_errors=True)


def result_state() -> gr.State:
    """Return the place of a visitor's result, whose files are removed after `LIFETIME`."""
    return gr.State(None, time_to_live=LIFETIME, delete_callback=remove)


def with_messages(function: Callable) -> Callable:
    """Show errors of a callback as one message on the page, without a traceback."""
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except VLFusionError as error:
            raise message(error.problem, error.remedy) from error
        except gr.Error:
            raise
        except Exception as error:
            if out_of_memory(error):
                raise message('The memory of this machine is not enough.', 'Give smaller pictures.') from error
            LOG.error('The page failed: %s', _where(error))
            raise message('Something failed that the page did not expect.',
                          'Ask whoever runs the page: its terminal says where.') from None
    return call


def _where(error: BaseException) -> str:
    """Return the kind of an error and the lines that raised it; its text could name a visitor's files."""
    lines = [f'  {Path(frame.filename).name}:{frame.lineno} in {frame.name}'
             for frame in traceback.extract_tb(error.__traceback__)]
    return '\n'.join([type(error).__name__, *lines])


def message(problem: str, remedy: str) -> gr.Error:
    """Return an error in the form of the page."""
    text = html.escape(f'{problem}\n{remedy}'.strip()).replace('\n', '<br>')
    return gr.Error(text, duration=None, title='This cannot be done', print_exception=False)


def settings(model: str, modality_a: str | None, modality_b: str | None, fit: str | None, register: str | None,
             instruction: str | None) -> Settings:
    """Return the settings of a visitor from the values of components."""
    return Settings(model, modality_a or '', modality_b or '', fit or 'refuse',
                    '' if register == NO_MOVE else register or '', one_line(instruction or '')[:LONGEST_TEXT])


def both(upload_a: str | None, upload_b: str | None) -> list[Path]:
    """Return the paths of two uploads; a message on the page if one is missing."""
    if not (upload_a and upload_b):
        raise message('Two sources are needed, but there is one or none.', 'Drop both.')
    return [Path(upload_a), Path(upload_b)]


def in_rgb(path: Path) -> np.ndarray:
    """Read a picture for a component, red-green-blue."""
    picture = read_image(path)
    return picture[..., ::-1] if picture.ndim == 3 else picture


def plain(text: str) -> str:
    """Keep names of files from being Markdown or HTML."""
    escaped = html.escape(text, quote=False)
    for sign in '\\`*_[]#|~$':
        escaped = escaped.replace(sign, f'\\{sign}')
    return escaped.replace('\n', ' ')


def bullets(lines: Sequence[str]) -> str:
    """Return lines of plain text as a list in Markdown."""
    return '\n'.join(f'- {plain(line)}' for line in lines)


def steps(progress: gr.Progress) -> Step:
    """Return a function that shows progress on the page."""
    def step(name: str, done: int, total: int) -> None:
        progress((done, total), desc=name, unit='pieces')
    return step


def registration(**options: Any) -> gr.Dropdown:
    """Return the choice of a movement."""
    return gr.Dropdown([NO_MOVE, *MOTIONS], value=NO_MOVE, label='Registration', **options)


def sentence(label: str, **options: Any) -> gr.Textbox:
    """Return a box for an instruction or a paragraph. Enter in it is an event; it grows with its words."""
    return gr.Textbox(label=label, lines=1, max_lines=8, max_length=LONGEST_TEXT, **options)


def code(language: str, label: str, name: str) -> gr.Code:
    """Return a box of code to copy."""
    return gr.Code(language=language, label=label, lines=1, interactive=False, wrap_lines=True,
                   show_line_numbers=False, elem_id=name)
