"""Each metric against a second implementation that shares nothing with it."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, sobel
from skimage.measure import shannon_entropy

from vlfusion.registry import FUSION_METRICS


def entropy(fused, *_):
    return shannon_entropy(fused, base=2)


def standard_deviation(fused, *_):
    return np.std(fused)


def spatial_frequency(fused, *_):
    h, w = fused.shape
    along = [(fused[i, j + 1] - fused[i, j]) ** 2 for i in range(h) for j in range(w - 1)]
    down = [(fused[i + 1, j] - fused[i, j]) ** 2 for i in range(h - 1) for j in range(w)]
    return math.sqrt(sum(along) / len(along) + sum(down) / len(down))


def average_gradient(fused, *_):
    down, along = np.gradient(fused)
    return np.mean(np.hypot(down, along)) / math.sqrt(2)


def visual_information_fidelity(fused, source_a, source_b):
    return vifp(source_a, fused) + vifp(source_b, fused)


def vifp(source, fused):
    kept = present = 0.0
    for width in (17, 9, 5, 3):
        def local(image, width=width):
            half = width // 2
            return gaussian_filter(image, width / 5, radius=half)[half:-half, half:-half]
        if width < 17:
            source, fused = local(source)[::2, ::2], local(fused)[::2, ::2]
        variance = local(source ** 2) - local(source) ** 2
        covariance = local(source * fused) - local(source) * local(fused)
        gain = np.maximum(covariance / variance, 0)
        noise = local(fused ** 2) - local(fused) ** 2 - gain * covariance
        kept += np.log2(1 + gain ** 2 * variance / (noise + 2)).sum()
        present += np.log2(1 + variance / 2).sum()
    return kept / present


def edge_preservation(fused, source_a, source_b):
    kept = present = 0.0
    edges_f = edges(fused)
    for source in (source_a, source_b):
        for (strength, angle), (strength_f, angle_f) in zip(edges(source), edges_f, strict=True):
            ratio = strength_f if strength == strength_f else min(strength, strength_f) / max(strength, strength_f)
            alignment = 1 - abs(angle - angle_f) * 2 / math.pi
            of_strength = 0.9994 / (1 + math.exp(-15 * (ratio - 0.5)))
            of_angle = 0.9879 / (1 + math.exp(-22 * (alignment - 0.8)))
            kept += strength * of_strength * of_angle
            present += strength
    return kept / present


def edges(image):
    """Strength and angle, pixel by pixel."""
    along, up = sobel(image, 1, mode='constant').flat, -sobel(image, 0, mode='constant').ravel()
    return [(math.hypot(x, y), math.atan(y / x) if x else math.pi / 2) for x, y in zip(along, up, strict=True)]


REFERENCES = {'EN': entropy, 'SD': standard_deviation, 'SF': spatial_frequency, 'AG': average_gradient,
              'VIF': visual_information_fidelity, 'Qabf': edge_preservation}


@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float64, 1e-9), (torch.float32, 1e-5)], ids=str)
@pytest.mark.parametrize('size', [(41, 41), (64, 48), (47, 60)], ids=str)
@pytest.mark.parametrize('name', REFERENCES)
def test_equals_a_second_implementation(name, size, dtype, tolerance):
    rng = np.random.default_rng(0)
    source_a, source_b = (gaussian_filter(rng.uniform(0, 255, size), 1.5).round() * 3 % 256 for _ in range(2))
    fused = (0.6 * source_a + 0.4 * source_b).round()
    got = FUSION_METRICS.get(name)(*(torch.tensor(x, dtype=dtype)[None, None] for x in (fused, source_a, source_b)))
    assert got.item() == pytest.approx(REFERENCES[name](fused, source_a, source_b), rel=tolerance)
