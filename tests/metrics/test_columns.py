"""A column's full name says which variant it holds, under every protocol."""

import pytest

from vlfusion.errors import UnknownNameError
from vlfusion.imaging.protocol import PROTOCOLS
from vlfusion.metrics.base import metric_names
from vlfusion.metrics.columns import TRUTH, full_name, heading, metric_of, other_variants

COLUMNS = [*metric_names(), *(TRUTH + name for name in metric_names(truth=True))]


@pytest.mark.parametrize('protocol', PROTOCOLS.values(), ids=lambda protocol: protocol.name)
def test_a_full_name_means_the_same_metric_without_a_protocol(protocol):
    for column in COLUMNS:
        full = full_name(column, protocol.code)
        assert metric_of(full) is metric_of(full, protocol.code) is metric_of(column, protocol.code)
        assert full_name(full, protocol.code) == full, 'it is full already'


def test_other_variants_are_all_but_the_column_itself():
    assert 'SSIM' in other_variants('SSIM', 'film') and 'SSIM:film' not in other_variants('SSIM', 'film')
    assert other_variants('EN', 'film') == []


def test_a_heading_points_to_the_better_side():
    assert heading('CE') == 'CE ↓ (bit)' and heading('MI', 'film') == 'MI ↑ (nat)'
    with pytest.raises(UnknownNameError, match='Did you mean VIF'):
        heading('VIFG')
