"""Feature mutual information and MEF-SSIM, window by window with numpy and scipy."""

import math

import numpy as np
from scipy.fft import dctn
from scipy.integrate import quad
from scipy.ndimage import sobel


def feature_mutual_information(feature):
    def metric(fused, source_a, source_b):
        fused, source_a, source_b = map(feature, (fused, source_a, source_b))
        h, w = fused.shape
        total = 0.0
        for y in range(h - 2):
            for x in range(w - 2):
                window = np.s_[y:y + 3, x:x + 3]
                total += similarity(source_a[window], fused[window]) + similarity(source_b[window], fused[window])
        return total / (2 * (h - 2) * (w - 2))
    return metric


def similarity(source, fused):
    if (source == fused).all() or np.ptp(source) == np.ptp(fused) == 0:
        return 1.0
    p, q = shares(source), shares(fused)
    entropies = entropy(p) + entropy(q)
    information = entropies - entropy(joint(p, q))
    return 2 * information / entropies if entropies > 0 else 0.0


def shares(window):
    values = window.ravel(order='F') - window.min()
    return values / values.sum() if values.any() else np.full(9, 1 / 9)


def entropy(shares):
    shares = shares[shares != 0]
    return -(shares * np.log2(np.abs(shares))).sum()  # rounding may leave a joint share a little below 0


def joint(p, q):
    """The mixture of independence and a bound that has the correlation of the shares, by Nelsen's method."""
    independent = np.outer(p, q)
    deviations = np.linalg.norm(p - p.mean()) * np.linalg.norm(q - q.mean())
    spreads = spread(p) * spread(q)
    if deviations < 1e-15 or spreads == 0:
        return independent
    correlation = (p - p.mean()) @ (q - q.mean()) / deviations
    if correlation == 0:
        return independent
    p_below, q_below = np.cumsum(p)[:, None], np.cumsum(q)[None]
    bound = np.minimum(p_below, q_below) if correlation > 0 else np.maximum(p_below + q_below - 1, 0)
    covariance = (bound - p_below * q_below).sum()
    phi = min(correlation * spreads / covariance, 1)
    of_bound = np.diff(np.diff(bound, axis=0, prepend=0), axis=1, prepend=0)
    return phi * of_bound + (1 - phi) * independent


def spread(p):
    place = np.arange(1, 10)
    return math.sqrt(max(p @ place ** 2 - (p @ place) ** 2, 0))


def along_x(image):
    return np.gradient(image, axis=1)


def edges(image):
    h, w = image.shape
    x, y = np.abs(sobel(image, 1, mode='nearest')) / 8, np.abs(sobel(image, 0, mode='nearest')) / 8
    strength = x ** 2 + y ** 2
    threshold = 4 * strength.mean()
    tolerance = 100 * np.finfo(float).eps
    edge = np.zeros((h, w))
    for i in range(h):
        for j in range(w):
            here = strength[i, j]
            peak_x = (j == 0 or strength[i, j - 1] <= here) and (j == w - 1 or here > strength[i, j + 1])
            peak_y = (i == 0 or strength[i - 1, j] <= here) and (i == h - 1 or here > strength[i + 1, j])
            edge[i, j] = here > threshold and ((x[i, j] >= y[i, j] - tolerance and peak_x)
                                               or (y[i, j] >= x[i, j] - tolerance and peak_y))
    return edge


def cosines(image):
    return dctn(image, norm='ortho')


def wavelet(image):
    low = meyer()
    high = low[::-1] * (-1.0) ** np.arange(102)
    (ll, lh), (hl, hh) = ([filtered(filtered(image, across).T, along).T for along in (low, high)]
                          for across in (low, high))  # (along x, along y)
    parts = np.block([[ll, lh], [hl, hh]])
    return (parts - parts.min()) / np.ptp(parts)


def filtered(image, taps):
    """Each row, mirrored at its ends and convolved with the reversed filter; every second value."""
    rows = np.pad(image, [(0, 0), (101, 101)], mode='symmetric')
    return np.stack([np.convolve(row, taps[::-1], mode='valid')[1::2] for row in rows])


def meyer():
    """The coefficients -50 to 50 of Meyer's low-pass filter, with the sum sqrt(2), and a zero."""
    def response(frequency):
        ramp = min(max(3 * frequency / math.pi - 1, 0), 1)
        return math.cos(math.pi / 2 * ramp ** 4 * (35 - 84 * ramp + 70 * ramp ** 2 - 20 * ramp ** 3))
    half = [math.pi / 3 * np.sinc(k / 3) + quad(response, math.pi / 3, 2 * math.pi / 3, weight='cos', wvar=k)[0]
            for k in range(51)]
    taps = np.array(half[:0:-1] + half)
    return np.append(math.sqrt(2) * taps / taps.sum(), 0)


def mef_ssim(fused, source_a, source_b):
    distance = np.arange(11) - 5
    gaussian = np.exp(-(distance[:, None] ** 2 + distance ** 2) / (2 * 1.5 ** 2))
    gaussian = gaussian.ravel() / gaussian.sum()
    h, w = fused.shape
    values = []
    for y in range(h - 10):
        for x in range(w - 10):
            window = np.s_[y:y + 11, x:x + 11]
            desired, patch = desired_patch(source_a[window].ravel(), source_b[window].ravel()), fused[window].ravel()
            desired, patch = desired - gaussian @ desired, patch - gaussian @ patch
            c = (0.03 * 255) ** 2
            values.append((2 * gaussian @ (desired * patch) + c)
                          / (gaussian @ desired ** 2 + gaussian @ patch ** 2 + c))
    return np.mean(values)


def desired_patch(a, b):
    a, b = a - a.mean(), b - b.mean()
    strengths = np.linalg.norm(a), np.linalg.norm(b)
    consistency = np.linalg.norm(a + b) / sum(strengths) if sum(strengths) else 1.0
    power = min(math.tan(math.pi / 2 * consistency), 10) if consistency < 1 else 10
    strengths = np.array(strengths) + 0.001
    weights = (strengths / 11) ** power + np.finfo(float).eps
    desired = (weights / weights.sum() / strengths) @ np.stack([a, b])
    norm = np.linalg.norm(desired)
    return desired / norm * strengths.max() if norm > 0 else desired


def mef_ms_ssim(*images):
    similarity = 1.0
    for weight in np.array([0.0448, 0.2856, 0.3001]) / 0.6305:
        similarity *= max(mef_ssim(*images), 0) ** weight
        images = [halved(image) for image in images]
    return similarity


def halved(image):
    h, w = image.shape
    return np.array([[image[y:y + 2, x:x + 2].mean() for x in range(0, w, 2)] for y in range(0, h, 2)])


REFERENCES = {'FMI_pixel': feature_mutual_information(np.asarray), 'FMI_gradient': feature_mutual_information(along_x),
              'FMI_edge': feature_mutual_information(edges), 'FMI_dct': feature_mutual_information(cosines),
              'FMI_wavelet': feature_mutual_information(wavelet), 'MEF_SSIM': mef_ssim, 'MEF_MS_SSIM': mef_ms_ssim}
