"""The scorer: every score of `evaluate`, `test`, `benchmark` and `reproduce` comes from `score_planes`."""

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from vlfusion.errors import DataError, VLFusionError
from vlfusion.imaging.arrays import AnyImage, as_image
from vlfusion.imaging.protocol import Planes, Protocol, get_protocol, planes_of
from vlfusion.metrics.base import Metric, MetricInfo, as_double
from vlfusion.metrics.columns import metric_of
from vlfusion.metrics.sharing import sharing
from vlfusion.metrics.undefined import Undefined, undefined

#: Images of a pair by their keys, and their names in messages.
IN_WORDS = {'fused': 'the fused image', 'source_a': 'source A', 'source_b': 'source B', 'truth': 'the truth'}
#: Keys of the sources of a pair.
PAIR = ('source_a', 'source_b')
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
    planes = dict(zip(images, _planes(images, rules), strict=True))
    scores, _ = score_planes('the image', planes, _names(names), code=rules.code)
    return scores


def _planes(images: Mapping[str, np.ndarray], rules: Protocol) -> list[Planes]:
    if len({image.shape[:2] for image in images.values()}) > 1:
        sizes = ', '.join(f'{what} is {image.shape[1]}x{image.shape[0]}' for what, image in images.items())
        raise DataError(f'The images differ in size: {sizes} (width x height).', 'Give images of one size.')
    return planes_of([*images.values()], rules)


def _names(names: str | Sequence[str] | None) -> Sequence[str]:
    return [names] if isinstance(names, str) else names or DEFAULT_METRICS


def score_stack(fused: AnyImage, sources: Sequence[AnyImage], names: str | Sequence[str] | None = None,
                protocol: str = 'plain') -> dict[str, float]:
    """Score an image that is fused from a stack of sources; for two, the result is that of `score`.

    Metrics that look at the fused image alone are the same for any number of sources. Metrics that sum or average a
    value of each source sum or average over all: a sum over `n` sources is divided by `n / 2`, so that stacks of
    different sizes can be compared. `Qabf`, `MEF_SSIM` and `MEF_MS_SSIM` are defined for any number. Memory holds all
    sources.

    Args:
        fused, names, protocol: as for `score`.
        sources: two or more images, in the forms that `score` takes.

    Raises:
        DataError: as for `score`; or a metric is defined for two sources only.
        UnknownNameError, ConfigError: as for `score`.

    >>> import numpy as np
    >>> a = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    >>> {name: round(value, 3) for name, value in score_stack(a, [a, 2 * a.T, 3 * a], ['EN', 'CC', 'Qabf']).items()}
    {'EN': 6.0, 'CC': 0.667, 'Qabf': 0.24}
    """
    if len(sources) < 2:
        raise DataError(f'A stack has two sources or more, but got {len(sources)}.', 'Give all sources.')
    rules, keys = get_protocol(protocol), stack_keys(len(sources))
    images = {what: as_image(image, what) for what, image in zip(('fused', *keys), (fused, *sources), strict=True)}
    planes = dict(zip(images, _planes(images, rules), strict=True))
    scores, _ = score_planes('the image', planes, _names(names), code=rules.code, sources=keys)
    return scores


def stack_keys(count: int) -> tuple[str, ...]:
    """Keys of the sources of a stack: those of a pair if it has two.

    >>> stack_keys(2), stack_keys(3)
    (('source_a', 'source_b'), ('source_1', 'source_2', 'source_3'))
    """
    return PAIR if count == 2 else tuple(f'source_{number}' for number in range(1, count + 1))


def score_planes(name: str, images: Mapping[str, Planes], columns: Iterable[str], *, code: str = '',
                 stop: threading.Event | None = None, optional: Collection[str] = (),
                 sources: tuple[str, ...] = PAIR) -> tuple[dict[str, float | None], list[Undefined]]:
    """Score one fused image in float64; each score is the mean over its planes.

    Args:
        name: name of the image, for messages.
        images: `fused`, `source_a`, `source_b`, perhaps the `truth`, and maps by name, as
            `vlfusion.imaging.protocol.grey_levels` returns them: `(channel, 1, h, w)`, grey levels in 0..255.
        columns: names of metrics; a metric that compares to the truth is `truth/PSNR`.
        code: default variant for names without one; see `vlfusion.metrics.metric`.
        stop: event that stops the work; once it is set, no further metric is computed.
        optional: columns that become None if they cannot be computed.
        sources: keys of the sources in `images`, see `stack_keys`.

    Returns:
        The scores by column, and a list of the scores that are not finite or None.

    Raises:
        UnknownNameError: no metric, or no variant of it, has that name.
        DataError: a metric that is not optional does not support the images or their number, or needs a map that is
            not given.
    """
    scores, unfinite = {}, []
    with sharing():
        images = {key: as_double(image) for key, image in images.items()}
        for column in columns:
            if stop and stop.is_set():
                break
            try:
                metric = metric_of(column, code)
                compared = _compared(metric.info, images, sources)
                values = _over_sources(metric, compared, len(sources)).cpu()
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


def _over_sources(metric: Metric, compared: Mapping[str, Planes], count: int) -> Float[Tensor, ' plane']:
    """Compute a metric for any number of sources; `compared` holds the fused image, the sources and then the maps."""
    info, (fused, *others) = metric.info, compared.values()
    if info.over == 'truth' or count == 2 or info.many:
        return metric(fused, *others)
    sources, maps = others[:count], others[count:]
    if info.over == 'none':
        return metric(fused, *sources[:2], *maps)
    if info.over in ('sum', 'mean') and info.many is None:
        # With one image as both sources, the sum is twice its value and the mean is its value.
        return sum(metric(fused, source, source, *maps) for source in sources) / count
    raise DataError(f'{info.label} is defined for two sources, but there are {count}.',
                    'Choose metrics for any number: Qabf, MEF_SSIM, those of the fused image alone, such as EN, and '
                    'those with a value for each source, such as VIF.')


def _compared(info: MetricInfo, images: Mapping[str, Planes], sources: tuple[str, ...]) -> dict[str, Planes]:
    """Pick the images that a metric takes, by their names in messages."""
    keys = info.inputs if info.over == 'truth' else ('fused', *sources, *info.maps)
    if lacking := [key for key in keys if key not in images]:
        what, remedy = IN_WORDS.get(lacking[0], f'the map {lacking[0]!r}'), (
            f"Give it with --map {lacking[0]}=DIR, or maps=dict({lacking[0]}='DIR') in the data set."
            if lacking[0] in info.maps else 'Give it, or leave the metric out.')
        raise DataError(f'{info.label} needs {what} of every pair.', remedy)
    words = IN_WORDS | {key: key.replace('_', ' ') for key in sources if sources != PAIR}
    return {words.get(key, f'the map {key}'): images[key] for key in keys}
