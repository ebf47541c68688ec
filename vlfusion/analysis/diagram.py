"""Diagrams of a comparison: significant differences under a metric, and distributions of scores.

They are drawn with matplotlib and scikit-posthocs, without pyplot's global state.
"""

import io
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from vlfusion.analysis.statistics import Comparison
from vlfusion.errors import DataError, needs
from vlfusion.imaging.lettering import fonts_for, without_font_warnings

if TYPE_CHECKING:
    import matplotlib.figure

#: Blue differs from grey in print, and for readers with colour vision deficiency.
COLOUR, PALE, GREY = '#1f4e79', '#c9dcee', '#8a8a8a'
_SVG, _XLINK = 'http://www.w3.org/2000/svg', 'http://www.w3.org/1999/xlink'


def critical_difference(scores: Mapping[str, Float[np.ndarray, ' image']], comparison: Comparison,
                        higher: bool = True) -> 'matplotlib.figure.Figure':
    """The critical-difference diagram of a metric (Demšar, JMLR 2006); its bars follow the comparison's own tests.

    Methods are placed at their mean ranks over the images (1 is best; equal scores share the mean of their ranks). A
    bar joins methods that do not differ significantly. The tests compare pairs of methods, not mean ranks, so a bar may
    pass above a method that does not belong to it. Dots on the bar mark the methods that do.

    Args:
        scores: a value for each image, by method, in the same order of images; methods that were not compared are left
            out.
        comparison: result of `vlfusion.analysis.statistics.compare` for these methods.
        higher: whether a higher value is better.

    Returns:
        A figure 4 inches wide. Names stand outside, so save it with `bbox_inches='tight'`.

    Raises:
        DataError: fewer than two methods were compared, or one of them has no scores.
        ConfigError: matplotlib or scikit-posthocs is not installed.
    """
    names = list(comparison.means)
    if lacking := [name for name in names if name not in scores]:
        raise DataError(f'The comparison has {", ".join(lacking)}, but there are no scores of them.',
                        'Give the scores of all methods that were compared.')
    if len(names) < 2:
        raise DataError(f'A diagram of differences needs two methods or more, but got {len(names)}.',
                        'Compare more methods.')
    with needs('A diagram', 'scikit-posthocs', 'benchmark'):
        import pandas as pd
        from scikit_posthocs import critical_difference_diagram
        from scipy.stats import rankdata

    values = np.stack([np.asarray(scores[name], float) for name in names])  # (method, image)
    ranks = rankdata(-values if higher else values, axis=0).mean(1)
    levels = pd.DataFrame(1., index=names, columns=names)
    for (first, second), level in comparison.pairs.items():
        levels.loc[first, second] = levels.loc[second, first] = level

    figure, axes = _figure(4, 1)
    families = list(fonts_for(names).families)
    with without_font_warnings():
        drawn = critical_difference_diagram(
            dict(zip(names, ranks.tolist(), strict=True)), levels, alpha=comparison.alpha, ax=axes, text_h_margin=0.1,
            label_fmt_left='{label}  {rank:.2f}', label_fmt_right='{rank:.2f}  {label}',
            label_props=dict(parse_math=False, size=8, fontfamily=families),
            elbow_props=dict(color=GREY, linewidth=0.8),
            marker_props=dict(color=COLOUR, s=16), crossbar_props=dict(color=COLOUR, marker='o', markersize=3))
    for label in drawn['labels']:
        label.set(color='black')
    low, high = axes.get_ylim()
    figure.set_size_inches(4, 0.3 + 0.2 * (high - low))
    return figure


def distribution(scores: Mapping[str, Float[np.ndarray, ' image']], label: str,
                 others: Mapping[str, Float[np.ndarray, ' image']] | None = None) -> 'matplotlib.figure.Figure':
    """Box plots of the methods' scores, the first at the top; values that are not finite are left out.

    Args:
        scores: a value for each image, by method; a method may have none.
        label: label of the axis, such as the metric's name with its unit.
        others: scores drawn in grey below the methods, such as those of controls.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    rows = {**scores, **(others or {})}
    figure, axes = _figure(5.5, 0.6 + 0.2 * len(rows))
    finite = [np.asarray(values, float)[np.isfinite(values)] for values in rows.values()]
    drawn = axes.boxplot(finite, orientation='horizontal', widths=0.6, showmeans=True, patch_artist=True,
                         positions=range(len(rows)), manage_ticks=False,
                         medianprops=dict(color=COLOUR), boxprops=dict(facecolor=PALE, edgecolor=COLOUR),
                         meanprops=dict(marker='D', markersize=3.5, markerfacecolor=COLOUR, markeredgecolor=COLOUR),
                         flierprops=dict(marker='.', markersize=3, markeredgecolor=GREY))
    for box in drawn['boxes'][len(scores):]:
        box.set(facecolor='#eeeeee', edgecolor=GREY)
    axes.set_yticks(range(len(rows)), list(rows), parse_math=False, fontfamily=list(fonts_for(rows).families))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(label, parse_math=False, size=8)
    axes.grid(axis='x', color='#dddddd', linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    return figure


def svg(figure: 'matplotlib.figure.Figure', label: str, prefix: str) -> str:
    """The figure as an SVG element for an HTML page; the same figure gives the same bytes.

    Args:
        figure: figure to draw.
        label: description for readers who cannot see it.
        prefix: letters and digits before each `id`, which must be unique within a page.
    """
    import matplotlib
    held = io.BytesIO()
    with matplotlib.rc_context({'svg.hashsalt': prefix, 'svg.fonttype': 'none'}), without_font_warnings():
        figure.savefig(held, format='svg', bbox_inches='tight', transparent=True, metadata=dict.fromkeys(
            ('Date', 'Creator', 'Format', 'Type')))
    ET.register_namespace('', _SVG)
    ET.register_namespace('xlink', _XLINK)
    root = ET.fromstring(held.getvalue())
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == 'id':
                element.set(key, f'{prefix}-{value}')
            elif key == f'{{{_XLINK}}}href':
                element.set(key, value.replace('#', f'#{prefix}-'))
            elif value.startswith('url(#'):
                element.set(key, value.replace('url(#', f'url(#{prefix}-'))
    root.set('role', 'img')
    root.set('aria-label', label)
    return ET.tostring(root, encoding='unicode')


def _figure(width: float, height: float) -> tuple['matplotlib.figure.Figure', 'matplotlib.axes.Axes']:
    with needs('A diagram', 'matplotlib', 'benchmark'):
        from matplotlib.figure import Figure
    figure = Figure((width, height))
    axes = figure.subplots()
    axes.tick_params(labelsize=8)
    return figure, axes
