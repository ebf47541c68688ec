"""Metrics of information theory, from histograms."""

import numpy as np
from scipy.stats import entropy as scipy_entropy
from sklearn.metrics import mutual_info_score, normalized_mutual_info_score


def levels(image):
    return np.uint8(np.round(image)).ravel()


def entropy(fused, *_):
    shares = np.bincount(levels(fused)) / fused.size
    return -np.sum(shares * np.log2(shares + (shares == 0)))


def mutual_information(fused, source_a, source_b):
    return (mutual_info_score(levels(fused), levels(source_a))
            + mutual_info_score(levels(fused), levels(source_b))) / np.log(2)


def normalised_mutual_information(fused, source_a, source_b):
    return (normalized_mutual_info_score(levels(fused), levels(source_a))
            + normalized_mutual_info_score(levels(fused), levels(source_b)))


def cross_entropy(fused, source_a, source_b):
    a, b, f = (np.bincount(levels(image), minlength=256) + 0.5 for image in (source_a, source_b, fused))
    return (scipy_entropy(a, f, base=2) + scipy_entropy(b, f, base=2)) / 2  # scipy makes the counts sum to 1


def tsallis_information(fused, source_a, source_b, q=1.85):
    total = 0
    for source in (source_a, source_b):
        joint = np.histogram2d(levels(source), levels(fused), bins=256, range=[[-0.5, 255.5]] * 2)[0] / fused.size
        rows, columns = joint.sum(1), joint.sum(0)
        result = 0
        for i, j in zip(*np.nonzero(joint), strict=True):
            result += joint[i, j] ** q / (rows[i] * columns[j]) ** (q - 1)
        total += (1 - result) / (1 - q)
    return total


def nonlinear_correlation_entropy(fused, source_a, source_b):
    images = [levels(image) for image in (source_a, source_b, fused)]
    correlation = np.eye(3)
    for i in range(3):
        for j in range(i):
            correlation[i, j] = correlation[j, i] = mutual_info_score(images[i], images[j]) / np.log(256)
    shares = np.linalg.eigvals(correlation) / 3
    return 1 + np.sum(shares * np.log(shares)) / np.log(256)


REFERENCES = {'EN': entropy, 'MI': mutual_information, 'NMI': normalised_mutual_information, 'CE': cross_entropy,
              'Qte': tsallis_information, 'Qncie': nonlinear_correlation_entropy}
