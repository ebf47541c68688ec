import cv2
import numpy as np
import pytest
from mmengine.registry import DefaultScope
from mmengine.runner import Runner


@pytest.fixture
def write():
    """A function that writes images of random grey levels, or of the given ones."""
    random = np.random.default_rng(0)

    def write(folder, *names, shape=(12, 16)):
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            assert cv2.imwrite(str(folder / name), random.integers(0, 256, shape, np.uint8))
        return folder
    return write


@pytest.fixture
def root(tmp_path, write):
    """Three infrared-visible pairs with endings that differ, the visible images in colour."""
    write(tmp_path / 'ir', '1.png', '2.PNG', '3.bmp')
    write(tmp_path / 'vi', '1.jpg', '2.png', '3.tif', shape=(12, 16, 3))
    return tmp_path


@pytest.fixture
def build_dataloader():
    """MMEngine's own way from a config to a data loader, which the Runner runs under the scope `vlfusion`."""
    def build(config, seed):
        with DefaultScope.overwrite_default_scope('vlfusion'):
            return Runner.build_dataloader(dict(collate_fn=dict(type='default_collate'), **config), seed)
    return build
