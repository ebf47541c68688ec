import json

import pytest
import torch
from safetensors.torch import load_file
from scipy.signal import convolve2d
from skimage.metrics import structural_similarity
from vlfusion_shared import shared

from vlfusion.errors import DataError
from vlfusion.losses import (
    LpLoss,
    MaxGradientLoss,
    MaxIntensityLoss,
    MeanIntensityLoss,
    SSIMLoss,
    sobel_magnitude,
)


@pytest.fixture
def images():
    return torch.rand(3, 2, 1, 24, 31, generator=torch.Generator().manual_seed(0)).unbind()


def test_intensity(images):
    fused, a, b = (image.numpy() for image in images)
    assert MaxIntensityLoss()(*images).item() == pytest.approx(abs(fused - a.clip(min=b)).mean(), rel=1e-6)
    assert MeanIntensityLoss()(*images).item() == pytest.approx(abs(fused - (a + b) / 2).mean(), rel=1e-6)
    assert MaxIntensityLoss()(torch.maximum(*images[1:]), *images[1:]) == 0


def test_sobel_against_scipy(images):
    kernel = torch.tensor([[1, 0, -1], [2, 0, -2], [1, 0, -1]])
    expected = sum(abs(convolve2d(images[0][0, 0], k, mode='same')) for k in (kernel, kernel.T))
    assert torch.allclose(sobel_magnitude(images[0])[0, 0].double(), torch.from_numpy(expected).double(), atol=1e-6)


def test_gradient_is_zero_for_the_sharper_source(images):
    flat = torch.full_like(images[0], 0.5)
    assert MaxGradientLoss()(images[1], images[1], flat) < MaxGradientLoss()(flat, images[1], flat)


def test_ssim_against_skimage(images):
    fused, a, _ = images
    expected = sum(structural_similarity(fused[i, 0].numpy(), a[i, 0].numpy(), data_range=1, gaussian_weights=True,
                                         sigma=1.5, use_sample_covariance=False) for i in range(2)) / 2
    assert SSIMLoss(window=11)(fused, a, fused).item() == pytest.approx(1 - expected, abs=1e-5)
    with pytest.raises(DataError, match='at least 5x5'):
        SSIMLoss()(*(image[..., :4] for image in images))


def test_lp(images):
    fused, a, b = (image.double().numpy() for image in images)
    assert LpLoss()(*images).item() == pytest.approx(((fused - a)**2).sum()**.5 + ((fused - b)**2).sum()**.5, rel=1e-5)


def test_terms_of_the_released_training_step():
    """The last recorded step, from the fused image that the released network had computed."""
    batch = load_file(shared('golden/film/train_batch.safetensors'))
    step = json.loads(shared('golden/film/train_losses.json').read_text())['steps'][-1]
    images = batch['fused_before_last_step'], batch['source_a'], batch['source_b']
    assert MaxIntensityLoss()(*images).item() == pytest.approx(step['intensity'], rel=1e-5)
    assert MaxGradientLoss()(*images).item() == pytest.approx(step['gradient'], rel=1e-5)
