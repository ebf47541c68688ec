"""The root conftest checks shapes in every package of this repository: none is listed by hand."""

import os

import pytest
import torch

from vlfusion.losses import sobel_magnitude

pytestmark = pytest.mark.skipif(os.environ.get('VLFUSION_TYPECHECK') == '0', reason='shapes are not checked')
MISMATCH = 'did not match type hint|Type-check error'


def test_shapes_are_checked_in_the_core():
    with pytest.raises(TypeError, match=MISMATCH):
        sobel_magnitude(torch.zeros(4, 4))


def test_shapes_are_checked_in_a_plugin():
    losses = pytest.importorskip('vlfusion_auif.losses', reason='pip install --editable plugins/auif')
    with pytest.raises(TypeError, match=MISMATCH):
        losses.dissimilarity(torch.zeros(8, 8), torch.zeros(8, 8))
