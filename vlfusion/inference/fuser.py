"""Fusing images outside of a data set: two files, two images in memory, or two folders, with a checkpoint.

    from vlfusion import Fuser
    fuser = Fuser('work_dirs/film_mif/best.pth')
    fuser('mri.png', 'pet.png').save('fused.png')
    fuser(mri, pet).rgb  # arrays, PIL images or tensors
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from vlfusion.console.notes import new_run
from vlfusion.data.pairs import Pair
from vlfusion.data.suspicion import note_suspicion
from vlfusion.data.text import text_configs
from vlfusion.engine.checkpoints import load_model
from vlfusion.errors import DataError
from vlfusion.imaging.arrays import AnyImage, as_image
from vlfusion.imaging.chroma import chroma_name
from vlfusion.imaging.images import luminance, read_image, write_image
from vlfusion.imaging.picture import Fused, make_picture
from vlfusion.imaging.protocol import get_protocol
from vlfusion.imaging.reading.image import too_large
from vlfusion.imaging.tasks import get_task
from vlfusion.inference.flow import Steps, flow, named
from vlfusion.inference.network import PRECISIONS as PRECISIONS
from vlfusion.inference.network import Network
from vlfusion.inference.texts import Text, Texts
from vlfusion.inference.tiling import Progress
from vlfusion.models import text_dims

Image = Shaped[np.ndarray, 'h w ...']


@dataclass(frozen=True)
class _Loaded:
    """A pair in memory: the images as they were read, and what the network reads of them."""

    pair: Pair
    image_a: Image
    image_b: Image
    inputs: dict[str, Shaped[Tensor, '1 ...']]

    @property
    def size(self) -> tuple[int, int]:
        return self.image_a.shape[:2]


class Fuser:
    """A trained model, ready to fuse images of any size.

    A model that reads text describes new images itself, with the captioners, LLM and text encoder it was trained with,
    into its text store; features that exist already can be given instead.

        fuser = vlfusion.Fuser('work_dirs/film_mif/best.pth', device='cuda')
        fuser('mri.png', 'pet.png').save('fused.png')

    Args:
        checkpoint: as training or `convert-weights` writes it; or a config whose model has no weights.
        task: what the sources are; by default the checkpoint's own.
        modality_a, modality_b: what the captioner is told that the sources are; by default the task's words. Say `PET`
            if the training data did, for other words give another text.
        protocol: how outputs become grey levels; by default the checkpoint's own.
        chroma: the rule in `vlfusion.registry.CHROMA_RULES` by which results get their colour; by default the
            checkpoint's own, and where it has none, or another task is given, the task's.
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
        network: the model as a function of tensors, of any size: a `vlfusion.inference.network.Network`.
        texts: finds and makes the texts that the model reads: a `vlfusion.inference.texts.Texts`.

    Raises:
        ConfigError: an option has no such value; what `vlfusion.engine.checkpoints.load_model` raises.
    """

    def __init__(self, checkpoint: str | os.PathLike, *, task: str | None = None, protocol: str | None = None,
                 chroma: str | None = None, store: str | os.PathLike | None = None, device: str | None = None,
                 modality_a: str | None = None, modality_b: str | None = None, tiles: str = 'auto',
                 tile_size: int | None = None, max_memory: int | None = None, batch_size: int | None = None,
                 precision: str = 'float32', note: Callable[[str], None] | None = None,
                 words: str | os.PathLike | Mapping | None = None, trust: bool = False):
        model, experiment = load_model(checkpoint, trust=trust)
        self.network = Network(model, device=device, precision=precision, tiles=tiles, tile_size=tile_size,
                               max_memory=max_memory, note=note)
        self.model, self.device = self.network.model, str(self.network.device)
        self.batch_size = batch_size or (1 if self.network.device.type == 'cpu' else 8)
        self.task = get_task(task or experiment['task'])
        self.origin = experiment.get('origin') or f'{type(self.model.backbone).__name__}, which has no weights'
        own_task = self.task.name == experiment['task']
        if not own_task and 'origin' in experiment:
            self.network.note(f'The model was trained for {experiment["task"]}, but is used for {self.task.name}.')
        self.protocol = get_protocol(protocol or experiment.get('protocol', 'film'))
        self.chroma = chroma_name(chroma or own_task and experiment.get('chroma') or self.task.chroma)
        self.texts = Texts(experiment, text_dims(self.model.backbone), words=words, store=store,
                           modality_a=modality_a or self.task.modality_a, modality_b=modality_b or self.task.modality_b)

    @property
    def text_dims(self) -> dict[str, int]:
        """The widths of the texts that the model reads, by name."""
        return self.texts.dims

    @property
    def text_source(self) -> dict[str, Mapping]:
        """Source of the text of each name; it may be set, such as to `dict(fixed='...')`."""
        return self.texts.source

    @text_source.setter
    def text_source(self, source: Mapping) -> None:
        self.texts.source = text_configs(source)

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
        given = self.texts.by_name(text)
        with TemporaryDirectory(prefix='vlfusion-') as folder:
            paths = [Path(source) if file else Path(folder, f'{name}.png')
                     for source, name, file in zip(sources, names, is_file, strict=True)]

            def read(pair: Pair) -> list[Image]:
                images = [read_image(source, for_output=True) if file else as_image(source, name)
                          for source, name, file in zip(sources, names, is_file, strict=True)]
                self._compare(images, [path if file else Path(name)
                                       for path, name, file in zip(paths, names, is_file, strict=True)])
                for path, image, file in zip(paths, images, is_file, strict=True):
                    if not file and given.keys() < self.text_dims.keys():
                        write_image(path, image)  # describing reads files
                return images

            pair = Pair(paths[0].stem if is_file[0] else 'image', *paths, self.texts.modality_a, self.texts.modality_b)
            return self._steps(read, lambda _: given, progress=progress).of_one(pair)

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
                failed(pair, named(faults[pair], pair))
            pairs = [pair for pair in pairs if pair not in faults]

        def given(pair: Pair) -> Mapping[str, np.ndarray]:
            return self.texts.by_name(texts(pair) if texts else None)

        steps = self._steps(self._read, given, described=texts is None, progress=progress, finish=finish)
        return flow(pairs, steps, batch_size=self.batch_size, failed=failed)

    def describe(self, pairs: Sequence[Pair], texts: Sequence[str] | None = None, strict: bool = True,
                 progress: Callable[[str, int, int], None] | None = None) -> dict[Pair, DataError]:
        """Describe many pairs in one batch, which is quicker than leaving each to its own call.

        Arguments, result and errors are those of `vlfusion.inference.texts.Texts.describe`.
        """
        return self.texts.describe(pairs, texts, strict, progress)

    def _steps(self, read: Callable[[Pair], Sequence[Image]], given: Callable[[Pair], Mapping[str, np.ndarray]], *,
               described: bool = False, progress: Progress | None = None,
               finish: Callable[[Pair, Fused], None] | None = None) -> Steps[_Loaded]:
        """The way of a pair from files to a result.

        Args:
            read: gives both images.
            given: gives the features that count in place of the text store's, by name.
            described: the texts of all pairs are in the store already.
            progress, finish: as for `fuse_many`.
        """
        def load(pair: Pair) -> _Loaded:
            images = read(pair)
            try:
                return _Loaded(pair, *images, self._inputs(pair, images, given(pair), described))
            except MemoryError as error:
                raise too_large(pair.path_a, images[0].shape) from error

        def fuse(loaded: Sequence[_Loaded]) -> Float[Tensor, 'batch 1 h w']:
            return self.network.fuse_first([pair.inputs for pair in loaded], progress)

        return Steps(load, fuse, partial(self._finish, finish=finish))

    def _read(self, pair: Pair) -> list[Image]:
        images = [read_image(*source, for_output=True) for source in pair.sources]
        self._compare(images, [pair.path_a, pair.path_b])
        return images

    def _compare(self, images: Sequence[Image], paths: Sequence[Path]) -> None:
        """Refuse images of two sizes; note what looks like a mistake."""
        if images[0].shape[:2] != images[1].shape[:2]:
            (height_a, width_a), (height_b, width_b) = (image.shape[:2] for image in images)
            raise DataError(f'The images differ in size: {paths[0]} is {width_a}x{height_a}, {paths[1]} is '
                            f'{width_b}x{height_b}.', 'Register and resize them first.')
        note_suspicion(*paths, *images, self.task)

    def _inputs(self, pair: Pair, images: Sequence[Image], given: Mapping[str, np.ndarray],
                described: bool) -> dict[str, Shaped[Tensor, '1 ...']]:
        """Inputs of the network for a pair; its texts are described first unless they are given or described."""
        texts = self.texts.features(pair, given, described)
        sources = {name: torch.from_numpy(luminance(image))[None, None]
                   for name, image in zip(('source_a', 'source_b'), images, strict=True)}
        return sources | {name: torch.from_numpy(features)[None] for name, features in texts.items()}

    def _finish(self, loaded: _Loaded, output: Float[Tensor, '1 1 h w'],
                finish: Callable[[Pair, Fused], None] | None = None) -> Fused:
        loaded.inputs.clear()  # as large as all that follows
        try:
            fused = make_picture(output, loaded.image_a, loaded.image_b, protocol=self.protocol, chroma=self.chroma,
                                 name=loaded.pair.name)
        except DataError as error:
            backbone = type(self.model.backbone).__name__
            raise DataError(f'The backbone {backbone}: {error.problem}', error.remedy) from error
        if finish:
            finish(loaded.pair, fused)
        return fused
