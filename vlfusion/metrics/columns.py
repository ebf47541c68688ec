"""Names of metrics in tables and files: `EN`, `MI:film`, `truth/PSNR`.

The full name of a column includes its variant. Plain `MI` is the default of a metric that has variants.
"""

from vlfusion.metrics.base import Metric, MetricInfo, metric
from vlfusion.metrics.task_scores import task_score

#: Prefix of a metric that compares to a true image.
TRUTH = 'truth/'


def metric_of(column: str, code: str = '') -> Metric:
    """The metric of a column.

    Args:
        column: name, with a variant or without.
        code: default variant for a name without one; see `vlfusion.metrics.metric`.

    Raises:
        UnknownNameError: no metric, or no variant of it, has that name.

    >>> metric_of('truth/PSNR').info.over, metric_of('MI', 'film').info.label
    ('truth', 'MI:film')
    """
    name = column.removeprefix(TRUTH)
    return metric(name, code, truth=name != column)


def info_of(column: str, code: str = '') -> MetricInfo:
    """Facts about a column: those of its metric, or of a score of detections or masks. Arguments as for `metric_of`.

    >>> info_of('truth/PSNR').over, info_of('mIoU:mrfs').direction
    ('truth', 'higher')
    """
    return task_score(column) or metric_of(column, code).info


def full_name(column: str, code: str = '') -> str:
    """The column's name with its variant. Arguments and errors are those of `metric_of`.

    >>> full_name('MI', 'film'), full_name('EN', 'film'), full_name('MI:tang', 'film'), full_name('truth/PSNR', 'film')
    ('MI:film', 'EN', 'MI:tang', 'truth/PSNR')
    """
    variant = info_of(column, code).variant
    return column.partition(':')[0] + (f':{variant}' if variant else '')


def heading(column: str, code: str = '') -> str:
    """Heading of a column in a table: its name, an arrow to its better side, its unit. Arguments as for `metric_of`.

    >>> heading('EN'), heading('MI:film'), heading('truth/PSNR')
    ('EN ↑ (bit)', 'MI:film ↑ (nat)', 'truth/PSNR ↑ (dB)')
    """
    info = info_of(column, code)
    return ' '.join(filter(None, (column, info.arrow, f'({info.unit})' if info.unit else '')))


def other_variants(column: str, code: str = '') -> list[str]:
    """Full names of a metric's default and variants, each once, without the variant that the column means.

    >>> other_variants('SF', 'film')
    ['SF:vifb']
    """
    name = column.partition(':')[0]
    variants = metric_of(name).info.variants
    own = full_name(column, code)
    seen = [variants.get(own.partition(':')[2])]  # None is the default
    others = []
    for label, variant in [('', None), *variants.items()]:
        if variant not in seen:
            seen.append(variant)
            others.append(f'{name}:{label}' if label else name)
    return others
