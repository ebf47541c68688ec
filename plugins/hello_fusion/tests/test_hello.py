import pytest

from vlfusion.registry import BACKBONES, LOSSES
from vlfusion.testing import check_backbone, check_loss

pytest.importorskip('vlfusion_hello', reason='pip install --editable the folder of this plugin')


def test_the_network_does_what_vlfusion_relies_on():
    check_backbone(BACKBONES.build(dict(type='vlfusion_hello.HelloNet')), also=['autocast', 'compile', 'export'])


def test_the_loss_does_what_training_relies_on():
    check_loss(LOSSES.build(dict(type='vlfusion_hello.ContrastLoss')))
