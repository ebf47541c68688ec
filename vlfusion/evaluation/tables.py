"""Tables of scores for a terminal."""

from collections.abc import Iterable, Sequence

from rich.table import Table

from vlfusion.evaluation.controls import CONTROLS
from vlfusion.evaluation.rows import Row, columns, computed
from vlfusion.evaluation.statistics import statistics, unfinite
from vlfusion.imaging.protocol import code_of
from vlfusion.metrics.columns import heading
from vlfusion.metrics.undefined import Undefined


def summary_table(rows: Sequence[Row], undefined: Iterable[Undefined] = ()) -> Table:
    """Mean, standard deviation (of the population) and median of each metric; an arrow points to its better side.

    If there are any, further columns count images whose value is not finite or could not be computed.

    Args:
        rows: rows of the images.
        undefined: reasons for values that could not be computed.

    Raises:
        DataError: there is no row.
    """
    scores = columns(rows)
    table = Table('metric', title=_title(rows))
    for statistic in ('mean', 'std', 'median'):
        table.add_column(statistic, justify='right')
    missing = {name: sum(row[name] is None for row in rows) for name in scores}
    not_finite = {name: unfinite(values) - missing[name] for name, values in scores.items()}
    if any(not_finite.values()):
        table.add_column('not finite', justify='right')
    if any(missing.values()):
        table.add_column('not scored')
    reasons = {item.metric: f': {", ".join(item.reasons)}' for item in undefined if item.value is None}
    for name in scores:
        values = computed(rows, name)
        cells = [_shown(value) for value in statistics(values).values()] if len(values) else [''] * 3
        for count, reason in ((not_finite, ''), (missing, reasons.get(name, ''))):
            if any(count.values()):
                cells.append(f'{count[name]} of {len(rows)}{reason}' if count[name] else '')
        table.add_row(_heading(name, rows), *cells)
    return table


def not_scored(undefined: Iterable[Undefined], images: int) -> str:
    """A sentence on the metrics that could not be computed; empty if there are none.

    >>> not_scored([Undefined('01', 'MS_SSIM', None, ('too small',))], 5)
    'Not scored: MS_SSIM of 1 of 5 images (too small).'
    """
    counts: dict[str, list[str]] = {}
    for item in undefined:
        if item.value is None:
            counts.setdefault(item.metric, []).append(', '.join(item.reasons))
    parts = [f'{metric} of {"all" if len(reasons) == images > 1 else f"{len(reasons)} of"} {images} '
             f'image{"s" if images > 1 else ""} ({reasons[0]})' for metric, reasons in counts.items()]
    return f'Not scored: {"; ".join(parts)}.' if parts else ''


def controls_table(rows: Sequence[Row], controls: Sequence[Row]) -> Table:
    """The mean of each metric, beside its means for the control images; brackets count values that are not finite.

    Raises:
        DataError: there is no row.
    """
    parts = {'fused': rows} | {name: [row for row in controls if row['control'] == name] for name in CONTROLS}
    table = Table('mean of', title=f'{_title(rows)}, beside control images')
    for part in parts:
        table.add_column(part, justify='right')
    for name in columns(rows):
        values = [computed(part, name) for part in parts.values()]
        table.add_row(_heading(name, rows), *(_shown(statistics(value)['mean'])
                                              + f' ({unfinite(value)})' * bool(unfinite(value)) if len(value) else ''
                                              for value in values))
    return table


def _title(rows: Sequence[Row]) -> str:
    label = rows[0].get('protocol')
    return f'{len(rows)} image{"s" * (len(rows) > 1)}' + (f', protocol {label}' if label else '')


def _heading(column: str, rows: Sequence[Row]) -> str:
    return heading(column, code_of(str(rows[0].get('protocol', ''))))


def _shown(value: float) -> str:
    return f'{value:.1e}' if 0 < abs(value) < 0.001 else f'{value:.4f}'
