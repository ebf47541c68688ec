"""Descriptions of the metrics: of a single metric, and the reference page of all."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from inspect import cleandoc
from typing import Any

from vlfusion.metrics.base import CODES, Metric, MetricInfo, metric, metric_names
from vlfusion.registry import FUSION_METRICS, TRUTH_METRICS

PAGE_TOP = """\
# Metrics

This page explains every metric: formula, direction, range, source, and how published code differs. All work on grey
levels 0..255, in float64, and give one value per image.

The plain name is the default, the sound reading of the publication. `NAME:VARIANT` is what other published code
computes, quirks included. A protocol (`--protocol film`) chooses one code's variants for all metrics. Tests check every
agreement stated here. `vlfusion metrics --markdown` printed this page.
"""


def every_metric() -> list[Metric]:
    """All metrics; those that compare to a true image come last."""
    return [metric(name, truth=truth) for truth in (False, True) for name in metric_names(truth, None)]


def shown_name(info: MetricInfo) -> str:
    """The metric's name, after `truth/` if it compares to a true image."""
    return f'truth/{info.name}' if info.over == 'truth' else info.name


def find_metric(name: str) -> Metric:
    """Return a metric by its name, also one that compares to a true image.

    Args:
        name: such as `VIF` or `MI:film`; a metric that compares to a true image, such as `PSNR`, as well.

    Raises:
        UnknownNameError: no metric, or no variant of it, has that name.
    """
    plain = name.partition(':')[0]
    return metric(name, truth=plain not in FUSION_METRICS and plain in TRUTH_METRICS)


def facts(function: Metric) -> dict[str, Any]:
    """Return all facts about a metric as plain data.

    >>> from vlfusion.metrics import EN
    >>> facts(EN)['direction'], facts(EN)['range'], facts(EN)['unit']
    ('higher', [0.0, 8.0], 'bit')
    """
    info = function.info
    plain = {field.name: getattr(info, field.name) for field in fields(info) if field.name != 'variants'}
    return {**plain, 'name': shown_name(info), 'range': list(info.range),
            'formula': formula(function).strip('`').replace(r'\|', '|'),
            'variants': {name: variant.note for name, variant in info.variants.items()}}


def explain(name: str) -> str:
    """Explain a metric: formula, direction, range, source, and what other published code computes.

    Args:
        name: such as `VIF` or `MI:film`; a metric that compares to a true image, such as `PSNR`, as well.

    Raises:
        UnknownNameError: no metric, or no variant of it, has that name.
    """
    function = find_metric(name)
    info = function.info
    facts = {'title': info.title, 'better': info.direction, 'range': f'{info.range[0]:g} to {info.range[1]:g}',
             'unit': info.unit, 'over sources': info.over, 'maps': ', '.join(info.maps),
             'also called': ', '.join(info.aliases),
             'smallest image': f'{info.smallest}x{info.smallest}' if info.smallest > 1 else '', 'source': info.source}
    lines = [info.label, *(f'    {key}: {value}' for key, value in facts.items() if value), '']
    lines += [f'    {line}'.rstrip() for line in cleandoc(function.__doc__).partition('\nArgs:')[0].splitlines()]
    lines += [f'    {info.name}:{code} equals the default: {CODES.get(code, code)}' for code in info.agrees]
    for note, names in variants_by_note(info).items():
        lines.append(f'    {", ".join(f"{info.name}:{variant}" for variant in names)}: {note}')
    return '\n'.join(lines)


def formula(function: Metric) -> str:
    """The formula at the start of a metric's docstring, for a cell of a Markdown table.

    >>> from vlfusion.metrics import EN
    >>> formula(EN)
    '`EN = -sum_l p_l log2 p_l`'
    """
    match = re.match('`[^`]+`', function.__doc__ or '')
    return match[0].replace('|', r'\|') if match else ''


def variants_by_note(info: MetricInfo) -> dict[str, list[str]]:
    """Names of variants that compute the same, by their note."""
    notes = {}
    for name, other in info.variants.items():
        notes.setdefault(other.note, []).append(name)
    return notes


def reference_page() -> str:
    """The reference page of all metrics in Markdown."""
    page = [PAGE_TOP, '| variant | published code |', '|---|---|',
            *(f'| `{code}` | {what} |' for code, what in CODES.items()), '',
            '| metric | title | formula | better | range | over the sources |', '|---|---|---|---|---|---|']
    metrics = every_metric()
    anchors = _anchors([shown_name(function.info) for function in metrics])
    for function in metrics:
        info = function.info
        unit = f' {info.unit}' if info.unit else ''
        page.append(f'| [{shown_name(info)}](#{anchors[shown_name(info)]}) | {info.title} | '
                    f'{formula(function)} | {info.direction} | {info.range[0]:g} to {info.range[1]:g}{unit} | '
                    f'{info.over} |')
    for function in metrics:
        info = function.info
        page += ['', f'## {shown_name(info)}', '', f'{info.title}. {info.source}.', '',
                 cleandoc(function.__doc__).partition('\nArgs:')[0].partition('\n>>>')[0].strip(), '']
        if info.maps:
            page.append(f'- Maps: {", ".join(f"`{name}`" for name in info.maps)}, by `--map NAME=DIR` or `maps` of the '
                        'data set.')
        if info.smallest > 1:
            page.append(f'- Smallest image: {info.smallest}x{info.smallest} pixels.')
        if info.aliases:
            page.append(f'- Also called {", ".join(info.aliases)}.')
        if info.agrees:
            page.append(f'- The default equals {", ".join(f"`{code}`" for code in info.agrees)}.')
        page += [f'- {", ".join(f"`{info.name}:{name}`" for name in names)}: {note}.'
                 for note, names in variants_by_note(info).items()]
        if page[-1] == '':
            page.pop()
    return '\n'.join(page) + '\n'


def _anchors(headings: Sequence[str]) -> dict[str, str]:
    """Anchors of headings as GitHub makes them: of two that differ in signs only, the second one gets a number."""
    anchors, count = {}, Counter()
    for heading in headings:
        plain = re.sub(r'[^\w-]', '', heading.lower())
        anchors[heading] = f'{plain}-{count[plain]}' if count[plain] else plain
        count[plain] += 1
    return anchors
