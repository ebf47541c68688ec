"""Metrics of the fused image alone, and errors and correlations of its pixels."""

import math

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve2d


def standard_deviation(fused, *_):
    return np.std(fused)


def variance(fused, *_):
    return np.var(fused)


def spatial_frequency(fused, *_):
    return np.sqrt(np.mean((fused[:, 1:] - fused[:, :-1]) ** 2) + np.mean((fused[1:] - fused[:-1]) ** 2))


def average_gradient(fused, *_):
    down, along = np.gradient(fused)
    return np.mean(np.hypot(down, along)) / math.sqrt(2)


def edge_intensity(fused, *_):
    kernel = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])
    padded = np.pad(fused, 1, mode='edge')
    return np.mean(np.hypot(convolve2d(padded, kernel, 'valid'), convolve2d(padded, kernel.T, 'valid')))


def mean_squared_error(fused, source_a, source_b):
    return (np.mean((source_a - fused) ** 2) + np.mean((source_b - fused) ** 2)) / 2


def root_mean_squared_error(fused, source_a, source_b):
    return (np.sqrt(np.mean((source_a - fused) ** 2)) + np.sqrt(np.mean((source_b - fused) ** 2))) / 2


def peak_signal_to_noise(fused, source_a, source_b):
    return 20 * np.log10(255 / np.sqrt(mean_squared_error(fused, source_a, source_b)))


def correlation(fused, source_a, source_b):
    return (np.corrcoef(source_a.ravel(), fused.ravel())[0, 1] + np.corrcoef(source_b.ravel(), fused.ravel())[0, 1]) / 2


def correlations_of_differences(fused, source_a, source_b):
    return (np.corrcoef((fused - source_b).ravel(), source_a.ravel())[0, 1]
            + np.corrcoef((fused - source_a).ravel(), source_b.ravel())[0, 1])


def level(fused, *_):
    return np.mean(fused)


def blurred(image):
    return gaussian_filter(image, 2, mode='nearest', truncate=3)


def detail(fused, *_):
    return np.mean(np.abs(fused - blurred(fused)))


def lead_of_a(fused, source_a, source_b):
    to_a, to_b = np.abs(fused - source_a).sum(), np.abs(fused - source_b).sum()
    return (to_b - to_a) / (to_b + to_a)


def lead_in_intensity(*images):
    return lead_of_a(*map(blurred, images))


def lead_in_texture(*images):
    return lead_of_a(*(image - blurred(image) for image in images))


REFERENCES = {'SD': standard_deviation, 'VI': variance, 'SF': spatial_frequency, 'AG': average_gradient,
              'EI': edge_intensity, 'MSE': mean_squared_error, 'RMSE': root_mean_squared_error,
              'PSNR': peak_signal_to_noise, 'CC': correlation, 'SCD': correlations_of_differences,
              'Level': level, 'Detail': detail, 'LeadA': lead_in_intensity, 'TextureLeadA': lead_in_texture}
