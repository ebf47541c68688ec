"""Visual information fidelity, and the preservation of edges."""

import math

import numpy as np
from scipy.signal import convolve2d

from references.similarity import gaussian


def scales(source, fused):
    """Gain, variance of the source and of the noise at four scales, by the moments of a Gaussian window."""
    for width in (17, 9, 5, 3):
        window = gaussian(width, width / 5)

        def local(image, window=window):
            return convolve2d(image, window, mode='valid')
        if width < 17:
            source, fused = local(source)[::2, ::2], local(fused)[::2, ::2]
        variance = local(source ** 2) - local(source) ** 2
        covariance = local(source * fused) - local(source) * local(fused)
        gain = np.maximum(covariance / variance, 0)
        yield gain, variance, local(fused ** 2) - local(fused) ** 2 - gain * covariance


def visual_information_fidelity(fused, source_a, source_b):
    total = 0
    for source in (source_a, source_b):
        kept = present = 0
        for gain, variance, noise in scales(source, fused):
            kept += np.log10(1 + gain ** 2 * variance / (noise + 2)).sum()
            present += np.log10(1 + variance / 2).sum()
        total += kept / present
    return total


def visual_information_fidelity_for_fusion(fused, source_a, source_b):
    total = 0
    for weight, of_a, of_b in zip((1, 0, 0.15, 1), scales(source_a, fused), scales(source_b, fused), strict=True):
        gain, variance, noise = (np.where(of_a[0] < of_b[0], a, b) for a, b in zip(of_a, of_b, strict=True))
        kept = np.log10(1 + gain ** 2 * variance / (noise + 325.125)) + 1e-7
        present = np.log10(1 + variance / 325.125) + 1e-7
        total += weight / 2.15 * kept.sum() / present.sum()
    return total


def sobel_edges(image, kernel_x, kernel_y):
    x, y = convolve2d(image, kernel_x, mode='same'), convolve2d(image, kernel_y, mode='same')
    angle = np.full_like(image, math.pi / 2)
    angle[x != 0] = np.arctan(y[x != 0] / x[x != 0])
    return np.hypot(x, y), angle


def edge_preservation(fused, source_a, source_b):
    x = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    y = np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]])
    strength_f, angle_f = sobel_edges(fused, x, y)
    kept = present = 0
    for source in (source_a, source_b):
        strength, angle = sobel_edges(source, x, y)
        ratio = np.ones_like(fused)
        stronger, weaker = strength > strength_f, strength < strength_f
        ratio[stronger] = strength_f[stronger] / strength[stronger]
        ratio[weaker] = strength[weaker] / strength_f[weaker]
        alignment = 1 - np.abs(angle - angle_f) / (math.pi / 2)
        of_strength = 0.9994 / (1 + np.exp(-15 * (ratio - 0.5)))
        of_angle = 0.9879 / (1 + np.exp(-22 * (alignment - 0.8)))
        kept += np.sum(of_strength * of_angle * strength)
        present += np.sum(strength)
    return kept / present


def artefacts_and_loss(fused, source_a, source_b):
    """Petrovic's artefacts and loss, pixel by pixel."""
    kernel = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]]) / 8
    gradients = [(convolve2d(np.pad(image, 1, mode='reflect'), kernel, 'valid'),
                  convolve2d(np.pad(image, 1, mode='reflect'), kernel.T, 'valid'))
                 for image in (fused, source_a, source_b)]
    artefacts = loss = weights = 0
    height, width = fused.shape
    for place in np.ndindex(height, width):
        (strength_f, angle_f), *others = ((math.hypot(x[place], y[place]),
                                           math.atan(x[place] / y[place]) if y[place] else
                                           math.copysign(math.pi / 2, x[place]) if x[place] else 0)
                                          for x, y in gradients)
        lost = 0
        for strength, angle in others:
            ratio = min(strength, strength_f) / max(strength, strength_f) if strength and strength_f else 0
            alignment = abs(abs(angle - angle_f) - math.pi / 2) * 2 / math.pi
            quality = math.sqrt(0.9999 / (1 + math.exp(-19 * (ratio - 0.5)))
                                * 0.9995 / (1 + math.exp(-22 * (alignment - 0.5))))
            weight = strength ** 1.5 if strength >= 2 else 0.001
            lost += (1 - quality) * weight
            weights += weight
        if all(strength_f > strength for strength, _ in others):
            artefacts += lost
        else:
            loss += lost
    return artefacts / weights, loss / weights


def artefacts(fused, source_a, source_b):
    return artefacts_and_loss(fused, source_a, source_b)[0]


def loss(fused, source_a, source_b):
    return artefacts_and_loss(fused, source_a, source_b)[1]


REFERENCES = {'VIF': visual_information_fidelity, 'VIFF': visual_information_fidelity_for_fusion,
              'Qabf': edge_preservation, 'Nabf': artefacts, 'Labf': loss}
