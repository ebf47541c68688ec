"""Locality compares the change inside a region with the change outside."""

import math

import pytest
import torch

from vlfusion.metrics import Locality, metric
from vlfusion.testing import check_metric


def test_what_every_metric_must_do():
    check_metric(metric('Locality'))


@pytest.mark.parametrize(('inside', 'outside', 'expected'), [
    (8., 2., 4.), (3., 3., 1.), (0., 5., 0.), (5., 0., math.inf), (0., 0., math.nan)])
def test_of_two_constant_changes(inside, outside, expected):
    reference = torch.full((1, 1, 20, 30), 100.)
    region = 255. * (torch.arange(30) < 12).expand(1, 1, 20, 30)
    fused = reference + torch.where(region > 0, inside, -outside)
    assert Locality(fused, reference, reference, reference, region).item() == pytest.approx(expected, nan_ok=True)


def test_of_the_whole_picture_it_is_undefined():
    fused = torch.full((1, 1, 20, 30), 100.)
    for region in (0., 255.):
        assert Locality(fused, fused, fused, fused / 2, torch.full_like(fused, region)).isnan()
