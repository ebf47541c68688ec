"""Fusing images outside of a data set: two files, or two folders, with a checkpoint.

    from vlfusion import Fuser
    fuser = Fuser('work_dirs/film_med/best.pth')
    fuser('mri.png', 'pet.png').save('fused.png')
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from mmengine.device import get_device

from vlfusion.checkpoints import load_model
from vlfusion.data.pairs import Pair
from vlfusion.data.tasks import task as task_of
from vlfusion.data.text import text_configs, text_sources
from vlfusion.errors import ConfigError, DataError, did_you_mean
from vlfusion.evaluation.protocol import protocol as protocol_of
from vlfusion.images import add_chroma, luminance, read_image, write_image
from vlfusion.language.fixed import encode_fixed
from vlfusion.models import text_dims


@dataclass(frozen=True)
class Fused:
    """One fused pair: 8-bit luminance `grey` `(h, w)`, and `colour` `(h, w, 3)` blue-green-red, or grey again where
    neither source has any colour."""

    name: str
    grey: UInt8[np.ndarray, 'h w']
    colour: UInt8[np.ndarray, 'h w *bgr']

    def save(self, path: str | os.PathLike, grey: bool = False) -> None:
        """Write the colour image, or the grey one, in the format of the path's ending."""
        write_image(path, self.grey if grey else self.colour)


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
        store: folder of the text store, where the checkpoint's own is not wanted.
        device: by default CUDA where there is one.
    """

    def __init__(self, checkpoint: str | os.PathLike, task: str | None = None, protocol: str | None = None,
                 store: str | os.PathLike | None = None, device: str | None = None,
                 modality_a: str | None = None, modality_b: str | None = None):
        self.device = device or get_device()
        model, experiment = load_model(checkpoint)
        self.model = model.to(self.device)
        self.task = task_of(task or experiment['task'])
        self.protocol = protocol_of(protocol or experiment.get('protocol', 'film'))
        self.modality_a = modality_a or self.task.modality_a
        self.modality_b = modality_b or self.task.modality_b
        self.language = experiment.get('language')
        if self.language and store:
            self.language['store'] = str(store)
        self.text_dims = text_dims(self.model.backbone)
        self.text_source = {name: _for_new_images(experiment.get('text_source'), name) for name in self.text_dims}

    def __call__(self, path_a: str | os.PathLike, path_b: str | os.PathLike,
                 text: np.ndarray | Mapping[str, np.ndarray] | None = None) -> Fused:
        """Fuse two image files of one height and width.

        Args:
            path_a: source A of the task (infrared, MRI, over-exposed, near-focused).
            path_b: source B.
            text: token features `(token, dim)` of the pair's description, or a dict of them where the model reads
                several texts; made from the images where they are needed and not given.

        Raises:
            DataError: an image cannot be read, the two differ in size, or the text has another width than the model's.
            ConfigError: the model reads text, none was given, and the checkpoint does not say how to describe images.
        """
        image_a, image_b = read_image(path_a), read_image(path_b)
        if image_a.shape[:2] != image_b.shape[:2]:
            raise DataError(f'The images differ in size: {path_a} is {image_a.shape[1]}x{image_a.shape[0]}, '
                            f'{path_b} is {image_b.shape[1]}x{image_b.shape[0]}.', 'Register and resize them first.')
        pair = Pair(Path(path_a).stem, Path(path_a), Path(path_b), self.modality_a, self.modality_b)
        given = self._given(text)
        if lacking := [name for name in self.text_dims if name not in given]:
            self.describe([pair], lacking)
        inputs = {name: self._checked(name, given.get(name), pair) for name in self.text_dims}
        sources = dict(source_a=luminance(image_a)[None], source_b=luminance(image_b)[None])
        batch = {key: torch.from_numpy(np.ascontiguousarray(array))[None].to(self.device)
                 for key, array in {**sources, **inputs}.items()}
        with torch.no_grad():  # not inference_mode, in which a method could not optimise anything at test time
            fused = self.model(**batch)
        grey = self.protocol.quantise(fused)[0, 0].cpu().numpy()
        return Fused(pair.name, grey, add_chroma(grey, image_a, image_b, self.task.chroma))

    def describe(self, pairs: Sequence[Pair], texts: Sequence[str] | None = None) -> None:
        """Describe many pairs in one batch, which is quicker than leaving each to its own call.

        Args:
            pairs: to be described.
            texts: the names of the texts that are wanted, of a model that reads several; None for all.
        """
        sources = [self.text_source[name] for name in (self.text_source if texts is None else texts)]
        fixed = [source['fixed'] for source in sources if 'fixed' in source]
        if fixed and self.language:
            encode_fixed(self.language, fixed)
        if len(fixed) < len(sources):
            self._pipeline.run(self._pipeline.subjects(pairs)).raise_if_failed()

    @cached_property
    def _pipeline(self):
        # Kept, so that the text encoder is loaded once for all pairs.
        from vlfusion.language.pipeline import DescriptionPipeline
        if self.language is None:
            raise ConfigError('The model reads text, but its checkpoint does not say how to describe images.',
                              'Give the features of the pair: `text=` in Python, --text on the command line.')
        return DescriptionPipeline(self.language)

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
            text = text_sources({name: self.text_source[name]}, self.language, '.')[name].load(pair)
        if text.ndim != 2 or text.shape[1] != self.text_dims[name]:
            raise DataError(f'The model reads {name} features (token, {self.text_dims[name]}), but got {text.shape}.',
                            'Use features of the encoder it was trained with.')
        return text.astype(np.float32)


def _for_new_images(source: Mapping | None, name: str) -> Mapping:
    """What a model's text is read from; one that was trained on published features has its new images described."""
    own = text_configs(source).get(name, {})
    return own if own and 'files' not in own else {'stream': 'pair/paragraph'}
