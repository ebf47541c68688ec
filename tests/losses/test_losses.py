"""Losses equal their formulas."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.signal import convolve2d
from skimage.metrics import structural_similarity

from vlfusion.errors import DataError
from vlfusion.losses import (
    AxisGradientLoss,
    DSSIMLoss,
    LpLoss,
    MaxGradientLoss,
    MaxIntensityLoss,
    MeanIntensityLoss,
    SquaredErrorLoss,
    SSIMLoss,
    dissimilarity,
    multi_scale_similarity,
    sobel_magnitude,
    ssim_map,
)
from vlfusion.testing.shared import shared


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


def test_axis_gradient_by_hand():
    """A step of height 1 has Sobel magnitude 4 in two columns of four, a flat image none; borders are no edges."""
    loss, flat = AxisGradientLoss(), torch.full((1, 1, 3, 4), 0.5)
    step = torch.tensor([0., 0., 1., 1.]).expand(1, 1, 3, 4)
    assert loss(flat, step, flat) == loss(flat, flat, -step) == 4 / 2
    assert loss(step, step, flat) == loss(flat, flat, flat) == 0
    square = step[..., 1:]
    # The maximum is taken for each direction by itself: the two steps are both asked for.
    assert loss(torch.zeros_like(square), square, square.mT) == 2 * loss(torch.zeros_like(square), square, square)


def test_ssim_against_skimage(images):
    fused, a, _ = images
    expected = sum(structural_similarity(fused[i, 0].numpy(), a[i, 0].numpy(), data_range=1, gaussian_weights=True,
                                         sigma=1.5, use_sample_covariance=False) for i in range(2)) / 2
    assert SSIMLoss(window=11)(fused, a, fused).item() == pytest.approx(1 - expected, abs=1e-5)
    with pytest.raises(DataError, match='at least 5x5'):
        SSIMLoss()(*(image[..., :4] for image in images))


def test_a_wide_window_of_even_side_reads_what_a_narrow_one_reads(images):
    """Beyond 8 pixels from its peak the Gaussian is nothing: only the border that is left out grows."""
    x, y = (image.double() for image in images[:2])
    wide, narrow = ssim_map(x, y, window=22), ssim_map(x, y, window=17)
    torch.testing.assert_close(wide, narrow[..., 3:6, 3:13], rtol=0, atol=1e-6)


def test_ssim_under_a_reflected_border_against_skimage(images):
    x, y = (image.double() for image in images[:2])
    reflected = ssim_map(x, y, border='reflect')
    assert reflected.shape == x.shape
    torch.testing.assert_close(reflected[..., 5:-5, 5:-5], ssim_map(x, y), rtol=0, atol=1e-6)
    pairs = (np.pad(image[0, 0].numpy(), 5, mode='reflect') for image in (x, y))
    _, expected = structural_similarity(*pairs, data_range=1, gaussian_weights=True, sigma=1.5,
                                        use_sample_covariance=False, full=True)
    np.testing.assert_allclose(reflected[0, 0].numpy(), expected[5:-5, 5:-5], atol=1e-12)
    assert ssim_map(x[..., :6, :6], y[..., :6, :6], border='reflect').shape == (2, 1, 6, 6)
    with pytest.raises(DataError, match=r'at least 6x6, but got \(24, 5\)'):
        ssim_map(x[..., :5], y[..., :5], border='reflect')


def test_dissimilarity_is_half_of_what_lacks_to_one_and_each_source_has_its_share(images):
    fused, a, b = images
    expected = ((1 - ssim_map(fused, a, border='reflect')) / 2).mean()
    torch.testing.assert_close(dissimilarity(fused, a), expected)
    assert dissimilarity(a, a).item() == pytest.approx(0, abs=1e-6)
    torch.testing.assert_close(DSSIMLoss()(fused, a, b), dissimilarity(fused, a) + dissimilarity(fused, b))
    torch.testing.assert_close(DSSIMLoss(shares=(0.6, 0.0))(fused, a, b), 0.6 * dissimilarity(fused, a))


def test_squared_error_by_hand():
    fused, a, b = (torch.full((1, 1, 2, 2), level) for level in (0.5, 0.2, 0.9))
    assert SquaredErrorLoss()(fused, a, b).item() == pytest.approx(0.3**2 + 0.4**2)
    assert SquaredErrorLoss(shares=(2.0, 0.5))(fused, a, b).item() == pytest.approx(2 * 0.3**2 + 0.5 * 0.4**2)


def test_ssim_with_black_beyond_the_border(images):
    x, y = (image.double() for image in images[:2])
    wide = [np.pad(image[0, 0].numpy(), 10) for image in (x, y)]
    _, expected = structural_similarity(*wide, data_range=1, gaussian_weights=True, sigma=1.5,
                                        use_sample_covariance=False, full=True)
    np.testing.assert_allclose(ssim_map(x, y, border='zeros')[0, 0].numpy(), expected[10:-10, 10:-10], atol=1e-12)


def test_similarity_at_five_scales():
    x, y = torch.rand(2, 1, 1, 16, 21, dtype=torch.double, generator=torch.Generator().manual_seed(0)).unbind()
    assert multi_scale_similarity(x, x).item() == pytest.approx(1, abs=1e-12)
    assert multi_scale_similarity(x, y) < multi_scale_similarity(x, (x + y) / 2) < 1
    torch.testing.assert_close(multi_scale_similarity(255 * x, 255 * y, lambda image: 255.),
                               multi_scale_similarity(x, y), rtol=1e-9, atol=0)
    with pytest.raises(DataError, match='at least 16x16'):
        multi_scale_similarity(x[..., :15], y[..., :15])


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
