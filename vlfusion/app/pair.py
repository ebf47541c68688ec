"""Work on a pair: look at it, read its words, fuse it, compare, score."""

import html
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Shaped

from vlfusion.app.equal import WORDS_FILE, command, python
from vlfusion.app.limits import Limits, check_picture
from vlfusion.app.models import Models, Settings, overheard
from vlfusion.app.pictures import Changes, compare, compare_colours, write_shown
from vlfusion.data.pairs import Pair
from vlfusion.data.suspicion import note_suspicion
from vlfusion.errors import DataError, VLFusionError, one_line
from vlfusion.files import file_digest, size_in_words, write_array, write_json
from vlfusion.imaging.fit import fit_pair
from vlfusion.imaging.images import luminance, read_image, write_image
from vlfusion.imaging.registration.alignment import Alignment, align, move

if TYPE_CHECKING:
    from vlfusion.imaging.picture import Fused
    from vlfusion.inference.fuser import Fuser

#: Longest instruction and paragraph, in characters.
LONGEST_TEXT = 4000


class Refused(VLFusionError, ValueError):
    """A problem that the page shows; it names a visitor's files without the folders of this machine."""


@contextmanager
def without_folders(folder: Path) -> Iterator[None]:
    """Take the folder of the uploads out of an error."""
    try:
        yield
    except VLFusionError as error:
        raise Refused(without(error.problem, folder), without(for_visitors(error.remedy), folder)) from error


def without(text: str, folder: Path) -> str:
    """Take the folder of the uploads out of a text; names below it have forward slashes.

    >>> without('/srv/1/A/mri.png does not fit; see /srv/1.', Path('/srv/1'))
    'A/mri.png does not fit; see the upload.'
    """
    for place in {str(folder), folder.as_posix()}:
        text = re.sub(re.escape(place) + r'[\\/]([AB])[\\/]', r'\1/', text)
        text = text.replace(f'{place}{os.sep}', '').replace(f'{place}/', '').replace(place, 'the upload')
    return text


#: Advice on the page in place of advice that names an option of the command line.
_ADVICE = {'--fit': 'Choose on the page whether to resize or crop.',
           '--register': 'Choose another registration on the page, or none.',
           '--instruction': 'Change the instruction.', '--max-memory': 'Give smaller pictures.'}


def for_visitors(remedy: str) -> str:
    """Replace advice that only the person who runs the page can follow.

    >>> for_visitors('Give --fit resize.'), for_visitors("pip install 'vlfusion[medical]'")
    ('Choose on the page whether to resize or crop.', "Ask whoever runs the page: pip install 'vlfusion[medical]'")
    """
    if 'whoever runs the page' in remedy:
        return remedy
    for option, advice in _ADVICE.items():
        if option in remedy:
            return advice
    of_the_owner = re.search(r'pip install|--\w|language\.\w|CONFIG', remedy)
    return f'Ask whoever runs the page: {remedy}' if of_the_owner else remedy


@dataclass(frozen=True)
class Look:
    """Facts about a pair before it is fused.

    Attributes:
        shown: copies of source A and source B for the page.
        sizes: height and width of each.
        lines: sizes, registration and suspicions, each a line of text.
        fits: whether the pair can be fused as it is.
    """

    shown: tuple[Path, Path]
    sizes: tuple[tuple[int, int], tuple[int, int]]
    lines: list[str]
    fits: bool


def take(uploads: Sequence[Path], folder: Path, limits: Limits) -> tuple[Path, Path]:
    """Copy an uploaded pair into a folder, each file under its name; errors as for `check_picture`."""
    places = []
    for upload, side in zip(uploads, 'AB', strict=True):
        place = folder / side / upload.name
        place.parent.mkdir(parents=True, exist_ok=True)
        copy_upload(upload, place)
        places.append(place)
    with without_folders(folder):
        for place in places:
            check_picture(place, limits)
    return tuple(places)


def copy_upload(upload: Path, place: Path) -> None:
    """Copy an upload; raises Refused if it has been removed meanwhile."""
    try:
        shutil.copyfile(upload, place)
    except FileNotFoundError as error:
        raise Refused(f'{upload.name} is not on the server any more.', 'Upload it again.') from error


def look(models: Models, settings: Settings, uploads: Sequence[Path], folder: Path, limits: Limits) -> Look:
    """Look at a pair: whether sizes and registration fit, and whether something looks like a mistake.

    Args:
        models: models of the page.
        settings: settings of the visitor; `fit` applies before the registration is measured.
        uploads: source A and source B.
        folder: empty folder for copies.
        limits: limits of the page.

    Raises:
        Refused: a file is broken or larger than the limits.
    """
    paths = take(uploads, folder, limits)
    with models.alone(), overheard() as notes, without_folders(folder):
        images = [read_image(path, for_output=True) for path in paths]
        shown = tuple(write_shown(folder / f'shown_{side}.png', image)
                      for side, image in zip('ab', images, strict=True))
        sizes = tuple(image.shape[:2] for image in images)
        lines, fits = _about_sizes(sizes, settings), True
        try:
            image_a, image_b = fit_pair(*images, settings.fit, paths)
        except DataError:
            fits = False
        else:
            note_suspicion(*paths, image_a, image_b, models.task(settings.model))
            lines.append(_about_registration(image_a, image_b, settings))
    return Look(shown, sizes, [*lines, *(without(note, folder) for note in notes)], fits)


def _about_sizes(sizes: Sequence[tuple[int, int]], settings: Settings) -> list[str]:
    (height_a, width_a), (height_b, width_b) = sizes
    if (height_a, width_a) == (height_b, width_b):
        return [f'Sizes fit: both are {width_a} × {height_a} pixels.']
    differ = f'Sizes differ: A is {width_a} × {height_a}, B is {width_b} × {height_b} pixels.'
    return [f'{differ} Choose below whether to resize or crop.' if settings.fit == 'refuse' else differ]


def _about_registration(image_a: Shaped[np.ndarray, 'h w ...'], image_b: Shaped[np.ndarray, 'h w ...'],
                        settings: Settings) -> str:
    try:
        alignment = align(image_a, image_b, settings.register or 'rigid')
    except VLFusionError as error:
        return f'Registration was not measured: {error.problem} {error.remedy}'
    return in_words(alignment)


def in_words(alignment: Alignment) -> str:
    """Say in one line whether a pair is registered."""
    match alignment.verdict:
        case 'aligned':
            return f'Registered: the two lie {alignment.offset:.1f} pixels apart ({alignment.confidence} confidence).'
        case 'misaligned':
            return (f'Misaligned by {alignment.offset:.1f} pixels ({alignment.confidence} confidence). Below, B can be '
                    'moved onto A.')
    return f'Registration is not certain: {alignment.evidence}. Compare the two by eye.'


def read_words(models: Models, settings: Settings, uploads: Sequence[Path], folder: Path,
               limits: Limits) -> list[str]:
    """Return the words that captioners and LLM make about a pair: on source A and B, or on the pair; empty if none."""
    paths = take(uploads, folder, limits)
    with models.use(settings) as fuser, overheard(), without_folders(folder):
        return _described(fuser, _pair(paths, settings, fuser))


def _pair(paths: Sequence[Path], settings: Settings, fuser: 'Fuser') -> Pair:
    return Pair(paths[0].stem, *paths, settings.modality_a or fuser.texts.modality_a,
                settings.modality_b or fuser.texts.modality_b)


def _described(fuser: 'Fuser', pair: Pair) -> list[str]:
    if not fuser.texts.about_images or not fuser.texts.source:
        return []
    fuser.describe([pair])
    return fuser.texts.descriptions(pair)


def _words(fuser: 'Fuser', pair: Pair, words: Sequence[str | None]) -> tuple[list[str], bool]:
    """Return the words that a model is to read, and whether any of them are not those of captioner and LLM."""
    if not fuser.texts.about_images or not fuser.texts.source:
        return [], False
    try:  # words that were written for all need no captioner
        described = [] if None in words or not words else fuser.texts.descriptions(pair)
    except VLFusionError:
        return [one_line(paragraph)[:LONGEST_TEXT] for paragraph in words], True
    described = described or _described(fuser, pair)
    read = [own if given is None else one_line(given)[:LONGEST_TEXT]
            for given, own in zip_longest(words[:len(described)], described)]
    if any(map(one_line, filter(None, words[len(described):]))):
        raise DataError(f'The model reads {len(described)} paragraph{"s" * (len(described) > 1)} on a pair, but got '
                        f'{len(words)}.', 'Write all words into the first box.' if len(described) == 1 else
                        f'Write {len(described)} paragraphs.')
    return (read, True) if [*map(one_line, read)] != [*map(one_line, described)] else (described, False)


@dataclass(frozen=True)
class Result:
    """A fused pair in a folder of its own.

    Attributes:
        folder: folder of all files.
        settings: settings it was fused with.
        words: words that the model read, on A and B, or on the pair.
        edited: whether the visitor edited them.
        seconds: time of describing, and of fusing with reading and writing.
        memory: peak memory of fusing in bytes, beyond what was held before; None if the system does not report it.
        parameters: number of the model's parameters.
        notes: notes of the run.
        record: facts by which the result can be made again; no name of a file.
        command, python: the same as a command line and as lines of Python; the command is empty if there is none.
    """

    folder: Path
    settings: Settings
    words: list[str]
    edited: bool
    seconds: tuple[float, float]
    memory: int | None
    parameters: int
    notes: list[str]
    record: dict[str, Any]
    command: str
    python: str

    @property
    def a(self) -> Path:
        """Source A as it was fused."""
        return self.folder / 'a.png'

    @property
    def b(self) -> Path:
        """Source B as it was fused: of A's size, and perhaps moved onto A."""
        return self.folder / 'b.png'

    @property
    def fused(self) -> Path:
        """The fused picture, which visitors download."""
        return self.folder / 'fused.png'

    @property
    def grey(self) -> Path:
        """Its luminance."""
        return self.folder / 'grey.png'

    @property
    def downloads(self) -> list[Path]:
        """The picture, the record and, if words were edited, their features."""
        features = self.folder / WORDS_FILE
        return [self.fused, self.folder / 'fused.json', *([features] if features.exists() else [])]

    @property
    def costs(self) -> str:
        """Costs in words."""
        describing, fusing = self.seconds
        read = f', {describing:.1f} s to make or find the words' if self.words else ''
        memory = '' if self.memory is None else f', {size_in_words(self.memory)} of memory at the peak'
        return f'{fusing:.2f} s to fuse{memory}{read}; {self.parameters:,} parameters, on {self.record["device"]}'


def fuse(models: Models, settings: Settings, uploads: Sequence[Path], folder: Path, limits: Limits,
         words: Sequence[str | None] = ()) -> Result:
    """Fuse a pair.

    Args:
        models: models of the page.
        settings: settings of the visitor.
        uploads: source A and source B.
        folder: empty folder for the result.
        limits: limits of the page.
        words: words on A and B, or on the pair, in place of the descriptions. None, the default, stands for the
            description; an empty text is a text too.

    Raises:
        Refused: the pair cannot be fused; the message says why and what to do.
    """
    from vlfusion.system.footprint import peak
    settings = replace(settings, instruction=one_line(settings.instruction)[:LONGEST_TEXT])
    paths = take(uploads, folder, limits)
    with models.use(settings) as fuser, overheard() as notes, without_folders(folder):
        pair, began = _pair(paths, settings, fuser), time.perf_counter()
        read, edited = _words(fuser, pair, words)
        text = fuser.encode_words(read) if edited else None
        ready, watch = time.perf_counter(), peak(fuser.network.device)
        [fused] = fuser.fuse_many([pair], (lambda _: text) if edited else None,
                                  instruction=settings.instruction or None)
        seconds, memory = (ready - began, time.perf_counter() - ready), watch.bytes()
        _write_pictures(folder, paths, fused, settings)
        if has_file := edited and len(text) == 1:
            write_array(folder / WORDS_FILE, next(iter(text.values())))
        parameters = sum(weights.numel() for weights in fuser.model.parameters())
        record = _record(fuser, settings, pair, fused) | {
            'words': read, 'words_edited': edited, 'seconds': {'describing': seconds[0], 'fusing': seconds[1]},
            'peak_bytes': memory, 'parameters': parameters, 'fused': {'sha256': file_digest(folder / 'fused.png')}}
        write_json(folder / 'fused.json', record)
        lasting = list(dict.fromkeys(without(note, folder) for note in notes))
        same = brief(settings, fuser), names_of(uploads, 'fused.png'), 'fused.png', models.shown_options
    return Result(
        folder, settings, words=read, edited=edited, seconds=seconds, memory=memory, parameters=parameters,
        notes=lasting, record=record, command=command(*same, edited, models.modules) if has_file or not edited else '',
        python=python(*same, read if edited else (), models.modules))


def _write_pictures(folder: Path, paths: Sequence[Path], fused: 'Fused', settings: Settings) -> None:
    """Write the result, and both sources as they were fused."""
    fused.save(folder / 'fused.png')
    fused.save(folder / 'grey.png', grey=True)
    image_a, image_b = fit_pair(*map(read_image, paths), settings.fit, paths)
    if fused.alignment and fused.alignment.verdict == 'misaligned':
        image_b = move(image_b, fused.alignment)
    write_image(folder / 'a.png', image_a)
    write_image(folder / 'b.png', image_b)


def brief(settings: Settings, fuser: 'Fuser') -> Settings:
    """Return the settings without the modalities that are the task's own."""
    task = fuser.task
    return replace(settings, modality_a='' if settings.modality_a == task.modality_a else settings.modality_a,
                   modality_b='' if settings.modality_b == task.modality_b else settings.modality_b)


def names_of(uploads: Sequence[Path], *results: str) -> list[str]:
    """Return the names of the uploads; in folders A and B if both have one name, or one has the name of a result.

    >>> names_of([Path('mri.png'), Path('fused.png')], 'fused.png')
    ['A/mri.png', 'B/fused.png']
    """
    names = [upload.name for upload in uploads]
    clash = len({*names, *results}) < len(names) + len(results)
    return [f'{side}/{name}' for side, name in zip('AB', names, strict=True)] if clash else names


def _record(fuser: 'Fuser', settings: Settings, pair: Pair, fused: 'Fused') -> dict[str, Any]:
    """Return how a pair was fused; without names of files."""
    sources = {f'source_{side}': {'sha256': file_digest(path), 'modality': modality} for side, path, modality in (
        ('a', pair.path_a, pair.modality_a), ('b', pair.path_b, pair.modality_b))}
    return facts(fuser, settings) | sources | {'alignment': str(fused.alignment) if fused.alignment else None}


def facts(fuser: 'Fuser', settings: Settings) -> dict[str, Any]:
    """Return the facts of every record: version, model, and how it was told to fuse."""
    from vlfusion import __version__
    return {'vlfusion': __version__, 'model': Path(fuser.checkpoint).name, 'origin': fuser.origin,
            'task': fuser.task.name, 'protocol': fuser.protocol.name, 'chroma': fuser.chroma, 'fit': settings.fit,
            'register': settings.register or None, 'instruction': settings.instruction or None,
            'device': fuser.device}


def difference(result: Result, source: str, gain: float) -> tuple[str, Path]:
    """Return the difference between the fused luminance and source `a` or `b`, in words and as a map."""
    path = result.a if source == 'a' else result.b
    return _compared(result, luminance_levels(path), f'difference_{source}', gain,
                     f'Fused picture and source {source.upper()}')


@dataclass(frozen=True)
class Change:
    """Change between two results of one pair.

    Attributes:
        luminance: change of the luminance, in grey levels.
        colour: change of the chroma, in levels of Cb or Cr; None if both pictures are grey.
        same: whether the two fused pictures are the same to the last bit.
        maps: maps of the changes by title.
    """

    luminance: Changes
    colour: Changes | None
    same: bool
    maps: dict[str, Path]

    def __str__(self) -> str:
        """The change in words."""
        if self.same:
            return 'not one pixel differs'
        return f'in luminance, {self.luminance}' + (f'; in colour, {self.colour}' if self.colour else '')


def change(result: Result, other: Result, gain: float = 8.) -> Change:
    """Compare two results of one pair in luminance and in colour, and draw a map of each."""
    luminance, drawn = compare(read_image(other.grey), read_image(result.grey), gain)
    maps = {f'change of luminance × {gain:g}: orange is brighter, blue is darker':
            write_shown(other.folder / 'change.png', drawn)}
    pictures, colour = [read_image(each.fused) for each in (other, result)], None
    if any(picture.ndim == 3 for picture in pictures):
        colour, drawn = compare_colours(*pictures, gain)
        maps[f'change of colour × {gain:g}'] = write_shown(other.folder / 'change_of_colour.png', drawn)
    return Change(luminance, colour, np.array_equal(*pictures), maps)


def has_sources(result: Result, uploads: Sequence[Path]) -> bool:
    """Tell whether a result was fused from these uploads."""
    try:
        return all(file_digest(upload) == result.record[f'source_{side}']['sha256']
                   for side, upload in zip('ab', uploads, strict=True))
    except OSError:
        return False


def luminance_levels(path: Path) -> Shaped[np.ndarray, 'h w']:
    """Return the 8-bit luminance of a picture."""
    return np.round(luminance(read_image(path)) * 255).astype(np.uint8)


def _compared(result: Result, other: Shaped[np.ndarray, 'h w'], name: str, gain: float, what: str) -> tuple[str, Path]:
    changes, drawn = compare(read_image(result.grey), other, gain)
    return (f'{what}: {changes}. Orange: the fused picture is brighter. Blue: it is darker.',
            write_shown(result.folder / f'{name}.png', drawn))


@dataclass(frozen=True)
class Scores:
    """Scores of a fused pair and of its controls.

    Attributes:
        protocol: label of the protocol.
        arrows: an arrow for each metric: up if higher is better, down if lower is.
        rows: scores by metric, by the name of the row: `fused`, then the controls.
    """

    protocol: str
    arrows: dict[str, str]
    rows: dict[str, dict[str, float | None]]

    @property
    def table(self) -> str:
        """The scores as an HTML table."""
        head = ''.join(f'<th scope="col">{html.escape(metric)} {arrow}</th>' for metric, arrow in self.arrows.items())
        body = ''.join(f'<tr><th scope="row">{html.escape(name)}</th>'
                       + ''.join(f'<td>{_number(row[metric])}</td>' for metric in self.arrows) + '</tr>'
                       for name, row in self.rows.items())
        table = f'<table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table>'
        return (f'<div class="vl-table">{table}</div><p class="vl-hint">Protocol {html.escape(self.protocol)}. '
                'Controls are no fusions: where one of them is ahead, the metric rewards something else.</p>')


def _number(value: float | None) -> str:
    return 'n/a' if value is None or not np.isfinite(value) else f'{value:.4g}'


def score(models: Models, result: Result, protocol: str, metrics: Sequence[str] | None = None) -> Scores:
    """Score the fused picture as `vlfusion evaluate --controls` does, under a protocol.

    Raises:
        Refused: a named metric does not support the picture.
    """
    import torch

    from vlfusion.evaluation.folder import Scorer, chosen_columns
    from vlfusion.imaging.protocol import get_protocol
    from vlfusion.metrics.columns import metric_of
    rules = get_protocol(protocol)
    columns, optional = chosen_columns(metrics, None, rules, truth=False)
    with models.alone(), overheard(), without_folders(result.folder):
        scored = Scorer(columns, rules, True, torch.device('cpu'), optional)(
            ('pair', (result.fused, result.a, result.b)))
        if isinstance(scored, list):
            raise DataError(f'The picture cannot be scored: {" ".join(scored)}', 'Choose other metrics.')
    arrows = {'higher': '↑', 'lower': '↓'}
    directions = {column: arrows.get(metric_of(column, rules.code).info.direction, '') for column in columns}
    return Scores(rules.label, directions,
                  {'fused': _values(scored.row, columns),
                   **{f'control: {row["control"]}': _values(row, columns) for row in scored.controls}})


def _values(row: dict[str, Any], columns: Sequence[str]) -> dict[str, float | None]:
    return {column: row[column] for column in columns}


def presets(modality_a: str, modality_b: str) -> list[str]:
    """Return instructions to choose from, with the modalities of the sources.

    >>> presets('MRI', 'PET')[0]
    'Show the PET more strongly.'
    """
    a, b = (re.sub(r'^(over|under|near|far)-(exposed|focused)$', r'\1-\2 image', name)
            for name in (modality_a, modality_b))
    return [f'Show the {b} more strongly.', f'Show the {a} more strongly on the left.',
            f'Show the {b} much more strongly in the centre.', 'Keep both sources equally visible.',
            'Make the picture brighter.', 'Make the picture much darker at the bottom.', 'Raise the contrast.',
            'Show more detail.', 'Make the colours stronger.']
