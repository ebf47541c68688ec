"""Every metric says its formula, its source and a value in its docstring, from which the reference page is made."""

import inspect

import pytest

from vlfusion.metrics.reference import every_metric, formula, reference_page, shown_name

OWN = [metric for metric in every_metric() if metric.__module__.startswith('vlfusion.')]


@pytest.mark.parametrize('metric', OWN, ids=lambda metric: shown_name(metric.info))
def test_a_docstring_begins_with_the_formula_and_ends_with_a_value(metric):
    assert formula(metric).startswith(f'`{metric.info.name}')
    assert metric.info.source and metric.info.range[0] < metric.info.range[1]
    if metric.info.name == 'LPIPS':
        return  # its network is fetched at the first use
    *_, example = inspect.getdoc(metric).rpartition('>>> ')
    call, _, value = example.partition('\n')
    assert '(' in call and value.strip()


def test_a_formula_stays_in_its_cell():
    rows = [line for line in reference_page().splitlines() if line.startswith('| [')]
    assert len(rows) == len(every_metric())
    assert {line.replace(r'\|', '').count('|') for line in rows} == {7}
