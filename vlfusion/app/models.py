"""Models of the page: which there are, and one loaded `Fuser` for each, used by one visitor at a time."""

import logging
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from vlfusion.console.notes import LOG, new_run
from vlfusion.errors import ConfigError, did_you_mean
from vlfusion.imaging.tasks import TASKS, Task, get_task
from vlfusion.language.section import INSTRUCTION
from vlfusion.zoo.entries import ModelEntry, find_models
from vlfusion.zoo.names import entry_of, require_model
from vlfusion.zoo.places import is_here

if TYPE_CHECKING:
    from vlfusion.inference.fuser import Fuser

#: Loaded models that are kept.
KEPT = 2


@dataclass(frozen=True)
class Settings:
    """Choices of a visitor for a fusion.

    Attributes:
        model: name of the model, one of `Models.names`.
        modality_a, modality_b: modalities of the sources; empty for the task's.
        fit: rule for pairs of different size, see `vlfusion.imaging.fit`.
        register: movement by which source B is moved onto source A; empty to leave it.
        instruction: sentence for a model that reads instructions; empty for none.
    """

    model: str
    modality_a: str = ''
    modality_b: str = ''
    fit: str = 'refuse'
    register: str = ''
    instruction: str = ''


@dataclass
class Models:
    """Models that visitors may choose, loaded when they are used.

    These are the named models whose weights are here, so that no visitor starts a download, and the one that the page
    was opened with. Work on a model runs inside `use`, one visitor after the other: fit and registration are settings
    of the `Fuser`, notes and peak memory are those of the process.

    Args:
        first: model that the page opens with, in any form that a `Fuser` takes; by default the first by name.
        store: text store, which holds the descriptions of uploaded pictures.
        options: options of every `Fuser`, such as `device`, `words` or `max_memory`.
        modules: modules that were imported for the page, which lines to copy have to import too.
    """

    first: str = ''
    store: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    modules: Sequence[str] = ()

    def __post_init__(self):
        self.entries: dict[str, ModelEntry] = {name: entry for name, entry in find_models().items() if is_here(entry)}
        if self.first:
            require_model(self.first)
            if entry := entry_of(self.first):
                self.entries.setdefault(self.first, entry)
        self._place = self.first
        if self.first and self.first not in self.entries:
            self.first = name_of(self.first)  # visitors see no folder of this machine
            if self.first in self.entries:
                self.first += ' (checkpoint)'
        self.names = list(dict.fromkeys([*([self.first] if self.first else []), *self.entries]))
        if not self.names:
            raise ConfigError('No model is here.', 'Install `vlfusion-film-weights`, or give one: vlfusion app MODEL.')
        self.first = self.first or self.names[0]
        self._fusers: OrderedDict[str, Fuser] = OrderedDict()
        self._lock = RLock()

    def task(self, name: str) -> Task:
        """Return the task of a model; that of a checkpoint is known once it is loaded."""
        entry = self.entries.get(name)
        return get_task(entry.tasks[0]) if entry else self.fuser(name).task

    def tasks(self, name: str) -> tuple[str, ...]:
        """Return the names of the tasks that a model serves."""
        entry = self.entries.get(name)
        return entry.tasks if entry else (self.task(name).name,)

    def fuser(self, name: str) -> 'Fuser':
        """Return the loaded model of a name.

        Raises:
            ConfigError: the page does not offer it.
            VLFusionError: as for `Fuser`.
        """
        from vlfusion.inference.folders import open_fuser
        if name not in self.names:
            raise ConfigError(f'This page has no model {name!r}.', did_you_mean(name, self.names))
        with self._lock:
            if name not in self._fusers:
                while len(self._fusers) >= KEPT:
                    self._fusers.popitem(last=False)
                place = self._place if name == self.first and self._place else name
                fuser = open_fuser(place, offline=name != self.first, store=self.store, **self._options(name))
                if needed := [each for each, required in fuser.maps.items() if required]:
                    raise ConfigError(f'The model {name} needs the map {needed[0]!r}, which this page does not take.',
                                      'Choose another model.')
                self._fusers[name] = fuser
            self._fusers.move_to_end(name)
            return self._fusers[name]

    @property
    def shown_options(self) -> dict[str, Any]:
        """Options for lines that visitors copy, without folders of this machine."""
        return {name: name_of(value) if isinstance(value, str | os.PathLike) else value
                for name, value in self.options.items()}

    def _options(self, name: str) -> dict[str, Any]:
        """Return the options of a model; words are left out for a model that reads none."""
        options, entry = dict(self.options), self.entries.get(name)
        if entry and not (entry.method.text or entry.words):
            options.pop('words', None)
        return options

    @contextmanager
    def use(self, settings: Settings) -> Iterator['Fuser']:
        """Lend a model to one visitor, with the settings; others wait."""
        with self._lock:
            fuser = self.fuser(settings.model)
            before = fuser.fit, fuser.register
            fuser.fit, fuser.register = settings.fit, settings.register or None
            try:
                yield fuser
            finally:
                fuser.fit, fuser.register = before

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep all other work away."""
        with self._lock:
            yield

    def readable(self, settings: Settings) -> Settings:
        """Return settings without an instruction that the model does not read; its box is hidden on the page."""
        return settings if self.reads(settings.model)[1] else replace(settings, instruction='')

    def reads(self, name: str) -> tuple[bool, bool]:
        """Tell whether a model reads words about the images, and instructions."""
        texts = self.fuser(name).texts
        return bool(texts.about_images and texts.source), INSTRUCTION in texts.dims


@contextmanager
def overheard() -> Iterator[list[str]]:
    """Collect the notes of a run instead of logging them: they name a visitor's files, which no log should."""
    notes: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            notes.append(record.getMessage().removeprefix('note: '))

    new_run()
    before = LOG.handlers, LOG.propagate
    LOG.handlers, LOG.propagate = [Collect()], False
    try:
        yield notes
    finally:
        LOG.handlers, LOG.propagate = before


def modality_choices(task: Task, side: str) -> list[str]:
    """Return the words for the modality of source `a` or `b` of a task, the task's own first.

    >>> modality_choices(get_task('mif'), 'b')
    ['PET', 'CT', 'SPECT']
    """
    named = getattr(task, f'modality_{side}')
    words = named.replace(' or ', ', ').split(', ')
    return sorted(words, key='PET CT SPECT'.find) if len(words) > 1 else words


def name_of(model: str | os.PathLike) -> str:
    """Return the name of a model without the folders of its checkpoint."""
    text = str(model)
    return Path(text).name if any(sign in text for sign in {os.sep, '/'}) and '://' not in text else text


def titles(names: list[str], entries: Mapping[str, ModelEntry]) -> list[tuple[str, str]]:
    """Return a label and the name of each model, for a list to choose from."""
    def label(name: str) -> str:
        entry = entries.get(name)
        return f'{name} · {", ".join(TASKS[task].title for task in entry.tasks)}' if entry else name_of(name)
    return [(label(name), name) for name in names]
