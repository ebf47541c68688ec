"""LPIPS through the real torchmetrics and torchvision, with random weights in place of the published ones."""

import numpy as np
import pytest
import torch
from torchvision import models

from vlfusion.errors import VLFusionError
from vlfusion.evaluation import score_folder
from vlfusion.imaging.images import write_image
from vlfusion.metrics import metric
from vlfusion.metrics.lpips import _network


@pytest.fixture
def weights_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    folder = tmp_path / 'hub/checkpoints'
    folder.mkdir(parents=True)
    _network.cache_clear()
    yield folder
    _network.cache_clear()


def random_squeezenet(folder):
    torch.manual_seed(0)
    url = models.SqueezeNet1_1_Weights.IMAGENET1K_V1.url
    torch.save(models.squeezenet1_1(weights=None).state_dict(), folder / url.rpartition('/')[2])


def test_distance_to_the_truth(weights_folder):
    random_squeezenet(weights_folder)
    lpips = metric('LPIPS:squeeze', truth=True)
    truth = 255 * torch.rand(2, 1, 70, 80)
    slight, strong = ((truth + sigma * torch.randn(truth.shape)).clamp(0, 255) for sigma in (5, 50))
    assert lpips(truth, truth).tolist() == [0, 0]
    assert (lpips(slight, truth) < lpips(strong, truth)).all()
    torch.testing.assert_close(lpips(strong, truth)[1:], lpips(strong[1:], truth[1:]))
    assert lpips(strong.double(), truth.double()).dtype == torch.float64


@pytest.mark.slow
def test_threads_do_not_disturb_each_other(weights_folder, tmp_path):
    random_squeezenet(weights_folder)
    rng = np.random.default_rng(0)
    for i in range(8):
        for folder in ('fused', 'a', 'b', 'truth'):
            write_image(tmp_path / f'{folder}/{i}.png', rng.integers(0, 256, (70, 80), dtype=np.uint8))
    scores = [score_folder(*(tmp_path / folder for folder in ('fused', 'a', 'b', 'truth')), metrics=['EN'],
                           truth_metrics=['LPIPS:squeeze'], workers=workers).rows for workers in (1, 4, 4)]
    assert scores[0] == scores[1] == scores[2]
    assert len({row['truth/LPIPS:squeeze'] for row in scores[0]}) == 8


def test_weights_that_cannot_be_fetched_are_explained(weights_folder, monkeypatch):
    monkeypatch.setenv('https_proxy', 'http://127.0.0.1:1')  # refuses at once
    truth = torch.rand(1, 1, 70, 80)
    with pytest.raises(VLFusionError, match="network 'alex' for LPIPS could not be fetched.*\n.*TORCH_HOME"):
        metric('LPIPS', truth=True)(truth, truth)
