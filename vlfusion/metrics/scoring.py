"""Scores of one fused image, in memory or in a file."""

from collections.abc import Sequence

from vlfusion.errors import DataError
from vlfusion.imaging.arrays import AnyImage, as_image
from vlfusion.imaging.protocol import get_protocol, grey_levels
from vlfusion.metrics.base import metric
from vlfusion.metrics.sharing import sharing

#: What is scored if nobody names metrics: those of FILM's tables.
DEFAULT_METRICS = ('EN', 'SD', 'SF', 'AG', 'VIF', 'Qabf')


def score(fused: AnyImage, source_a: AnyImage, source_b: AnyImage, names: str | Sequence[str] | None = None,
          protocol: str = 'plain') -> dict[str, float]:
    """The scores of a fused image, as `vlfusion evaluate` gives them for the same images in files.

    Args:
        fused: a file, what a `Fuser` returns, or an image in memory as `vlfusion.imaging.arrays.as_image` takes it: a
            PIL image, a NumPy array `(h, w)` or `(h, w, 3)` in red-green-blue, or a tensor `(h, w)`, `(1, h, w)` or
            `(3, h, w)`; uint8, uint16 or floats in [0, 1].
        source_a, source_b: likewise, of the same height and width.
        names: names of metrics, with a variant if need be (`MI:tang`); None for EN, SD, SF, AG, VIF and Qabf.
        protocol: how images become grey levels, and whose variants of the metrics are meant: `plain`, `film` ...

    Raises:
        DataError: an image is not one, the sizes differ, or the images do not suit a metric.
        UnknownNameError: no metric, or no variant of it, has that name.
        ConfigError: no protocol has that name.

    >>> import numpy as np
    >>> a = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    >>> b = 2 * a.T
    >>> fused = ((a.astype(int) + b) // 2).astype(np.uint8)
    >>> {name: round(value, 3) for name, value in score(fused, a, b, ['EN', 'SF', 'Qabf']).items()}
    {'EN': 6.36, 'SF': 1.222, 'Qabf': 0.376}
    """
    kind = get_protocol(protocol)
    images = [as_image(image, what) for image, what in ((fused, 'fused'), (source_a, 'source_a'),
                                                        (source_b, 'source_b'))]
    if len({image.shape[:2] for image in images}) > 1:
        sizes = ', '.join(f'{what} is {image.shape[1]}x{image.shape[0]}'
                          for what, image in zip(('fused', 'source_a', 'source_b'), images, strict=True))
        raise DataError(f'The images differ in size: {sizes} (width x height).', 'Give images of one size.')
    colour = kind.colour == 'channels' and images[0].ndim == 3
    planes = [grey_levels(image, kind, colour) for image in images]
    names = [names] if isinstance(names, str) else names or DEFAULT_METRICS
    with sharing():
        return {name: metric(name, kind.code)(*planes).mean().item() for name in names}
