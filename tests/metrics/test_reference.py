"""Metrics in words; the page itself is compared in tests/cli/test_metrics.py."""

import pytest

from vlfusion.errors import UnknownNameError
from vlfusion.metrics.reference import every_metric, explain, shown_name, variants_by_note
from vlfusion.registry import FUSION_METRICS


def test_every_metric_has_one_name():
    names = [shown_name(metric.info) for metric in every_metric()]
    assert len(names) == len(set(names)) and {'VIF', 'truth/PSNR'} <= {*names}


def test_variants_of_one_note_stand_together():
    assert ['film', 'cddfuse', 'vifb'] in variants_by_note(FUSION_METRICS.get('MI').info).values()


def test_explain_knows_aliases_variants_and_true_images():
    assert explain('Qmi').startswith('NMI\n') and explain('MI:film').startswith('MI:film\n')
    assert explain('PSNR').startswith('PSNR\n')
    with pytest.raises(UnknownNameError, match='VIFF'):
        explain('VIFFF')
