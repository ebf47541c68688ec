"""Metrics made of structural similarity."""

import numpy as np
from scipy.signal import convolve2d


def gaussian(width, sigma):
    along = np.arange(width) - (width - 1) / 2
    window = np.exp(-(along ** 2 + along[:, None] ** 2) / (2 * sigma ** 2))
    return window / window.sum()


def moments(x, y, window):
    def mean(image):
        return convolve2d(image, window, mode='valid')
    mean_x, mean_y = mean(x), mean(y)
    return (mean_x, mean_y, mean(x * x) - mean_x ** 2, mean(y * y) - mean_y ** 2, mean(x * y) - mean_x * mean_y)


def ssim_maps(x, y, window, c1=(0.01 * 255) ** 2, c2=(0.03 * 255) ** 2):
    mean_x, mean_y, variance_x, variance_y, covariance = moments(x, y, window)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return structure * (2 * mean_x * mean_y + c1) / (mean_x ** 2 + mean_y ** 2 + c1), structure


def ssim(fused, source_a, source_b):
    window = gaussian(11, 1.5)
    return (ssim_maps(source_a, fused, window)[0].mean() + ssim_maps(source_b, fused, window)[0].mean()) / 2


def multi_scale_ssim(fused, source_a, source_b):
    return (ms_ssim(source_a, fused) + ms_ssim(source_b, fused)) / 2


def ms_ssim(x, y):
    result = 1
    for scale, weight in enumerate([0.0448, 0.2856, 0.3001, 0.2363, 0.1333]):
        whole, structure = ssim_maps(x, y, gaussian(11, 1.5))
        result *= max((whole if scale == 4 else structure).mean(), 0) ** weight
        height, width = x.shape[0] // 2 * 2, x.shape[1] // 2 * 2
        x, y = (convolve2d(image[:height, :width], np.full((2, 2), 0.25), mode='valid')[::2, ::2] for image in (x, y))
    return result


def weights(source_a, source_b, window):
    _, _, variance_a, variance_b, _ = moments(source_a, source_b, window)
    return variance_a, variance_b


def piella_map(fused, source_a, source_b):
    window = gaussian(11, 1.5)
    variance_a, variance_b = weights(source_a, source_b, window)
    share = variance_a / (variance_a + variance_b)
    return (share * ssim_maps(source_a, fused, window)[0] + (1 - share) * ssim_maps(source_b, fused, window)[0],
            np.maximum(variance_a, variance_b))


def fusion_quality(fused, source_a, source_b):
    return piella_map(fused, source_a, source_b)[0].mean()


def weighted_fusion_quality(fused, source_a, source_b):
    quality, weight = piella_map(fused, source_a, source_b)
    return np.sum(quality * weight) / np.sum(weight)


def edge_dependent_fusion_quality(fused, source_a, source_b):
    kernel = np.array([[1, 0, -1]] * 3)
    edges = [np.hypot(convolve2d(image, kernel, 'same'), convolve2d(image, kernel.T, 'same'))
             for image in (fused, source_a, source_b)]
    return weighted_fusion_quality(fused, source_a, source_b) * weighted_fusion_quality(*edges)


def universal(x, y):
    return ssim_maps(x, y, gaussian(7, 1.5), 2e-16, 2e-16)[0]


def yang(fused, source_a, source_b):
    variance_a, variance_b = weights(source_a, source_b, gaussian(7, 1.5))
    share = variance_a / (variance_a + variance_b)
    similar_a, similar_b = universal(source_a, fused), universal(source_b, fused)
    return np.where(universal(source_a, source_b) >= 0.75, share * similar_a + (1 - share) * similar_b,
                    np.maximum(similar_a, similar_b)).mean()


def cvejic(fused, source_a, source_b):
    covariance_a, covariance_b = (moments(source, fused, gaussian(7, 1.5))[4] for source in (source_a, source_b))
    share = np.clip(covariance_a / (covariance_a + covariance_b), 0, 1)
    return (share * universal(source_a, fused) + (1 - share) * universal(source_b, fused)).mean()


REFERENCES = {'SSIM': ssim, 'MS_SSIM': multi_scale_ssim, 'Qs': fusion_quality, 'Qw': weighted_fusion_quality,
              'Qe': edge_dependent_fusion_quality, 'Qy': yang, 'Qc': cvejic}
