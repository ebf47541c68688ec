"""Models, limits and uploads of the page."""

import cv2
import numpy as np
import pytest

from vlfusion.app.limits import Limits
from vlfusion.app.models import Models
from vlfusion.testing.toys import draw_pairs


@pytest.fixture(scope='session')
def models(tmp_path_factory):
    """Models that need no weights, and those in packages."""
    pytest.importorskip('vlfusion_classical', reason='pip install --editable plugins/classical')
    return Models('laplacian', tmp_path_factory.mktemp('store'))


@pytest.fixture
def limits():
    return Limits(bytes=1 << 20, pixels=100_000, files=3, voxels=50_000)


@pytest.fixture
def uploads(tmp_path):
    """An infrared and a visible picture, as a browser uploads them."""
    draw_pairs(tmp_path / 'uploads', ['street'], size=(64, 80))
    return [tmp_path / 'uploads/ir/street.png', tmp_path / 'uploads/vi/street.png']


@pytest.fixture
def bomb(tmp_path):
    """A small file of many pixels."""
    path = tmp_path / 'bomb.png'
    cv2.imwrite(str(path), np.zeros((1000, 1000), np.uint8))
    return path
