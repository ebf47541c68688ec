"""Rules that merge the features of any number of sources."""

import itertools

import pytest
import torch

from vlfusion.models.layers.merging import MERGING_RULES, merge_features

#: Three maps of each of four sources.
MAPS = torch.rand(4, 3, 2, 5, 7, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.3


@pytest.mark.parametrize('rule', MERGING_RULES)
def test_no_rule_depends_on_the_order(rule):
    expected = merge_features(map(list, MAPS), rule)
    assert len(expected) == 3
    for order in itertools.permutations(range(4)):
        for merged, wanted in zip(merge_features(map(list, MAPS[list(order)]), rule), expected, strict=True):
            torch.testing.assert_close(merged, wanted)


def test_activity_weighs_each_source_by_hand():
    merged = merge_features(map(list, MAPS), 'l1')[1]
    weights = MAPS[:, 1, 0, :, 2:5, 1:4].abs().sum((1, 2, 3))
    torch.testing.assert_close(merged[0, :, 3, 2], (weights[:, None] * MAPS[:, 1, 0, :, 3, 2]).sum(0) / weights.sum())
    assert not merge_features([[torch.zeros(1, 2, 4, 4)]] * 3, 'l1')[0].any()
