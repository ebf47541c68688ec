"""Feature mutual information and MEF-SSIM: the original code's values, a second implementation, and what must hold."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import pywt
import torch
from references.features import edges, meyer, wavelet

from vlfusion.metrics import fmi
from vlfusion.metrics.fmi import FMI_dct, FMI_edge, FMI_gradient, FMI_pixel, FMI_wavelet
from vlfusion.metrics.mef_ssim import MEF_MS_SSIM, MEF_SSIM
from vlfusion.testing.shared import shared

TRANSFORMS = {'none': fmi._pixels, 'gradient': fmi._gradient, 'edge': fmi._edges, 'dct': fmi._dct,
              'wavelet': fmi._wavelet}
FEATURES = {'none': FMI_pixel, 'gradient': FMI_gradient, 'edge': FMI_edge, 'dct': FMI_dct, 'wavelet': FMI_wavelet}
METRICS = [*FEATURES.values(), MEF_SSIM, MEF_MS_SSIM]
CROPS = ('tno01', 'pet20', 'lytro4', 'mef11')
every_metric = pytest.mark.parametrize('metric', METRICS, ids=[metric.info.name for metric in METRICS])
every_feature = pytest.mark.parametrize('metric', FEATURES.values(), ids=FEATURES)


def batched(*images):
    return [torch.tensor(np.asarray(image), dtype=torch.float64)[None, None] for image in images]


def crops(triple):
    folder = shared('golden/metrics/crops')
    return batched(*(cv2.imread(str(folder / f'{triple}_{kind}.png'), cv2.IMREAD_GRAYSCALE) for kind in 'fab'))


def drawn(name):
    """A fused image and its sources of 24x26 pixels, in integer arithmetic.

    `texture` has every kind of window; `ramps` mostly correlations of -1 and 1; `blocks` flat and equal windows and
    such with a single bright pixel.
    """
    y, x = np.mgrid[:24, :26]
    if name == 'texture':
        a, b = (3 * x * x + 5 * y * y + 7 * x * y) % 256, (11 * x + 2 * y * y + 9 * (x * y % 13)) % 256
        return batched((a + b) // 2, a, b)
    if name == 'ramps':
        a, b = 9 * x + y, 250 - 3 * x - 6 * y
        return batched(np.maximum(a, b), a, b)
    a = 40 * ((x // 6 + y // 5) % 5) + 30 * ((x % 7 == 3) & (y % 6 == 2))
    b = a // 2 + 60 * (x > 12)
    return batched(np.where(y < 12, a, b // 2), a, b)


def smooth(*size, seed=0):
    """Two smooth sources in whole levels and their mean, which comes first."""
    rng = np.random.default_rng(seed)
    a, b = (cv2.GaussianBlur(rng.uniform(0, 255, size), (0, 0), 1.5) for _ in range(2))
    a, b = ((3 * (image - 127.5) + 127.5).clip(0, 255).round() for image in (a, b))
    return batched(((a + b) / 2).round(), a, b)


@pytest.mark.parametrize('row', csv.DictReader(Path(__file__).with_name('data').joinpath('fmi.csv').open()),
                         ids=lambda row: f'{row["image"]} {row["feature"]} {row["code"]}')
def test_fmi_equals_the_original(row):
    """In Octave, which lacks MATLAB's edges and wavelets and was given those of the second implementation."""
    images = crops(row['image']) if row['image'] in CROPS else drawn(row['image'])
    tolerance = 5e-7 if row['image'] in CROPS else 1e-9  # six digits of it were kept
    got = fmi._fmi(TRANSFORMS[row['feature']], *images, bounded=False).item()
    assert got == pytest.approx(float(row['value']), abs=tolerance)
    if row['feature'] not in ('edge', 'wavelet'):
        assert FEATURES[row['feature']].variants[row['code']](*images).item() == got


@pytest.mark.parametrize('size', [(1, 2), (5, 3), (31, 44), (60, 130)], ids=str)
def test_wavelet_feature(size):
    image = np.random.default_rng(0).uniform(0, 255, size)
    np.testing.assert_allclose(fmi._wavelet(*batched(image))[0, 0], wavelet(image), rtol=0, atol=1e-10)


def test_wavelet_feature_equals_pywavelets():
    low, sign = meyer(), (-1) ** np.arange(102)
    filters = pywt.Wavelet('Meyer', filter_bank=[low[::-1], -sign * low, low, sign * low[::-1]])
    image = np.random.default_rng(0).uniform(0, 255, (31, 44))
    approximation, (horizontal, vertical, diagonal) = pywt.dwt2(image, filters, mode='symmetric')
    parts = np.block([[approximation, horizontal], [vertical, diagonal]])
    np.testing.assert_allclose(fmi._wavelet(*batched(image))[0, 0], (parts - parts.min()) / np.ptp(parts),
                               rtol=0, atol=1e-10)


def test_edges_are_thin_and_where_they_should_be():
    step = torch.zeros(1, 1, 6, 12, dtype=torch.float64)
    step[..., 4:] = 100
    found = fmi._edges(step)
    assert found.sum(2).flatten().tolist() == [0, 0, 0, 0, 6] + 7 * [0]  # the second of two that are equally strong
    torch.testing.assert_close(fmi._edges(step.mT.contiguous()), found.mT)
    for name in ('texture', 'ramps', 'blocks'):
        for image in drawn(name):
            np.testing.assert_array_equal(fmi._edges(image)[0, 0], edges(image[0, 0].numpy()))


@pytest.mark.slow
@pytest.mark.parametrize('metric', [FMI_pixel, FMI_gradient, FMI_dct], ids=['none', 'gradient', 'dct'])
def test_joint_shares_below_zero_raise_the_published_value(metric):
    for name in CROPS:
        images = crops(name)
        assert metric(*images) < metric.variants['haghighat'](*images) < 1.05 * metric(*images)


@every_metric
def test_identical_images(metric):
    image = smooth(48, 45)[0]
    assert metric(image, image, image).item() == pytest.approx(1, abs=1e-9)


@every_metric
def test_order_of_the_sources_does_not_matter(metric):
    for images in (smooth(48, 45), smooth(45, 48, seed=1)):
        fused, source_a, source_b = images
        torch.testing.assert_close(metric(fused, source_a, source_b), metric(fused, source_b, source_a))


@every_metric
def test_batch_equals_its_singles(metric):
    triples = [smooth(43, 46, seed=seed) for seed in range(3)]
    singles = torch.cat([metric(*images) for images in triples])
    together = metric(*(torch.cat(images) for images in zip(*triples, strict=True)))
    torch.testing.assert_close(together, singles, rtol=1e-9, atol=0)
    assert singles.unique().numel() == 3


@every_metric
def test_noise_lowers_it(metric):
    fused, *sources = smooth(64, 61)
    noise = 20 * torch.randn(fused.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert metric((fused + noise).clamp(0, 255).round(), *sources) < metric(fused, *sources)


@every_feature
def test_chunks_do_not_change_the_result(metric, monkeypatch):
    images = smooth(25, 31)
    whole = metric(*images)
    for chunk in (1, 500):
        monkeypatch.setattr(fmi, 'CHUNK', chunk)
        torch.testing.assert_close(metric(*images), whole, rtol=1e-9, atol=0)


@every_metric
def test_smallest_size(metric):
    images = smooth(metric.info.smallest, metric.info.smallest)
    low, high = metric.info.range
    assert low <= metric(*images).item() <= high


@pytest.mark.slow
@every_metric
def test_constant_and_half_black_images(metric):
    fused, source_a, source_b = smooth(48, 45)
    black, grey = torch.zeros_like(fused), torch.full_like(fused, 77)
    half = fused.clone()
    half[..., :20] = 0
    low, high = metric.info.range
    for images in ((black, black, black), (grey, black, grey), (fused, grey, black), (grey, source_a, source_b),
                   (half, half, fused), (half, source_a, black), (fused, fused, 255 - fused),
                   (half, black, 255 - half)):
        value, swapped = metric(*images).item(), metric(images[0], images[2], images[1]).item()
        assert low <= value <= high
        assert value == pytest.approx(swapped, rel=1e-9)
    assert metric(grey, grey, grey).item() == 1


@pytest.mark.parametrize('metric', [FMI_pixel, FMI_gradient, FMI_dct], ids=['none', 'gradient', 'dct'])
def test_fmi_of_a_constant_image(metric):
    """It shares no feature with the others, and the rounding errors of its transform must not count."""
    _, *sources = smooth(48, 45)
    assert metric(torch.full_like(sources[0], 77), *sources).item() < 0.01


def test_fmi_of_single_windows():
    flat, ramp = torch.full((1, 1, 3, 3), 5., dtype=torch.float64), torch.arange(9.).double().view(1, 1, 3, 3)
    spike, other = torch.zeros_like(flat), torch.zeros_like(flat)
    spike[..., 1, 1], other[..., 0, 1] = 1, 3
    for fused, source, expected in ((flat, flat + 2, 1), (flat, ramp, 0), (ramp, flat, 0), (spike, other, 0),
                                    (2 * spike, spike, 0), (spike, spike, 1), (ramp, 3 * ramp + 7, 1)):
        assert FMI_pixel(fused, source, source).item() == pytest.approx(expected, abs=1e-9)


def test_mef_ssim_wants_the_stronger_patch():
    fused, source, _ = smooth(48, 45)
    flat = torch.full_like(fused, 90)
    assert MEF_SSIM(source, source, flat).item() == pytest.approx(1, abs=1e-6)
    assert MEF_SSIM(source, source, 60 + 0.2 * source) > MEF_SSIM(60 + 0.2 * source, source, 60 + 0.2 * source)


def test_mef_ms_ssim_counts_a_negative_scale_as_none():
    fused, source, _ = smooth(48, 45)
    assert MEF_SSIM(255 - source, source, source) < 0
    assert MEF_MS_SSIM(255 - source, source, source).item() == 0
