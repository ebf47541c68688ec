"""Costs are measured: parameters, multiplications, time."""

import csv

import pytest


@pytest.mark.slow
def test_costs_are_measured(compare):
    out = compare()
    with open(out / 'costs.csv', newline='') as file:
        rows = {row['method']: row for row in csv.DictReader(file)}
    assert rows['Conv'] | {'seconds': '', 'memory': ''} == {
        'dataset': 'Toy', 'method': 'Conv', 'height': '48', 'width': '56', 'pairs': '6', 'parameters': '9',
        'macs': str(9 * 48 * 56), 'seconds': '', 'memory': '', 'device': 'cpu'}
    assert 0 < float(rows['Conv']['seconds']) < 1 and rows['Mean']['macs'] == ''
