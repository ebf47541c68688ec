"""Support for captioners of former interfaces: `observe(images, modality)` of single images, `observe_pairs`, `stream`.

They still run, with a DeprecationWarning. `vlfusion.language.interfaces.Captioner` replaces these interfaces.
"""

import inspect
import warnings
from collections.abc import Callable, Sequence
from operator import itemgetter

from vlfusion.errors import ConfigError
from vlfusion.language.interfaces import Captioner, Image, Observation


def images_of(cls: type) -> int:
    """Return the number of images that a class of captioners sees at once: 1 or 2.

    Raises:
        ConfigError: its attribute `images` is another value.
    """
    images = 2 if hasattr(cls, 'observe_pairs') else getattr(cls, 'images', 1)
    if images not in (1, 2):
        raise ConfigError(f'{cls.__name__}.images is {images!r}.',
                          'Set it to 1, or to 2 for a captioner of pairs.')
    return images


def up_to_date(captioner: object) -> Captioner:
    """Return the captioner itself, or wrap it if its interface is a former one.

    Raises:
        ConfigError: it has no method that observes, or its `images` is neither 1 nor 2.
    """
    cls = type(captioner)
    if not any(hasattr(cls, name) for name in ('observe', 'observe_pairs', 'stream')):
        raise ConfigError(f'The captioner {cls.__name__} has no method observe.',
                          'Give it observe(self, scenes, modalities), see docs/howto/captioner.md.')
    former = [name for name in ('observe_pairs', 'stream') if hasattr(cls, name)]
    if not former and hasattr(cls, 'images') and 'modality' not in inspect.signature(cls.observe).parameters:
        return captioner
    warnings.warn(f'The captioner {cls.__name__} has a former interface. Give the class images = {images_of(cls)} and '
                  'one method observe(self, scenes, modalities); see docs/howto/captioner.md.',
                  DeprecationWarning, stacklevel=2)
    return _Former(captioner)


class _Former:
    """Wrapper that gives a captioner of a former interface the present one."""

    def __init__(self, captioner: object):
        cls = type(captioner)
        self.version, self.images = getattr(cls, 'version', None), images_of(cls)
        self._observe = _streamed(captioner.stream) if hasattr(cls, 'stream') else (
            captioner.observe_pairs if self.images == 2 else captioner.observe)

    def observe(self, scenes: Sequence[tuple[Image, ...]],
                modalities: tuple[str, ...]) -> list[list[Observation] | Exception]:
        if self.images == 2:
            return self._observe(scenes, modalities)
        return self._observe([image for image, in scenes], *modalities)


def _streamed(stream: Callable) -> Callable:
    return lambda scenes, modalities: [result for _, result in sorted(stream(scenes, modalities), key=itemgetter(0))]
