"""The scorer: every score of `evaluate`, `test`, `benchmark` and `reproduce` comes from `score_planes`."""

import threading
from collections.abc import Collection, Iterable, Sequence

from vlfusion.errors import DataError, VLFusionError
from vlfusion.imaging.arrays import AnyImage, as_image
from vlfusion.imaging.protocol import Planes, get_protocol, planes_of
from vlfusion.metrics.base import as_double
from vlfusion.metrics.columns import TRUTH, metric_of
from vlfusion.metrics.sharing import sharing
from vlfusion.metrics.undefined import Undefined, undefined

#: What is scored if nobody names metrics: those of FILM's tables.
DEFAULT_METRICS = ('EN', 'SD', 'SF', 'AG', 'VIF', 'Qabf')
#: The same where there are true images.
DEFAULT_TRUTH_METRICS = ('PSNR', 'SSIM')


def score(fused: AnyImage, source_a: AnyImage, source_b: AnyImage, names: str | Sequence[str] | None = None,
          protocol: str = 'plain') -> dict[str, float]:
    """The scores of a fused image, as `vlfusion evaluate` gives them for the same files under the same protocol.

    The default is `plain` here and `film` there: name the protocol to compare numbers of both.

    Args:
        fused: a file, what a `Fuser` returns, or an image in memory as `vlfusion.imaging.arrays.as_image` takes it: a
            PIL image, a NumPy array `(h, w)` or `(h, w, 3)` in red-green-blue, or a tensor `(h, w)`, `(1, h, w)` or
            `(3, h, w)`; uint8, uint16 or floats in [0, 1].
        source_a, source_b: likewise, of the same height and width.
        names: names of metrics, with a variant if need be (`MI:tang`); None for EN, SD, SF, AG, VIF and Qabf.
        protocol: how images become grey levels, and whose variants of the metrics are meant: `plain`, `film` ...

    Returns:
        Scores by metric, named as they were asked for.

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
    names = [names] if isinstance(names, str) else names or DEFAULT_METRICS
    scores, _ = score_planes('the image', planes_of(images, kind), names, code=kind.code)
    return scores


def score_planes(name: str, images: Sequence[Planes], columns: Iterable[str], *, code: str = '',
                 stop: threading.Event | None = None,
                 optional: Collection[str] = ()) -> tuple[dict[str, float | None], list[Undefined]]:
    """The scores of one fused image, each the mean over its planes, and those that are not finite or not there.

    Everything is computed in float64.

    Args:
        name: of the image, for messages.
        images: the fused image, source A, source B and perhaps the truth, as `vlfusion.imaging.protocol.grey_levels`
            returns them: `(channel, 1, h, w)`, grey levels in 0..255.
        columns: names of metrics, those that compare to the truth as `truth/PSNR`.
        code: whose variants are meant where a name says none; see `vlfusion.metrics.metric`.
        stop: once it is set, no further metric is computed.
        optional: columns that are None where they cannot be computed.

    Raises:
        UnknownNameError: no metric, or no variant of it, has that name.
        DataError: the images do not suit a metric that is not optional.
    """
    scores, unfinite = {}, []
    with sharing():
        images = [as_double(image) for image in images]
        to_sources = dict(zip(('the fused image', 'source A', 'source B'), images[:3], strict=True))
        to_truth = dict(zip(('the fused image', 'the truth'), (images[0], *images[3:]), strict=False))
        for column in columns:
            if stop and stop.is_set():
                break
            compared = to_truth if column.startswith(TRUTH) else to_sources
            try:
                values = metric_of(column, code)(*compared.values())
            except Exception as error:  # a plugin's metric may fail in any way
                if column not in optional:
                    raise
                why = error.problem if isinstance(error, VLFusionError) else f'{type(error).__name__}: {error}'
                scores[column] = None
                unfinite.append(Undefined(name, column, None, (why.removesuffix('.'),)))
                continue
            scores[column] = values.mean().item()
            unfinite += undefined(name, {column: values}, compared)
    return scores, unfinite
