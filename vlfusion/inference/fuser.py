"""Fusing images outside of a data set: two files, two images in memory, or two folders, with a checkpoint.

    from vlfusion import Fuser
    fuser = Fuser('work_dirs/film_med/best.pth')
    fuser('mri.png', 'pet.png').save('fused.png')
    fuser(mri, pet).rgb  # arrays, PIL images or tensors
"""

import copy
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from mmengine.logging import print_log
from torch import Tensor, nn

from vlfusion.config import load_config
from vlfusion.console.notes import new_run
from vlfusion.data.pairs import Pair
from vlfusion.data.suspicion import note_suspicion
from vlfusion.data.text import pad, require_finite, text_configs, text_sources
from vlfusion.engine.checkpoints import load_model
from vlfusion.errors import ConfigError, DataError, VLFusionError, did_you_mean
from vlfusion.imaging.arrays import AnyImage, as_image
from vlfusion.imaging.images import add_chroma, luminance, read_image, write_image
from vlfusion.imaging.protocol import get_protocol
from vlfusion.imaging.reading.image import too_large
from vlfusion.imaging.tasks import get_task
from vlfusion.inference.tiling import MODES, Progress, fuse_any_size, out_of_memory
from vlfusion.language.fixed import encode_fixed
from vlfusion.models import locality, text_dims
from vlfusion.system.devices import device_of
from vlfusion.system.footprint import available, footprint

if TYPE_CHECKING:
    from vlfusion.language.pipeline import DescriptionPipeline, Report

#: More bytes per pixel than any network here takes: where that much is free, nothing needs to be estimated.
_PLENTY = 12 * 1024
#: Share of the free memory that a network may take; other programs need some too.
_SHARE = 0.8
#: Threads that read ahead of the network, and that write behind it.
_READERS = _WRITERS = 2
PRECISIONS = ('float32', 'bfloat16')

Text = np.ndarray | Mapping[str, np.ndarray] | None


@dataclass(frozen=True)
class Fused:
    """One fused pair: 8-bit luminance `grey` `(h, w)`, and `colour` `(h, w, 3)` blue-green-red, or grey again where
    neither source has any colour."""

    name: str
    grey: UInt8[np.ndarray, 'h w']
    colour: UInt8[np.ndarray, 'h w *bgr']

    @property
    def rgb(self) -> UInt8[np.ndarray, 'h w *rgb']:
        """The colour image in red-green-blue, as PIL and matplotlib have it."""
        return self.colour[..., ::-1] if self.colour.ndim == 3 else self.colour

    def __array__(self, dtype=None, copy: bool | None = None) -> np.ndarray:
        """NumPy's view of it is `rgb`."""
        return np.array(self.rgb, dtype, copy=copy)

    def save(self, path: str | os.PathLike, grey: bool = False) -> None:
        """Write the colour image, or the grey one, in the format of the path's ending."""
        write_image(path, self.grey if grey else self.colour)


@dataclass(frozen=True)
class _Loaded:
    """A pair in memory: the images as they were read, and what the network reads."""

    pair: Pair
    image_a: Shaped[np.ndarray, 'h w ...']
    image_b: Shaped[np.ndarray, 'h w ...']
    sources: dict[str, Float[Tensor, '1 1 h w']]
    texts: dict[str, Float[np.ndarray, 'token dim']]


class _Flight:
    """A pair on its way through `Fuser.fuse_many`: first it is loaded, then there is a result, or an error, to come."""

    def __init__(self, pair: Pair, loading: Future):
        self.pair, self.loading, self.result = pair, loading, None

    def finish(self, result: Future) -> None:
        self.loading, self.result = None, result

    def fail(self, error: Exception) -> None:
        self.finish(Future())
        self.result.set_exception(error)

    def outcome(self) -> Fused:
        """The result, which is waited for; what went wrong is raised with the name of the pair."""
        try:
            return self.result.result()
        except VLFusionError as error:
            raise _named(error, self.pair) from error
        except Exception as error:
            error.add_note(f'while fusing {self.pair.name}')
            raise


class Fuser:
    """A trained model, ready to fuse images of any size.

    A model that reads text describes new images itself, with the captioners, LLM and text encoder it was trained with,
    into its text store; features that exist already can be given instead.

    Args:
        checkpoint: as training or `convert-weights` writes it; or a config whose model has no weights.
        task: decides which source gives colour; by default the checkpoint's own.
        modality_a, modality_b: what the captioner is told that the sources are; by default the task's words. Say `PET`
            if the training data did, for other words give another text.
        protocol: how outputs become grey levels; by default the checkpoint's own.
        store: folder of the text store, in place of the checkpoint's or config's own.
        words: how images are described, in place of the checkpoint's own: a config file, or its `language` section.
            What a checkpoint itself says counts only if it needs nothing from outside, see `vlfusion.engine.trust`.
        trust: whether to take the checkpoint at its word, wherever it sends images and keys and whatever it fetches.
        device: by default CUDA where there is one.
        tiles: `whole` fuses an image at once; `exact` in tiles that make no difference, which takes a local backbone;
            `blend` in windows that fade into each other, which approximates; `auto` takes the first of them that can be
            and fits into memory.
        tile_size: most rows and columns that are fused at once; by default what memory allows.
        max_memory: bytes that the network may take; by default four fifths of what is free.
        batch_size: how many pairs of one size `fuse_many` fuses at once; by default 1 on the CPU, 8 elsewhere.
        precision: `float32`, or `bfloat16` for the network under autocast.
        note: told that an image is approximated, or that memory ran out; by default it is logged.

    Attributes:
        origin: what the model was trained on, for how long, and for which task, in words.

    Raises:
        ConfigError: an option has no such value; what `vlfusion.engine.checkpoints.load_model` raises.
    """

    def __init__(self, checkpoint: str | os.PathLike, task: str | None = None, protocol: str | None = None,
                 store: str | os.PathLike | None = None, device: str | None = None,
                 modality_a: str | None = None, modality_b: str | None = None, tiles: str = 'auto',
                 tile_size: int | None = None, max_memory: int | None = None, batch_size: int | None = None,
                 precision: str = 'float32', note: Callable[[str], None] | None = None,
                 words: str | os.PathLike | Mapping | None = None, trust: bool = False):
        for what, value, known in (('way to tile', tiles, MODES), ('precision', precision, PRECISIONS)):
            if value not in known:
                raise ConfigError(f'Unknown {what} {value!r}.', did_you_mean(value, known))
        self.device = str(device_of(device))
        self.tiles, self.tile_size, self.max_memory, self.precision = tiles, tile_size, max_memory, precision
        self.batch_size = batch_size or (1 if torch.device(self.device).type == 'cpu' else 8)
        self.note = note or (lambda text: print_log(text, logger='current', level=logging.WARNING))
        self._describing, self._footprint = Lock(), None
        model, experiment = load_model(checkpoint, trust=trust)
        self.model = model.to(self.device)
        self.task = get_task(task or experiment['task'])
        self.origin = experiment.get('origin') or f'{type(self.model.backbone).__name__}, which has no weights'
        if self.task.name != experiment['task'] and 'origin' in experiment:
            self.note(f'The model was trained for {experiment["task"]}, but is used for {self.task.name}.')
        self.protocol = get_protocol(protocol or experiment.get('protocol', 'film'))
        self.modality_a = modality_a or self.task.modality_a
        self.modality_b = modality_b or self.task.modality_b
        self.language, self._language_error = experiment.get('language'), experiment.get('language_error')
        self._readable = experiment.get('readable_language')
        if words is not None:
            self.language = dict(words if isinstance(words, Mapping) else _language_of(words))
        if store:
            self.language, self._readable = (section and {**section, 'store': str(store)}
                                             for section in (self.language, self._readable))
        self.text_dims = text_dims(self.model.backbone)
        self.text_source = {name: _for_new_images(experiment.get('text_source'), name) for name in self.text_dims}

    def __call__(self, source_a: AnyImage, source_b: AnyImage, text: Text = None,
                 progress: Progress | None = None) -> Fused:
        """Fuse two images of one height and width.

        Args:
            source_a: source A of the task (infrared, MRI, over-exposed, near-focused): a file, or an image in memory as
                `vlfusion.imaging.arrays.as_image` takes it: a PIL image, a NumPy array `(h, w)` or `(h, w, 3)` in
                red-green-blue, or a tensor `(h, w)`, `(1, h, w)` or `(3, h, w)`; uint8, uint16 or floats in [0, 1].
            source_b: source B likewise.
            text: token features `(token, dim)` of the pair's description, or a dict of them where the model reads
                several texts; made from the images where they are needed and not given.
            progress: called while a large image is fused, with what is done and what is to do.

        Raises:
            DataError: an image cannot be read, the two differ in size, or the text has another width than the model's.
            ConfigError: the model reads text, none was given, and the checkpoint does not say how to describe images;
                or exact tiles are wanted of a model that is not local.
            VLFusionError: there is not even memory for a small tile.
        """
        sources, names = (source_a, source_b), ('source_a', 'source_b')
        is_file = [isinstance(source, str | os.PathLike) for source in sources]
        images = [read_image(source, for_output=True) if file else as_image(source, name)
                  for source, name, file in zip(sources, names, is_file, strict=True)]
        given = self._given(text)
        with TemporaryDirectory(prefix='vlfusion-') as folder:
            paths = [Path(source) if file else Path(folder, f'{name}.png')
                     for source, name, file in zip(sources, names, is_file, strict=True)]
            self._compare(images, [path if file else Path(name)
                                   for path, name, file in zip(paths, names, is_file, strict=True)])
            for path, image, file in zip(paths, images, is_file, strict=True):
                if not file and given.keys() < self.text_dims.keys():
                    write_image(path, image)  # describing reads files
            pair = Pair(paths[0].stem if is_file[0] else 'image', *paths, self.modality_a, self.modality_b)
            loaded = self._prepare(pair, *images, given)
        return self._finish(loaded, self._fuse([loaded], progress))

    def fuse_many(self, pairs: Sequence[Pair], texts: Callable[[Pair], Text] | None = None,
                  finish: Callable[[Pair, Fused], None] | None = None, progress: Progress | None = None,
                  failed: Callable[[Pair, DataError], None] | None = None,
                  describing: Callable[[str, int, int], None] | None = None) -> Iterator[Fused]:
        """Fuse many pairs: while the network is at work, threads read the next pairs and finish the last ones.

        Pairs of one size that lie close to each other are fused in batches of `batch_size`, or fewer where memory is
        short. A batch of one gives what a call gives, to the bit; larger ones to rounding. About twice the batch size
        and two pairs more are in memory at a time.

        Args:
            pairs: of any sizes.
            texts: gives the text of a pair, as a call takes it; None describes all pairs first, if the model reads any.
                It is called in the threads that read.
            finish: called with each pair and its result, such as to save it; in two threads, so perhaps out of order.
            progress: as for a call, for each large image.
            failed: called with each pair whose data are at fault, such as a damaged image, and with the error; the
                others go on.
            describing: called while the pairs are described, as `describe` calls its `progress`.

        Returns:
            The results, in the order of the pairs. A pair that fails raises what a call raises, with its name, once all
            pairs before it were given, unless `failed` takes it.
        """
        new_run()
        if texts is None and self.text_dims:
            faults = self.describe(pairs, strict=failed is None, progress=describing)
            for pair in [pair for pair in pairs if pair in faults]:
                failed(pair, _named(faults[pair], pair))
            pairs = [pair for pair in pairs if pair not in faults]
        return self._flow(pairs, texts, finish, progress, failed)

    def _flow(self, pairs: Sequence[Pair], texts: Callable[[Pair], Text] | None,
              finish: Callable[[Pair, Fused], None] | None, progress: Progress | None,
              failed: Callable[[Pair, DataError], None] | None) -> Iterator[Fused]:
        coming, flights, ahead = iter(pairs), deque(), 2 * self.batch_size + _WRITERS
        readers, writers = ThreadPoolExecutor(_READERS), ThreadPoolExecutor(_WRITERS)
        try:
            while True:
                while len(flights) < ahead and (pair := next(coming, None)):
                    flights.append(_Flight(pair, readers.submit(self._load, pair, texts or (lambda _: None),
                                                                described=texts is None)))
                waiting = [flight for flight in flights if flight.result is None]
                if waiting and (len(waiting) >= self.batch_size or len(flights) < ahead or waiting[0] is flights[0]):
                    self._fuse_next(waiting, writers, finish, progress)
                elif flights:
                    wait([flights[0].result])
                else:
                    return
                while flights and flights[0].result and flights[0].result.done():
                    flight = flights.popleft()
                    try:
                        fused = flight.outcome()
                    except DataError as error:
                        if failed is None:
                            raise
                        failed(flight.pair, error)
                    else:
                        yield fused
        finally:
            for pool in (readers, writers):
                pool.shutdown(cancel_futures=True)

    def _fuse_next(self, waiting: list[_Flight], writers: ThreadPoolExecutor,
                   finish: Callable[[Pair, Fused], None] | None, progress: Progress | None) -> None:
        """Fuse the first flight that waits, and with it others of its size."""
        batch, size = [], None
        for flight in waiting:
            try:
                loaded = flight.loading.result()
            except Exception as error:
                flight.fail(error)
                continue
            size = size or loaded.image_a.shape[:2]
            if loaded.image_a.shape[:2] == size:
                batch.append((flight, loaded))
            if len(batch) == self.batch_size:
                break
        try:
            batch = batch[:self._most([loaded for _, loaded in batch])]
            fused = self._fuse([loaded for _, loaded in batch], progress) if batch else ()
        except Exception as error:
            for flight, _ in batch:
                flight.fail(error)
            return
        for (flight, loaded), image in zip(batch, fused, strict=True):
            flight.finish(writers.submit(self._finish, loaded, image[None], finish))

    def _load(self, pair: Pair, texts: Callable[[Pair], Text], described: bool = False) -> _Loaded:
        images = [read_image(*source, for_output=True) for source in pair.sources]
        self._compare(images, [pair.path_a, pair.path_b])
        try:
            return self._prepare(pair, *images, self._given(texts(pair)), described)
        except MemoryError as error:
            raise too_large(pair.path_a, images[0].shape) from error

    def _compare(self, images: Sequence[Shaped[np.ndarray, 'h w ...']], paths: Sequence[Path]) -> None:
        """Refuse images of two sizes; note what looks like a mistake."""
        if images[0].shape[:2] != images[1].shape[:2]:
            (height_a, width_a), (height_b, width_b) = (image.shape[:2] for image in images)
            raise DataError(f'The images differ in size: {paths[0]} is {width_a}x{height_a}, {paths[1]} is '
                            f'{width_b}x{height_b}.', 'Register and resize them first.')
        note_suspicion(*paths, *images, self.task)

    def _prepare(self, pair: Pair, image_a: Shaped[np.ndarray, 'h w ...'], image_b: Shaped[np.ndarray, 'h w ...'],
                 given: Mapping[str, np.ndarray], described: bool = False) -> _Loaded:
        """Load what the network reads of a pair; its texts are described first unless they are given or described."""
        if (lacking := [name for name in self.text_dims if name not in given]) and not described:
            with self._describing:
                self.describe([pair], lacking)
        features = {name: self._checked(name, given.get(name), self._with_modalities(pair)) for name in self.text_dims}
        sources = {name: torch.from_numpy(luminance(image))[None, None]
                   for name, image in (('source_a', image_a), ('source_b', image_b))}
        return _Loaded(pair, image_a, image_b, sources, features)

    def _fuse(self, loaded: Sequence[_Loaded], progress: Progress | None = None) -> Float[Tensor, 'batch 1 h w']:
        # A single pair is not copied.
        batch = dict(loaded[0].sources) if len(loaded) == 1 else {
            name: torch.cat([one.sources[name] for one in loaded]) for name in loaded[0].sources}
        for name in self.text_dims:
            lengths = [len(one.texts[name]) for one in loaded]
            rows, masks = zip(*(pad(one.texts[name], max(lengths)) for one in loaded), strict=True)
            batch[name] = torch.from_numpy(np.stack(rows))
            if min(lengths) < max(lengths):
                batch[f'{name}_mask'] = torch.from_numpy(np.stack(masks))
        if len(loaded) > 1:
            try:
                return self.network(batch)
            except Exception as error:
                if not out_of_memory(error):
                    raise
            self.note(f'Memory ran out for {len(loaded)} pairs at once; going on with one after another.')
            return torch.cat([self._fuse([one]) for one in loaded])
        return fuse_any_size(self.network, batch, locality(self.model.backbone), self.tiles, self.tile_size,
                             self._pixels(loaded[0]), progress, self.note)

    def network(self, batch: Mapping[str, Shaped[Tensor, 'batch ...']]) -> Float[Tensor, 'batch 1 h w']:
        """The model on `source_a`, `source_b` and its texts by name, on its device and in the precision chosen."""
        return self._run(self.model, batch)

    def _run(self, model: nn.Module, batch: Mapping[str, Shaped[Tensor, 'batch ...']]) -> Float[Tensor, 'batch 1 h w']:
        device = torch.device(self.device)
        # Not inference_mode, in which a method could not optimise anything at test time.
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=self.precision == 'bfloat16'):
            return model(**{name: value.to(device) for name, value in batch.items()}).float()

    def _most(self, loaded: Sequence[_Loaded]) -> int:
        """Number of these pairs of one size that can be fused at once."""
        if len(loaded) < 2 or self.tiles not in ('auto', 'whole') or self.tile_size:
            return 1
        pixels = self._pixels(loaded[0], len(loaded))
        return len(loaded) if pixels is None else max(1, pixels // loaded[0].sources['source_a'].numel())

    def _pixels(self, one: _Loaded, count: int = 1) -> int | None:
        """Pixel budget of one pass; None where `count` pairs like this one certainly fit."""
        device = torch.device(self.device)
        free = self.max_memory or available(device)
        if free is None or self.tiles == 'whole':
            return None
        budget = free if self.max_memory else int(_SHARE * free)
        if one.sources['source_a'].numel() * count * _PLENTY <= budget:
            return None
        if self._footprint is None:
            texts = {name: torch.from_numpy(text)[None] for name, text in one.texts.items()}
            # A copy, for a model may keep what it makes at its first use, which here are tensors without numbers.
            self._footprint = footprint(partial(self._run, copy.deepcopy(self.model)), device, texts)
        return self._footprint.pixels(budget)

    def _finish(self, loaded: _Loaded, fused: Float[Tensor, '1 1 h w'],
                finish: Callable[[Pair, Fused], None] | None = None) -> Fused:
        loaded.sources.clear()  # as large as all that follows
        try:
            grey = self.protocol.quantise(fused)[0, 0].cpu().numpy()
        except DataError as error:
            backbone = type(self.model.backbone).__name__
            raise DataError(f'The backbone {backbone}: {error.problem}', error.remedy) from error
        result = Fused(loaded.pair.name, grey, add_chroma(grey, loaded.image_a, loaded.image_b, self.task.chroma))
        if finish:
            finish(loaded.pair, result)
        return result

    def describe(self, pairs: Sequence[Pair], texts: Sequence[str] | None = None, strict: bool = True,
                 progress: Callable[[str, int, int], None] | None = None) -> dict[Pair, DataError]:
        """Describe many pairs in one batch, which is quicker than leaving each to its own call.

        Args:
            pairs: to be described; of one that does not say what its sources are, they are the fuser's modalities.
            texts: the names of the texts that are wanted, of a model that reads several; None for all.
            strict: whether a pair that cannot be described is an error.
            progress: called with a stage, what is done of it, and what is to do.

        Returns:
            The pairs that could not be described, each with the reason.

        Raises:
            DataError: with `strict`, there are such pairs.
            VLFusionError: nobody says how to describe them, or a part cannot be built.
        """
        if self.language is None and self._readable:
            return {}  # what the store holds is read; nothing is made
        sources = [self.text_source[name] for name in (self.text_source if texts is None else texts)]
        pairs_of = {pair: self._with_modalities(pair) for pair in pairs}
        if not sources or not (report := make_words(self._words(), sources, list(pairs_of.values()),
                                                    lambda: self._pipeline, progress)):
            return {}
        subjects = {pair: self._pipeline.subjects([one]) for pair, one in pairs_of.items()}
        if strict:
            report.raise_if_failed()
        faults = {pair: next((report.failed[subject] for subject in of_pair if subject in report.failed), None)
                  for pair, of_pair in subjects.items()}
        return {pair: error if isinstance(error, DataError) else DataError(str(error))
                for pair, error in faults.items() if error}

    def _with_modalities(self, pair: Pair) -> Pair:
        return replace(pair, modality_a=pair.modality_a or self.modality_a,
                       modality_b=pair.modality_b or self.modality_b)

    @cached_property
    def _pipeline(self):
        # Kept, so that the text encoder is loaded once for all pairs.
        from vlfusion.language.pipeline import DescriptionPipeline
        return DescriptionPipeline(self._words())

    def _words(self) -> dict:
        """The language section that counts; raises a VLFusionError where there is none to be believed."""
        if self.language is None:
            raise self._language_error or ConfigError(
                'The model reads text, but its checkpoint does not say how to describe images.',
                'Give a config with --words CONFIG, or the features of the pair with --text; in Python `words=` and '
                '`text=`.')
        return self.language

    def _given(self, text: np.ndarray | Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray]:
        """The features that a caller gave, by the names of the model's texts."""
        reads = f'the model reads {", ".join(self.text_dims) or "no text"}'
        if text is None or isinstance(text, Mapping):
            given = dict(text or {})
        elif len(self.text_dims) == 1:
            given = {next(iter(self.text_dims)): text}
        else:
            raise ConfigError(f'One text was given, but {reads}.',
                              'Give a dict of texts.' if self.text_dims else 'Leave the text out.')
        if unknown := given.keys() - self.text_dims.keys():
            raise ConfigError(f'A text {min(unknown)!r} was given, but {reads}.',
                              did_you_mean(min(unknown), self.text_dims))
        return given

    def _checked(self, name: str, text: np.ndarray | None, pair: Pair) -> Float[np.ndarray, 'token dim']:
        """The features of one text as they were given, else from the store."""
        if text is None:
            text = self._stored(name, pair)
        if text.ndim != 2 or text.shape[1] != self.text_dims[name]:
            raise DataError(f'The model reads {name} features (token, {self.text_dims[name]}), but got {text.shape}.',
                            'Use features of the encoder it was trained with.')
        return require_finite(text.astype(np.float32), f'{name} of {pair.name}', 'Give others, or make them again.')

    def _stored(self, name: str, pair: Pair) -> Float[np.ndarray, 'token dim']:
        """The features of one text from the text store."""
        try:
            return text_sources({name: self.text_source[name]}, self.language or self._readable, '.')[name].load(pair)
        except VLFusionError as error:
            if self.language is None:  # what nobody may make is not there
                raise self._language_error from error
            raise


def _named(error: VLFusionError, pair: Pair) -> VLFusionError:
    """The same error with the name of the pair in front."""
    return type(error)(f'{pair.name}: {error.problem}', error.remedy)


def make_words(language: Mapping, sources: Sequence[Mapping], pairs: Sequence[Pair],
               pipeline: 'Callable[[], DescriptionPipeline] | None' = None,
               progress: Callable[[str, int, int], None] | None = None) -> 'Report | None':
    """Make the words that texts are read from, where the text store does not have them yet.

    Args:
        language: the `language` section that says how.
        sources: what the texts are read from, as `text_configs` has it; those of files need no words.
        pairs: whose images are described.
        pipeline: gives the pipeline of the section; by default a new one is built, if there are images to describe.
        progress: called as images are described.

    Returns:
        What became of the images; None where no text is about images.
    """
    from vlfusion.language.pipeline import DescriptionPipeline
    if fixed := [source['fixed'] for source in sources if 'fixed' in source]:
        encode_fixed(language, fixed)
    if not any('stream' in source for source in sources):
        return None
    pipeline = pipeline() if pipeline else DescriptionPipeline(language)
    return pipeline.run(pipeline.subjects(pairs), progress)


def _language_of(config: str | os.PathLike) -> Mapping:
    from vlfusion.language.section import require_section
    return require_section(load_config(config).to_dict().get('language'), config)


def _for_new_images(source: Mapping | None, name: str) -> Mapping:
    """Source of a model's text; one that was trained on published features has its new images described."""
    own = text_configs(source).get(name, {})
    return own if own and 'files' not in own else {'stream': 'pair/paragraph'}
