"""Each metric against a second implementation that shares nothing with it, and against well-kept libraries."""

import numpy as np
import pytest
import torch
from references import REFERENCES
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity
from torch.nn.functional import avg_pool2d
from torchmetrics.functional.image import structural_similarity_index_measure, visual_information_fidelity

from vlfusion.metrics import metric
from vlfusion.metrics.base import metric_names
from vlfusion.registry import TRUTH_METRICS

NAMES = metric_names()


def draw(size: tuple[int, int], seed: int = 0) -> list[np.ndarray]:
    """A noisy fused image and two sources without flat places, in whole levels."""
    rng = np.random.default_rng(seed)
    source_a, source_b = (gaussian_filter(rng.uniform(0, 255, size), 1.5).round() * 3 % 256 for _ in range(2))
    fused = 0.6 * source_a + 0.4 * source_b + rng.normal(0, 20, size)
    return [fused.round().clip(0, 255), source_a, source_b]


def run(function, images: list[np.ndarray], dtype: torch.dtype = torch.float64) -> float:
    return function(*(torch.tensor(image, dtype=dtype)[None, None] for image in images)).item()


def test_every_metric_has_a_reference():
    assert set(NAMES) == set(REFERENCES)


@pytest.mark.slow
@pytest.mark.parametrize('name', REFERENCES)
def test_equals_a_second_implementation(name):
    smallest = metric(name).info.smallest
    sizes = {(max(smallest, 47), max(smallest, 60)), (max(smallest, 64), max(smallest, 48))}
    for size in [(24, 27)] if name.startswith('FMI') else sizes:  # its reference is slow
        images = draw(size)
        expected = REFERENCES[name](*images)
        assert run(metric(name), images) == pytest.approx(expected, rel=1e-8, abs=1e-12), size
        assert run(metric(name), images, torch.float32) == pytest.approx(expected, rel=1e-6, abs=1e-7), size


@pytest.mark.parametrize(('variant', 'data_range'), [('film', 255), ('cddfuse', 2)])
def test_ssim_with_a_uniform_window_is_that_of_scikit_image(variant, data_range):
    fused, *sources = draw((61, 75))
    expected = sum(structural_similarity(fused, source, data_range=data_range) for source in sources)
    assert run(metric(f'SSIM:{variant}'), [fused, *sources]) == pytest.approx(expected, rel=1e-9)


def torchmetrics_ssim(fused, source):
    _, places = structural_similarity_index_measure(fused, source, data_range=255., return_full_image=True)
    return places[..., 5:-5, 5:-5].mean() / 2  # it mirrors the images at their borders; these windows lie inside


def torchmetrics_ms_ssim(fused, source):
    similarity = 1.
    for weight in (0.0448, 0.2856, 0.3001, 0.2363):
        _, structure = structural_similarity_index_measure(fused, source, data_range=255.,
                                                           return_contrast_sensitivity=True)
        similarity *= structure ** weight
        fused, source = avg_pool2d(fused, 2), avg_pool2d(source, 2)
    return similarity * (2 * torchmetrics_ssim(fused, source)) ** 0.1333 / 2


@pytest.mark.parametrize(('name', 'two_images'), [('SSIM', torchmetrics_ssim), ('MS_SSIM', torchmetrics_ms_ssim),
                                                  ('VIF', visual_information_fidelity)])
def test_equals_torchmetrics(name, two_images):
    fused, *sources = (torch.tensor(image)[None, None] for image in draw((180, 190)))
    expected = sum(two_images(fused, source).item() for source in sources)
    assert metric(name)(fused, *sources).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize('name', ['PSNR', 'SSIM'])
def test_with_a_truth(name):
    fused, truth, _ = draw((61, 75))
    expected = {'PSNR': 20 * np.log10(255 / np.sqrt(np.mean((truth - fused) ** 2))),
                'SSIM': structural_similarity(fused, truth, data_range=255, gaussian_weights=True, sigma=1.5,
                                              use_sample_covariance=False)}[name]
    assert run(TRUTH_METRICS.get(name), [fused, truth]) == pytest.approx(expected, rel=1e-9)
