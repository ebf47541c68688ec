"""The scorer: every score of `evaluate`, `test`, `benchmark` and `reproduce` comes from `score_planes`."""

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence

from vlfusion.errors import DataError, VLFusionError
from vlfusion.imaging.arrays import AnyImage, as_image
from vlfusion.imaging.protocol import Planes, get_protocol, planes_of
from vlfusion.metrics.base import MetricInfo, as_double
from vlfusion.metrics.columns import metric_of
from vlfusion.metrics.sharing import sharing
from vlfusion.metrics.undefined import Undefined, undefined

#: Images of a pair by their keys, and their names in messages.
IN_WORDS = {'fused': 'the fused image', 'source_a': 'source A', 'source_b': 'source B', 'truth': 'the truth'}
#: Default metrics, those of FILM's tables.
DEFAULT_METRICS = ('EN', 'SD', 'SF', 'AG', 'VIF', 'Qabf')
#: Default metrics that compare to true images.
DEFAULT_TRUTH_METRICS = ('PSNR', 'SSIM')


def score(fused: AnyImage, source_a: AnyImage, source_b: AnyImage, names: str | Sequence[str] | None = None,
          protocol: str = 'plain', maps: Mapping[str, AnyImage] | None = None) -> dict[str, float]:
    """Score a fused image. `vlfusion evaluate` gives the same scores for the same files under the same protocol.

    The default protocol is `plain` here and `film` there. Name the protocol to compare numbers of both.

    Args:
        fused: a file, the result of a `Fuser`, or an image in memory. In memory it is a PIL image, a NumPy array
            `(h, w)` or `(h, w, 3)` in red-green-blue, or a tensor `(h, w)`, `(1, h, w)` or `(3, h, w)`; uint8, uint16
            or floats in [0, 1]; see `vlfusion.imaging.arrays.as_image`.
        source_a, source_b: the sources, in any of these forms, of the same height and width.
        names: names of metrics, perhaps with a variant (`MI:tang`); by default EN, SD, SF, AG, VIF and Qabf.
        protocol: protocol that chooses how images become grey levels and the variants of metrics: `plain`, `film` ...
        maps: further images of the pair by name, in any of these forms, for metrics that read them.

    Returns:
        Scores by the names that were given.

    Raises:
        DataError: an image cannot be read, the sizes differ, or a metric does not support the images.
        UnknownNameError: no metric, or no variant of it, has that name.
        ConfigError: no protocol has that name.

    >>> import numpy as np
    >>> a = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    >>> b = 2 * a.T
    >>> fused = ((a.astype(int) + b) // 2).astype(np.uint8)
    >>> {name: round(value, 3) for name, value in score(fused, a, b, ['EN', 'SF', 'Qabf']).items()}
    {'EN': 6.36, 'SF': 1.222, 'Qabf': 0.376}
    """
    rules = get_protocol(protocol)
    given = dict(fused=fused, source_a=source_a, source_b=source_b, **(maps or {}))
    images = {what: as_image(image, what) for what, image in given.items()}
    if len({image.shape[:2] for image in images.values()}) > 1:
        sizes = ', '.join(f'{what} is {image.shape[1]}x{image.shape[0]}' for what, image in images.items())
        raise DataError(f'The images differ in size: {sizes} (width x height).', 'Give images of one size.')
    names = [names] if isinstance(names, str) else names or DEFAULT_METRICS
    planes = dict(zip(images, planes_of([*images.values()], rules), strict=True))
    scores, _ = score_planes('the image', planes, names, code=rules.code)
    return scores


def score_planes(name: str, images: Mapping[str, Planes], columns: Iterable[str], *, code: str = '',
                 stop: threading.Event | None = None,
                 optional: Collection[str] = ()) -> tuple[dict[str, float | None], list[Undefined]]:
    """Score one fused image in float64; each score is the mean over its planes.

    Args:
        name: name of the image, for messages.
        images: `fused`, `source_a`, `source_b`, perhaps the `truth`, and maps by name, as
            `vlfusion.imaging.protocol.grey_levels` returns them: `(channel, 1, h, w)`, grey levels in 0..255.
        columns: names of metrics; a metric that compares to the truth is `truth/PSNR`.
        code: default variant for names without one; see `vlfusion.metrics.metric`.
        stop: event that stops the work; once it is set, no further metric is computed.
        optional: columns that become None if they cannot be computed.

    Returns:
        The scores by column, and a list of the scores that are not finite or None.

    Raises:
        UnknownNameError: no metric, or no variant of it, has that name.
        DataError: a metric that is not optional does not support the images, or needs a map that is not given.
    """
    scores, unfinite = {}, []
    with sharing():
        images = {key: as_double(image) for key, image in images.items()}
        for column in columns:
            if stop and stop.is_set():
                break
            try:
                compared = _compared(metric_of(column, code).info, images)
                values = metric_of(column, code)(*compared.values()).cpu()
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


def _compared(info: MetricInfo, images: Mapping[str, Planes]) -> dict[str, Planes]:
    """Pick the images that a metric takes, by their names in messages."""
    if lacking := [key for key in info.inputs if key not in images]:
        what, remedy = IN_WORDS.get(lacking[0], f'the map {lacking[0]!r}'), (
            f"Give it with --map {lacking[0]}=DIR, or maps=dict({lacking[0]}='DIR') in the data set."
            if lacking[0] in info.maps else 'Give it, or leave the metric out.')
        raise DataError(f'{info.label} needs {what} of every pair.', remedy)
    return {IN_WORDS.get(key, f'the map {key}'): images[key] for key in info.inputs}
