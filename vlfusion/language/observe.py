"""Try a captioner on one image or one pair, without a config and without a text store."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from vlfusion.errors import ConfigError
from vlfusion.guards.arguments import check_arguments
from vlfusion.imaging.images import read_image
from vlfusion.language.former import images_of, up_to_date
from vlfusion.language.interfaces import Observation
from vlfusion.registry import CAPTIONERS


def observe(captioner: Mapping, images: Sequence[str | os.PathLike],
            modalities: Sequence[str] = ()) -> list[Observation]:
    """Return the observations of a captioner about one image, or about both images of a pair. Nothing is stored.

    Args:
        captioner: the config of the captioner, such as `dict(type='MeasuredCaptioner')`.
        images: the image file, or for a captioner of pairs the files of source A and source B.
        modalities: the modality of each image, such as `infrared`; by default unknown.

    Raises:
        ConfigError: the captioner cannot be built, or sees another number of images.
        DataError: an image cannot be read, or the captioner failed to describe it.
    """
    cls = CAPTIONERS.get(captioner['type'])
    check_arguments(cls, captioner)
    modalities = tuple(modalities) or ('',) * len(images)
    if not len(images) == len(modalities) == images_of(cls):
        raise ConfigError(f'{captioner["type"]} looks at {images_of(cls)} images at once, but got {len(images)} images '
                          f'and {len(modalities)} modalities.',
                          f'Give {images_of(cls)} of each, or leave the modalities out.')
    scene = tuple(read_image(Path(path)) for path in images)
    [observations] = up_to_date(CAPTIONERS.build(dict(captioner))).observe([scene], modalities)
    if isinstance(observations, Exception):
        raise observations
    return observations
