"""Parts that all metrics share: registration, named variants, facts for reports, the check of arguments."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial, wraps
from typing import Any, Literal

import torch
from torch import Tensor

from vlfusion.errors import DataError, UnknownNameError, did_you_mean
from vlfusion.metrics.sharing import shared, sharing
from vlfusion.registry import FUSION_METRICS, TRUTH_METRICS

Metric = Callable[..., Tensor]

#: Published code, by the names of variants.
CODES = {
    'film': 'FILM, Zhaozixiang1228/IF-FILM, utils/Evaluator.py',
    'cddfuse': 'CDDFuse, Zhaozixiang1228/MMIF-CDDFuse, utils/Evaluator.py',
    'vifb': 'VIFB, xingchenzhang/VIFB, metrics/*.m',
    'mefb': 'MEFB, xingchenzhang/MEFB, metrics/*.m',
    'tang': 'Linfeng-Tang/Evaluation-for-Image-Fusion, in floating point',
    'liu': 'Z. Liu, zhengliu6699/imageFusionMetrics',
    'nava': 'Z. Liu, zhengliu6699/imageFusionMetrics, metricMI.m with its third switch',
    'han': 'Y. Han, VIFF_Public.m',
    'haghighat': 'M. Haghighat, mhaghighat/fmi',
    'textfusion': 'TextFusion, AWCXV/TextFusion, textual_attention_metrics/*.m',
}


@dataclass(frozen=True)
class Variant:
    """A way to compute a metric that differs from the default.

    Attributes:
        note: difference from the default, in words.
        options: keyword arguments of the metric's function.
        facts: fields of `MetricInfo` that differ.
    """

    note: str
    options: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MetricInfo:
    """Facts about a metric, the attribute `info` of its function.

    Attributes:
        name: name of the function, under which it is registered.
        title: name in words.
        direction: whether `higher` or `lower` values are better, or `neither`, as for a mean grey level.
        range: least and greatest value.
        source: publication that defines the metric.
        over: treatment of the two sources: `none` (only the fused image counts), `sum` or `mean` of one value for each,
            `weighted` by the content of each source at a place, `joint` (one value from all three images), or `truth`
            (the fused image is compared to the true image instead).
        many: True if the function takes more than two sources, `(fused, *sources)`; False if the metric is for two
            sources only; None if `over` decides: `none`, `sum` and `mean` are defined for any number.
        maps: names of further images of the pair that it reads after the sources.
        unit: unit of the value; empty for a plain number.
        smallest: least height and width in pixels for which the metric is defined.
        agrees: names in `CODES` of published code that computes the same as the default.
        variants: variants of other published code, by name.
        aliases: other names in the field.
        variant: name of this variant; empty for the default.
    """

    name: str
    title: str
    direction: Literal['higher', 'lower', 'neither']
    range: tuple[float, float]
    source: str
    over: Literal['none', 'sum', 'mean', 'weighted', 'joint', 'truth']
    many: bool | None = None
    maps: tuple[str, ...] = ()
    unit: str = ''
    smallest: int = 1
    agrees: tuple[str, ...] = ()
    variants: Mapping[str, Variant] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    variant: str = ''

    @property
    def higher(self) -> bool:
        """True if higher values are better."""
        return self.direction == 'higher'

    @property
    def arrow(self) -> str:
        """Arrow to the better side; empty if neither is."""
        return {'higher': '↑', 'lower': '↓', 'neither': ''}[self.direction]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the images that it takes, in order."""
        return ('fused', 'truth') if self.over == 'truth' else ('fused', 'source_a', 'source_b', *self.maps)

    @property
    def label(self) -> str:
        """`MI`, or `MI:film` for a variant."""
        return f'{self.name}:{self.variant}' if self.variant else self.name


def variant(note: str, /, **options: Any) -> Variant:
    """Make a `Variant` from its note, and the fields of `MetricInfo` and arguments of the function that differ.

    >>> variant('in nat', base=2.718, unit='nat')
    Variant(note='in nat', options={'base': 2.718}, facts={'unit': 'nat'})
    """
    facts = {item.name: options.pop(item.name) for item in fields(MetricInfo) if item.name in options}
    return Variant(note, options, facts)


def fusion_metric(*, over: str, **facts: Any) -> Callable[[Metric], Metric]:
    """Register a function `(fused, source_a, source_b) -> (batch,)` in `FUSION_METRICS` under its own name.

    The function may rely on its arguments: three tensors `(batch, 1, h, w)` of one shape and device in float64, with
    grey levels in 0..255 and at least `smallest` pixels high and wide. Other images raise a `DataError` before it is
    called. (In float32, most metrics would lose precision in differences of nearly equal numbers.) Callers may give
    float32 as well; the result has the type of their images, and no gradient.

    With `many=True` the function takes any number of sources, `(fused, *sources)`.

    With `maps`, such as `maps=('reference',)`, the function takes these images of the pair after the sources.

    The arguments here are the fields of `MetricInfo`. A value in `variants` is a `variant(...)`, or the name of another
    variant that it equals.

    >>> from vlfusion.metrics import EN, MI
    >>> EN.info.title, EN.info.unit, EN.info.range
    ('Entropy', 'bit', (0.0, 8.0))
    >>> MI.info.unit, metric('MI:film').info.unit
    ('bit', 'nat')
    """
    return partial(_register, FUSION_METRICS, {'over': over, **facts})


def truth_metric(**facts: Any) -> Callable[[Metric], Metric]:
    """Register a function `(fused, truth) -> (batch,)` in `TRUTH_METRICS`; the rest is as for `fusion_metric`."""
    return partial(_register, TRUTH_METRICS, {'over': 'truth', **facts})


def metric(name: str, code: str = '', truth: bool = False) -> Metric:
    """The metric of that name, which may include a variant.

    Args:
        name: `MI`, or `MI:film` for a variant; `package.Name` for a plugin's metric.
        code: default variant for a name without one, if the metric has it: a name in `CODES`, or empty.
        truth: whether to look among the metrics that compare to a true image.

    Raises:
        UnknownNameError: no metric, or no variant of it, has that name.

    >>> metric('MI', code='film').info.label, metric('EN', code='film').info.label
    ('MI:film', 'EN')
    """
    name, _, variant = name.partition(':')
    default = (TRUTH_METRICS if truth else FUSION_METRICS).get(name)
    if variant and variant not in (*default.info.agrees, *default.variants):
        raise UnknownNameError(f'{name} has no variant {variant!r}.',
                               did_you_mean(variant, (*default.info.agrees, *default.variants)))
    return default.variants.get(variant or code, default)


def metric_names(truth: bool = False, maps: Collection[str] | None = ()) -> list[str]:
    """Names of the registered metrics without aliases, sorted; a plugin's metric is `package.Name`.

    Args:
        truth: whether to list the metrics that compare to a true image.
        maps: maps that the pairs have; metrics that read others are left out. None for all metrics.
    """
    registry = TRUTH_METRICS if truth else FUSION_METRICS
    infos = {name: registry.get(name).info for name in registry.names()}
    return [name for name, info in infos.items()
            if info.name == name.rpartition('.')[2] and (maps is None or {*info.maps} <= {*maps})]


def _register(registry, facts: dict[str, Any], function: Metric) -> Metric:
    variants = facts.get('variants', {})
    variants = {name: variants[other] if isinstance(other, str) else other for name, other in variants.items()}
    info = MetricInfo(**{'name': function.__name__, **facts, 'variants': variants})
    registered = _checked(info, function)
    registered.variants = {
        name: _checked(replace(info, variant=name, **other.facts), function, other.options)
        for name, other in variants.items()}
    for name in (info.name, *info.aliases):
        registry.register_module(name=name, module=registered)
    return registered


def _checked(info: MetricInfo, function: Metric, options: Mapping[str, Any] | None = None) -> Metric:
    arguments = info.inputs

    @wraps(function)
    def checked(*images: Tensor, **named: Tensor) -> Tensor:
        images = (*images, *(named[name] for name in arguments[len(images):]))
        sources = [f'source {number}' for number, _ in enumerate(images[1:], 1)]
        keys = ('fused', *sources) if info.many and len(images) > len(arguments) else arguments
        with sharing(), torch.no_grad():
            _check(info, dict(zip(keys, images, strict=True)))
            return function(*map(as_double, images), **options or {}).to(images[0])
    checked.info = info
    return checked


@shared
def as_double(image: Tensor) -> Tensor:
    """The image in float64, on its device or, if that has no float64, on the CPU."""
    return image.to('cpu' if image.device.type == 'mps' else image.device, torch.float64)  # Apple GPUs lack float64


@shared
def _extremes(image: Tensor) -> tuple[float, float]:
    low, high = torch.stack(image.aminmax()).tolist()  # one wait for the device
    return low, high


def _check(info: MetricInfo, images: dict[str, Tensor]) -> None:
    shapes = {tuple(image.shape) for image in images.values()}
    shape = shapes.pop()
    if shapes or len(shape) != 4 or shape[1] != 1 or not images['fused'].numel():
        came = ', '.join(f'{name} {tuple(image.shape)}' for name, image in images.items())
        raise DataError(f'{info.name} expects {len(images)} images of one shape (batch, 1, h, w), but got {came}.',
                        'Give luminance only, and images of the size of the fused one.')
    if min(shape[2:]) < info.smallest:
        raise DataError(f'{info.name} expects images of at least {info.smallest}x{info.smallest} pixels, '
                        f'but got {shape[2]}x{shape[3]} (height x width).',
                        'Score larger images, or leave this metric out.')
    kinds = {(image.dtype, image.device) for image in images.values()}
    if len(kinds) > 1 or images['fused'].dtype not in (torch.float32, torch.float64):
        came = ', '.join(f'{name} {image.dtype} on {image.device}' for name, image in images.items())
        raise DataError(f'{info.name} expects float32 or float64, the same for all images, but got {came}.',
                        'Convert them, for example with `.to(fused)` or `.float()`.')
    for name, image in images.items():
        low, high = _extremes(image)
        if not (low >= 0 and high <= 255):  # also for NaN
            raise DataError(f'{info.name} expects grey levels in 0..255, but {name} spans {low:g} to {high:g}.',
                            'Quantise the fused image by a protocol; multiply sources in [0, 1] by 255.')
