import pytest

from vlfusion.registry import BACKBONES, LOSSES
from vlfusion.testing import check_backbone, check_loss

pytest.importorskip('vlfusion_hello', reason='pip install --editable the folder of this plugin')


def test_the_network_passes_the_checks():
    check_backbone(BACKBONES.build(dict(type='vlfusion_hello.HelloNet')), also=['autocast', 'compile', 'export'])


def test_the_loss_passes_the_checks():
    check_loss(LOSSES.build(dict(type='vlfusion_hello.ContrastLoss')))
