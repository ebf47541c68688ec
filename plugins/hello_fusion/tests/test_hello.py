import pytest

from vlfusion.registry import BACKBONES
from vlfusion.testing import check_backbone


def test_hello_net():
    pytest.importorskip('vlfusion_hello', reason='pip install --editable plugins/hello_fusion')
    check_backbone(BACKBONES.build(dict(type='vlfusion_hello.HelloNet')))
