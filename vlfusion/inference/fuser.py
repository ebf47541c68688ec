"""Fusing with a checkpoint: two files, two images in memory, or many pairs.

    from vlfusion import Fuser
    fuser = Fuser('film-mif')
    fuser('mri.png', 'pet.png').save('fused.png')
    fuser(mri, pet).rgb  # arrays, PIL images or tensors
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from vlfusion.console.notes import new_run
from vlfusion.data.pairs import Pair
from vlfusion.data.regions import boxes_weight
from vlfusion.data.suspicion import note_suspicion
from vlfusion.data.text import text_configs
from vlfusion.engine.checkpoints import load_model
from vlfusion.engine.named import Located, locate
from vlfusion.errors import ConfigError, DataError, did_you_mean
from vlfusion.imaging.arrays import AnyImage, as_image
from vlfusion.imaging.chroma import chroma_name, stack_rule
from vlfusion.imaging.fit import check_fit, fit_pair
from vlfusion.imaging.images import luminance, read_image, write_image
from vlfusion.imaging.picture import Fused, make_picture, make_stack_picture
from vlfusion.imaging.protocol import get_protocol
from vlfusion.imaging.quantise import white
from vlfusion.imaging.reading.image import too_large
from vlfusion.imaging.reading.pages import pages_of
from vlfusion.imaging.reading.rule import AS_STORED, Reading
from vlfusion.imaging.registration.alignment import Alignment, align, check_motion, move
from vlfusion.imaging.tasks import get_task
from vlfusion.inference.flow import Steps, flow, named
from vlfusion.inference.network import Network, usable_device
from vlfusion.inference.stacks import Luminances, Pictures, fold
from vlfusion.inference.texts import Text, Texts
from vlfusion.inference.tiling import Progress
from vlfusion.language.section import INSTRUCTION
from vlfusion.models import map_inputs, needed_texts, text_dims

Image = Shaped[np.ndarray, 'h w ...']


@dataclass(frozen=True)
class _Loaded:
    """A pair in memory: the images as they were read, and the inputs of the network."""

    pair: Pair
    image_a: Image
    image_b: Image
    inputs: dict[str, Shaped[Tensor, '1 ...']]

    @property
    def kind(self) -> tuple:
        return *self.image_a.shape[:2], *self.inputs


@dataclass(frozen=True)
class PairInMemory:
    """Two images of one scene, as arrays, and the texts about them.

    Attributes:
        pair: name of the pair, and paths of its sources in messages.
        image_a: source A as `vlfusion.imaging.images.read_image` returns it.
        image_b: source B, in the same form.
        texts: features of all texts that the model reads, by name, as `Texts.features` returns them.
    """

    pair: Pair
    image_a: Shaped[np.ndarray, '_ _ ...']
    image_b: Shaped[np.ndarray, '_ _ ...']
    texts: Mapping[str, np.ndarray]

    @property
    def name(self) -> str:
        """Name of the pair."""
        return self.pair.name


class Fuser:
    """A trained model, ready to fuse images of any size.

    A model that reads text describes new images itself. It uses the captioners, LLM and text encoder it was trained
    with, and fills its text store. You can give existing features instead.

        fuser = vlfusion.Fuser('film-mif', device='cuda')
        fuser('mri.png', 'pet.png').save('fused.png')

    Args:
        checkpoint: checkpoint of training or `convert-weights`; or the name of a model, such as `film-mif` or
            `laplacian`, see `vlfusion models`; or `hf://owner/name`, a repository on the Hugging Face hub; or a config
            whose model has no weights; or what `vlfusion.engine.named.locate` found.
        task: task that says what the sources are; by default the checkpoint's task.
        modality_a, modality_b: names of the sources' modalities, which captioners read; by default the task's. Say
            `PET` if the training data did: other names give other descriptions.
        protocol: protocol by which outputs become grey levels; by default the checkpoint's.
        chroma: colour rule, a name in `vlfusion.registry.CHROMA_RULES`; by default the checkpoint's, or the task's if
            the checkpoint has none or another task is given.
        store: folder of the text store; by default the one that the checkpoint or config names.
        words: words of images: the name of a recipe (`vlfusion words`), a config with a `language` section, or such a
            section; by default the checkpoint's. The model's own text encoder stays. The checkpoint's own section is
            used only if it needs nothing from outside, see `vlfusion.engine.trust`.
        trust: whether to use the checkpoint's `language` section as it is, even if it sends images and keys to a server
            or fetches models.
        device: torch's name of a device; by default CUDA if there is a GPU.
        tiles: `whole` fuses an image at once. `exact` fuses in tiles without a difference in the result; it needs a
            local backbone. `blend` fuses in windows that fade into each other, an approximation. `auto` takes the first
            of these that the model supports and that fits into memory.
        tile_size: largest number of rows and columns fused at once; by default the most that memory allows.
        max_memory: bytes that the network may use; by default four fifths of the free memory.
        batch_size: number of pairs of one size that `fuse_many` fuses at once; by default 1 on the CPU, 8 elsewhere.
        precision: precision of the network: `float32`; `tf32`, which is faster on NVIDIA GPUs since Ampere and rounds
            factors to 11 bits; or `bfloat16`.
        read_text: False to fuse without a text, with a model that may do without one (`text_optional`). By default such
            a model reads a text if its experiment has a `text_source`, or if words are chosen.
        instruction: sentence about the picture to make, such as 'show the PET more strongly', for a model that reads
            instructions. The model's own text encoder reads it. Without it, such a model fuses as it was trained to
            under no instruction.
        fit: rule for pairs of different size: `refuse`, `resize` or `crop`, see `vlfusion.imaging.fit`.
        register: movement by which source B of each pair is moved onto source A if it is misaligned: `rigid`,
            `similarity`, `affine` or `homography`, see `vlfusion.imaging.registration.alignment.align`. A pair whose
            movement is not certain is refused. Captioners see the images as they are stored.
        depth: bits of the result, 8 or 16.
        note: called with a message if an image is approximated, memory runs out, or words are chosen; by default
            messages are logged.

    Attributes:
        checkpoint: the checkpoint, name or address that the model was loaded from.
        origin: a phrase that says on what, for how long and for which task the model was trained.
        network: the model as a function of tensors of any size: a `vlfusion.inference.network.Network`.
        texts: the texts that the model reads: a `vlfusion.inference.texts.Texts`.

    Raises:
        ConfigError: an option has an unknown value; it is raised before the checkpoint is loaded if the option is the
            device, the tiles or the precision. Or `read_text` is False, but the model needs its text, or an instruction
            is given. Or the instruction is blank, or the model reads none.
        DataError: the instruction is longer than the model's text encoder reads.
        CheckpointError: as for `vlfusion.engine.checkpoints.load_model`.
    """

    def __init__(self, checkpoint: str | os.PathLike | Located, task: str | None = None, *, protocol: str | None = None,
                 chroma: str | None = None, store: str | os.PathLike | None = None, device: str | None = None,
                 modality_a: str | None = None, modality_b: str | None = None, tiles: str = 'auto',
                 tile_size: int | None = None, max_memory: int | None = None, batch_size: int | None = None,
                 precision: str = 'float32', note: Callable[[str], None] | None = None,
                 words: str | os.PathLike | Mapping | None = None, trust: bool = False, read_text: bool = True,
                 instruction: str | None = None, fit: str = 'refuse', register: str | None = None, depth: int = 8):
        self.fit, self.register, self.depth = check_fit(fit), register and check_motion(register), depth
        self._alignments: dict[Pair, Alignment] = {}
        white(depth)  # raises if the depth is unknown
        usable_device(device, precision=precision, tiles=tiles)  # loading takes long, so mistakes are found before
        located = locate(checkpoint)
        model, experiment = load_model(located, trust=trust)
        self.checkpoint = located.name
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
                           modality_a=modality_a or self.task.modality_a, modality_b=modality_b or self.task.modality_b,
                           optional=text_dims(self.model.backbone).keys() - needed_texts(self.model.backbone).keys())
        if not read_text:
            if needed := needed_texts(self.model.backbone):
                raise ConfigError(f'{type(self.model.backbone).__name__} needs its {", ".join(needed)}, but was told '
                                  'to read no text.', 'Let it read text.')
            if instruction is not None:
                raise ConfigError('An instruction is a text, but the model was told to read no text.',
                                  'Leave --no-text or the instruction out; in Python `read_text` or `instruction`.')
            self.texts.source = {}
        if instruction is not None:
            self.texts.instruct(instruction)
        if self.texts.note:
            self.network.note(self.texts.note)

    def push_to_hub(self, repo: str, *, private: bool | None = None, message: str = '', license: str = '') -> str:
        """Publish the model on the Hugging Face hub, and return its address there, `hf://owner/name@commit`.

        Arguments and errors as for `vlfusion.publish`.
        """
        from vlfusion.engine.publish import publish
        return publish(self.checkpoint, repo, private=private, message=message, license=license)

    @property
    def maps(self) -> dict[str, bool]:
        """The maps that the model reads, by name, and whether each is required."""
        return map_inputs(self.model.backbone)

    @property
    def text_dims(self) -> dict[str, int]:
        """The widths of the texts that the model reads, by name."""
        return self.texts.dims

    @property
    def text_source(self) -> dict[str, Mapping]:
        """Source of each text, by name. You may set it, for example to `dict(fixed='...')`.

        For a model that may do without a text, None leaves the text out.
        """
        return self.texts.source

    @text_source.setter
    def text_source(self, source: Mapping | None) -> None:
        kept = {name: entry for name, entry in self.texts.source.items() if name == INSTRUCTION}
        self.texts.source = kept | text_configs(source)

    def __call__(self, source_a: AnyImage, source_b: AnyImage, text: Text = None,
                 progress: Progress | None = None, maps: Mapping[str, AnyImage] | None = None,
                 instruction: str | None = None) -> Fused:
        """Fuse two images of one height and width.

            fuser(mri, pet, instruction='show the PET more strongly on the left')

        Args:
            source_a: source A of the task (infrared, MRI, over-exposed, near-focused): a file or an image in memory. In
                memory it is a PIL image, a NumPy array `(h, w)` or `(h, w, 3)` in red-green-blue, or a tensor `(h, w)`,
                `(1, h, w)` or `(3, h, w)`; uint8, uint16 or floats in [0, 1]; see `vlfusion.imaging.arrays.as_image`.
            source_b: source B of the task, in any of these forms.
            text: token features `(token, dim)` of the pair's description, or a dict of them for a model that reads
                several texts; by default the images are described if the model reads text and needs it. An array is
                never the instruction of a model that also reads another text.
            progress: called while a large image is fused, with the parts done and the parts in total.
            maps: further images of the pair that the model reads, by name, such as `dict(mask=...)`, in any of these
                forms.
            instruction: sentence about the picture to make; by default the fuser's.

        Raises:
            DataError: an image cannot be read, images differ in size, or the text has another width than the model's.
            ConfigError: the model reads text, none is given, and the checkpoint does not say how to describe images; or
                exact tiles are requested, but the model is not local; or the image would be fused in blended windows
                under an instruction; or a map is missing, or is not the model's; or the instruction is blank, or the
                model reads none.
            VLFusionError: the smallest tile does not fit into memory.
        """
        with self._single(source_a, source_b, text, progress, maps, instruction) as (steps, pair):
            return steps.of_one(pair)

    def fuse_stack(self, sources: Sequence[AnyImage] | str | os.PathLike, *, order: str | None = None,
                   reading: Reading = AS_STORED, name: str = 'image', text: Text = None,
                   instruction: str | None = None, progress: Progress | None = None) -> Fused:
        """Fuse two or more images of one scene, of one height and width.

            fuser.fuse_stack(['under.jpg', 'mid.jpg', 'over.jpg'])
            fuser.fuse_stack('planes.tif')                                 # the pages of a file

        A backbone that takes any number of sources gets them all (`vlfusion.models.stacks`), and files are read one at
        a time. Another one fuses pairs of sources and of earlier results, in an order. Results that are fused again
        have 16 bits. The protocol applies to the last one, and its colour comes from all sources.

        Args:
            sources: files or images in memory, in the forms that a call takes; or one file, whose pages are the images.
            order: a name in `vlfusion.inference.stacks.ORDERS`; by default `tree`. Only for a backbone that fuses
                pairs.
            reading: rule by which files are read.
            name: name of the result.
            text, instruction: as for a call; every pair gets the same.
            progress: called with the number of images read, or of pairs fused, and of all.

        Raises:
            DataError: there are fewer than two images, one cannot be read, or they differ in size.
            ConfigError: as for a call; or an order is given for a backbone that takes all sources; or the order is
                unknown; or the colour rule is for two sources only.
        """
        if self.register or self.fit != 'refuse':
            raise ConfigError('The options fit and register are for pairs, but a stack was given.', 'Leave them out.')
        if isinstance(sources, str | os.PathLike):
            sources = pages_of(sources)
        pictures = Pictures(sources, reading, self.depth)
        stack_rule(self.chroma)  # a mistake is found before the work
        if self.network.fuses_stacks:
            if order is not None:
                raise ConfigError(f'{type(self.model.backbone).__name__} takes all sources of a stack at once, so the '
                                  f'order {order!r} has no effect.', 'Leave it out.')
            self.texts.by_name(text)
            self._instruction_features(instruction)
            output, strength = self.network.fuse_stack(Luminances(pictures), pictures.size, progress), 1.
        else:
            output, strength = self._fold(pictures, order or 'tree', text, instruction, progress)
        with self._named_backbone():
            return make_stack_picture(output, pictures, protocol=self.protocol, chroma=self.chroma, name=name,
                                      colour_strength=strength, depth=self.depth)

    def _fold(self, pictures: Pictures, order: str, text: Text, instruction: str | None,
              progress: Progress | None) -> tuple[Float[Tensor, '1 1 h w'], float]:
        """Fuse a stack pair by pair; returns the network's last output, and its factor of the saturation."""
        done, strength = 0, 1.

        def image(item: int | Tensor) -> AnyImage:
            if isinstance(item, Tensor):
                return item.clamp(0, 1)
            picture = pictures[item]
            return picture[..., ::-1] if picture.ndim == 3 else picture  # colour in memory is red-green-blue

        def merge(left: int | Tensor, right: int | Tensor) -> Tensor:
            nonlocal done, strength
            with self._single(image(left), image(right), text, None, None, instruction) as (steps, pair):
                loaded = steps.load(pair)
                output = steps.fuse([loaded]).cpu()
            strength, done = self.network.colour_strength(loaded.inputs), done + 1
            if progress:
                progress(done, len(pictures) - 1)
            return output

        return fold(range(len(pictures)), merge, order), strength

    @contextmanager
    def _single(self, source_a: AnyImage, source_b: AnyImage, text: Text, progress: Progress | None,
                maps: Mapping[str, AnyImage] | None, instruction: str | None) -> Iterator[tuple[Steps, Pair]]:
        """Yield the steps of one pair and the pair, with the arguments of a call."""
        self.check_maps(maps or {})
        sources, names = (source_a, source_b), ('source_a', 'source_b')
        is_file = [isinstance(source, str | os.PathLike) for source in sources]
        given = self.texts.by_name(text) | self._instruction_features(instruction)
        with TemporaryDirectory(prefix='vlfusion-') as folder:
            paths = [Path(source) if file else Path(folder, f'{name}.png')
                     for source, name, file in zip(sources, names, is_file, strict=True)]

            def read(pair: Pair) -> dict[str, Image]:
                images = [read_image(source, for_output=True, depth=self.depth) if file else as_image(source, name)
                          for source, name, file in zip(sources, names, is_file, strict=True)]
                fitted = self._fitted(pair, images, [path if file else Path(name)
                                                     for path, name, file in zip(paths, names, is_file, strict=True)])
                for path, image, file in zip(paths, images, is_file, strict=True):
                    if not file and self.texts.source.keys() - given.keys():
                        write_image(path, image)  # describing reads files
                return dict(zip(names, fitted, strict=True)) | {name: as_image(image, name)
                                                                for name, image in (maps or {}).items()}

            pair = Pair(paths[0].stem if is_file[0] else 'image', *paths, self.texts.modality_a, self.texts.modality_b)
            yield self._steps(read, lambda _: given, progress=progress, instruction=instruction), pair

    def fuse_many(self, pairs: Sequence[Pair], texts: Callable[[Pair], Text] | None = None,
                  finish: Callable[[Pair, Fused], None] | None = None, progress: Progress | None = None,
                  failed: Callable[[Pair, DataError], None] | None = None,
                  describing: Callable[[str, int, int], None] | None = None,
                  instruction: str | None = None,
                  read: Callable[[Pair], Mapping[str, Image]] | None = None) -> Iterator[Fused]:
        """Fuse many pairs. While the network runs, threads read the next pairs and finish the last ones.

        Neighbouring pairs of one size are fused in batches of `batch_size`, or fewer if memory is short. A batch of one
        gives the same result as a call, bit for bit. Larger batches give the same result up to rounding. Memory holds
        about twice the batch size plus two pairs at a time.

        Args:
            pairs: pairs of any sizes.
            texts: function that gives the text of a pair, in a form that a call takes; by default all pairs are
                described first, if the model reads text. It is called in the threads that read.
            finish: called with each pair and its result, for example to save it; from two threads, so perhaps out of
                order.
            progress: as for a call, for each large image.
            failed: called with each pair that has faulty data, such as a damaged image, and with the error; the other
                pairs are fused.
            describing: called while pairs are described, as `describe` calls its `progress`.
            instruction: as for a call, for all pairs.
            read: function that gives the sources and the maps of a pair by name, as `read_image` returns them; by
                default they are read from its files. It is called in the threads that read.

        Returns:
            The results, in the order of the pairs. A pair that fails raises the error of a call, with its name, after
            the results of all pairs before it, unless `failed` is given.

        Raises:
            ConfigError: the pairs lack a map that the model needs. Maps that it does not read are left out. Or the
                instruction is blank, or the model reads none.
        """
        new_run()
        instructed = self._instruction_features(instruction)
        for pair in pairs:
            self.check_maps([name for name, _ in pair.maps if name in self.maps])
        if texts is None and self.text_dims:
            faults = self.describe(pairs, strict=failed is None, progress=describing)
            for pair in [pair for pair in pairs if pair in faults]:
                failed(pair, named(faults[pair], pair))
            pairs = [pair for pair in pairs if pair not in faults]

        def features(pair: Pair) -> Mapping[str, np.ndarray]:
            return self.texts.by_name(texts(pair) if texts else None) | instructed

        steps = self._steps(read or self._read, features, described=texts is None, progress=progress, finish=finish,
                            instruction=instruction)
        return flow(pairs, steps, batch_size=self.batch_size, failed=failed)

    def fuse_stream(self, pairs: Iterable[PairInMemory]) -> Iterator[Fused]:
        """Fuse pairs that arrive one by one, such as the frames of two videos; batches and threads as in `fuse_many`.

        Args:
            pairs: pairs of any sizes; the next one is taken when there is room for it.

        Returns:
            The results, in the order of the pairs.

        Raises:
            DataError: as for a call.
            ConfigError: the model needs a map.
        """
        self.check_maps(())

        def load(pair: PairInMemory) -> _Loaded:
            images = self._fitted(pair.pair, [pair.image_a, pair.image_b], [pair.pair.path_a, pair.pair.path_b])
            inputs = self._inputs(pair.pair, dict(zip(('source_a', 'source_b'), images, strict=True)), pair.texts,
                                  described=True)
            return _Loaded(pair.pair, *images, inputs)

        def fuse(loaded: Sequence[_Loaded]) -> Float[Tensor, 'batch 1 h w']:
            return self.network.fuse_first([pair.inputs for pair in loaded])

        return flow(pairs, Steps(load, fuse, self._finish), batch_size=self.batch_size)

    def describe(self, pairs: Sequence[Pair], texts: Sequence[str] | None = None, strict: bool = True,
                 progress: Callable[[str, int, int], None] | None = None) -> dict[Pair, DataError]:
        """Describe many pairs in one batch, which is quicker than one call for each.

        Arguments, result and errors are those of `vlfusion.inference.texts.Texts.describe`.
        """
        return self.texts.describe(pairs, texts, strict, progress)

    def encode_words(self, words: Sequence[str]) -> dict[str, Float[np.ndarray, 'token dim']]:
        """Return the features of words that replace the descriptions of a pair, for the `text` of a call.

            text = fuser.encode_words(['The skull is bright.', 'Uptake is high in the left half.'])
            fuser('mri.png', 'pet.png', text=text)

        Arguments and errors are those of `vlfusion.inference.texts.Texts.encode_words`.
        """
        return self.texts.encode_words(words)

    def check_maps(self, given: Collection[str]) -> None:
        """Raise ConfigError if a map that the model needs is not among those given, or if it does not read one."""
        if given and self.register:
            raise ConfigError('Maps are not moved with their sources, but the option register is set.',
                              'Register the sources and the maps first, or leave --register out.')
        declared = self.maps
        reads = f'The model reads {", ".join(f"the map {name!r}" for name in declared) or "no maps"}'
        if unknown := sorted({*given} - {*declared}):
            raise ConfigError(f'{reads}, but a map {unknown[0]!r} is given.', did_you_mean(unknown[0], declared)
                              if declared else 'Leave it out.')
        if lacking := [name for name, required in declared.items() if required and name not in given]:
            raise ConfigError(f'{reads}, but {lacking[0]!r} is not given.',
                              f'Give it with --map {lacking[0]}=DIR; in Python maps=dict({lacking[0]}=...).')

    def _instruction_features(self, instruction: str | None) -> dict[str, np.ndarray]:
        """The features of an instruction by the name of the text; empty if there is none."""
        return {} if instruction is None else {INSTRUCTION: self.texts.encode(instruction)}

    def _steps(self, read: Callable[[Pair], Mapping[str, Image]],
               features: Callable[[Pair], Mapping[str, np.ndarray]], *,
               described: bool = False, progress: Progress | None = None,
               finish: Callable[[Pair, Fused], None] | None = None, instruction: str | None = None) -> Steps[_Loaded]:
        """The steps of a pair from files to a result.

        Args:
            read: function that gives the sources and the maps by name.
            features: function that gives features by name; they are used instead of those in the text store.
            described: whether the store already has the texts of all pairs.
            progress, finish, instruction: as for `fuse_many`.
        """
        def load(pair: Pair) -> _Loaded:
            images = read(pair)
            try:
                given = features(pair)
                inputs = self._inputs(pair, images, given, described)
                return _Loaded(pair, images['source_a'], images['source_b'],
                               inputs | self._region(pair, inputs, given, instruction or self.texts.instruction))
            except MemoryError as error:
                raise too_large(pair.path_a, images['source_a'].shape) from error

        def fuse(loaded: Sequence[_Loaded]) -> Float[Tensor, 'batch 1 h w']:
            return self.network.fuse_first([pair.inputs for pair in loaded], progress)

        return Steps(load, fuse, partial(self._finish, finish=finish))

    def _read(self, pair: Pair) -> dict[str, Image]:
        images = self._fitted(pair, [read_image(*source, for_output=True, depth=self.depth) for source in pair.sources],
                              [pair.path_a, pair.path_b])
        return dict(zip(('source_a', 'source_b'), images, strict=True)) | {name: read_image(path)
                                                                            for name, path in pair.maps
                                                                            if name in self.maps}

    def _fitted(self, pair: Pair, images: Sequence[np.ndarray], paths: Sequence[Path]) -> list[np.ndarray]:
        """Give both images one size, register them if asked to, and note pairs that look like a mistake."""
        image_a, image_b = fit_pair(*images, self.fit, paths)
        if self.register:
            alignment = align(image_a, image_b, self.register)
            if alignment.verdict == 'unsure':
                raise DataError(f'{paths[1]} cannot be registered to {paths[0]}: {alignment.evidence}.',
                                'Look at both with `vlfusion check-pairs`; register them by hand, or fuse them without '
                                '--register.')
            if alignment.verdict == 'misaligned':
                image_b = move(image_b, alignment)
            self._alignments[pair] = alignment
        note_suspicion(*paths, image_a, image_b, self.task)
        return [image_a, image_b]

    def _inputs(self, pair: Pair, images: Mapping[str, Image], given: Mapping[str, np.ndarray],
                described: bool) -> dict[str, Shaped[Tensor, '1 ...']]:
        """Inputs of the network for a pair; the pair is described first unless its texts are given or in the store."""
        texts = self.texts.features(pair, given, described)
        if 'region' in images and INSTRUCTION in self.text_dims and INSTRUCTION not in texts:
            raise ConfigError(f'The map region of {pair.name} says where an instruction holds, but there is none.',
                              'Give an instruction, or leave the map out.')
        height, width = images['source_a'].shape[:2]
        for name, image in images.items():
            if image.shape[:2] != (height, width):
                raise DataError(f'The map {name!r} is {image.shape[1]}x{image.shape[0]}, but its sources are '
                                f'{width}x{height}.', 'Make it of their size first.')
        planes = {name: torch.from_numpy(luminance(image))[None, None] for name, image in images.items()}
        return planes | {name: torch.from_numpy(features)[None] for name, features in texts.items()}

    def _region(self, pair: Pair, inputs: Mapping[str, Tensor], given: Collection[str],
                instruction: str | None) -> dict[str, Float[Tensor, '1 1 h w']]:
        """The region that an instruction concerns, as a map, if it names a thing that a captioner has found."""
        described = any(name not in given for name in self.texts.about_images)
        if not instruction or 'region' not in self.maps or 'region' in inputs or not described:
            return {}
        if self.register or self.fit == 'crop':  # captioners see the images as they are stored
            return {}
        if not (named := self.texts.named_boxes(pair, instruction)):
            return {}
        self.network.note(f'{pair.name}: the instruction concerns '
                          + ' and '.join(f'{len(boxes)} x {thing!r}' for thing, boxes in named.items())
                          + ', where a captioner found it.')
        boxes = [box for boxes in named.values() for box in boxes]
        return {'region': torch.from_numpy(boxes_weight(boxes, *inputs['source_a'].shape[2:]))[None, None]}

    def _finish(self, loaded: _Loaded, output: Float[Tensor, '1 1 h w'],
                finish: Callable[[Pair, Fused], None] | None = None) -> Fused:
        strength = self.network.colour_strength(loaded.inputs)
        loaded.inputs.clear()  # they take as much memory as the steps that follow
        with self._named_backbone():
            fused = make_picture(output, loaded.image_a, loaded.image_b, protocol=self.protocol, chroma=self.chroma,
                                 name=loaded.pair.name, colour_strength=strength, depth=self.depth)
        fused = replace(fused, alignment=self._alignments.pop(loaded.pair, None))
        if finish:
            finish(loaded.pair, fused)
        return fused

    @contextmanager
    def _named_backbone(self) -> Iterator[None]:
        """Put the name of the backbone in front of what is wrong with its output."""
        try:
            yield
        except DataError as error:
            backbone = type(self.model.backbone).__name__
            raise DataError(f'The backbone {backbone}: {error.problem}', error.remedy) from error
