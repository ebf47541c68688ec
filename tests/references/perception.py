"""Metrics of perception and of the frequency domain."""

import numpy as np
from scipy.signal import convolve2d


def frequencies(shape, degrees):
    """Radial, in cycles per degree of an image that spans so many degrees along each axis."""
    h, w = shape
    return np.hypot(np.fft.fftfreq(h)[:, None] * h, np.fft.fftfreq(w) * w) / degrees


def filtered(image, response):
    return np.real(np.fft.ifft2(np.fft.fft2(image) * response))


def gaussian(width, sigma):
    x, y = np.meshgrid(*[np.arange(width) - width // 2] * 2)
    window = np.exp(-(x ** 2 + y ** 2) / (2 * sigma ** 2))
    return window / window.sum()


def chen_blum(fused, source_a, source_b):
    f, a, b = map(masked_contrast, (fused, source_a, source_b))

    def kept(contrast):
        larger = np.maximum(contrast, f)
        return np.where(larger > 0, np.minimum(contrast, f) / np.where(larger > 0, larger, 1), 1)

    both = a ** 2 + b ** 2
    share = np.where(both > 0, a ** 2 / np.where(both > 0, both, 1), 0.5)
    return np.mean(share * kept(a) + (1 - share) * kept(b))


def masked_contrast(image):
    r = frequencies(image.shape, 15)
    image = filtered(image, np.exp(-(r / 15.387) ** 2) - 0.7622 * np.exp(-(r / 1.3456) ** 2))
    fine = convolve2d(image, gaussian(31, 2), mode='same')
    coarse = convolve2d(image, gaussian(31, 4), mode='same')
    seen = np.abs(fine - coarse) >= 1e-6
    contrast = np.where(seen, np.abs(fine / np.where(seen, coarse, 1) - 1), 0)
    return contrast ** 3 / (contrast ** 2 + 0.0001)


def chen_varshney(fused, source_a, source_b):
    r = frequencies(fused.shape, 4)
    response = 2.6 * (0.0192 + 0.144 * r) * np.exp(-(0.144 * r) ** 1.1)
    difference = weight = 0
    for source in (source_a, source_b):
        strength = sobel(source)
        seen = filtered(source - fused, response)
        for i in range(0, fused.shape[0], 16):
            for j in range(0, fused.shape[1], 16):
                saliency = np.sum(strength[i:i + 16, j:j + 16] ** 5)
                difference += saliency * np.mean(seen[i:i + 16, j:j + 16] ** 2)
                weight += saliency
    return difference / weight


def sobel(image):
    kernel = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])
    return np.hypot(convolve2d(image, kernel, mode='same'), convolve2d(image, kernel.T, mode='same'))


def phase_congruency(fused, source_a, source_b):
    of_f, of_a, of_b = map(feature_maps, (fused, source_a, source_b))
    a_is_stronger = of_a[0] > of_b[0]
    of_both = [np.where(a_is_stronger, map_a, map_b) for map_a, map_b in zip(of_a, of_b, strict=True)]
    features = of_both[0] > 0.1
    result = 1
    for i in range(3):
        best = correlation(of_both[i], of_f[i])
        for maps in (of_a, of_b):
            best = np.where(maps[0] > 0.1, np.maximum(best, correlation(maps[i], of_f[i])), best)
        result *= best[features].mean()
    return result


def correlation(x, y):
    def mean(image):
        return convolve2d(image, gaussian(11, 1.5), mode='same')
    mean_x, mean_y = mean(x), mean(y)
    variance_x = np.maximum(mean(x * x) - mean_x ** 2, 0)
    variance_y = np.maximum(mean(y * y) - mean_y ** 2, 0)
    covariance = mean(x * y) - mean_x * mean_y
    one_is_flat = (variance_x < 1e-12) != (variance_y < 1e-12)
    return np.where(one_is_flat, 0, (covariance + 0.0001) / (np.sqrt(variance_x * variance_y) + 0.0001))


def feature_maps(image, tiny=0.0001):
    """Phase congruency, its greatest and its least moment."""
    h, w = image.shape
    y, x = np.fft.fftfreq(h)[:, None], np.fft.fftfreq(w)
    low_pass = 1 / (1 + (np.hypot(y, x) / 0.45) ** 30)
    y, x = y * h / (h // 2 * 2), x * w / (w // 2 * 2)
    radius, theta = np.hypot(y, x), np.arctan2(-y, x)
    radius[0, 0] = 1
    spectrum = np.fft.fft2(image)
    energies = amplitudes = xx = yy = xy = 0
    for angle in np.arange(6) * np.pi / 6:
        turned = np.arctan2(np.sin(theta - angle), np.cos(theta - angle))
        spread = np.exp(-turned ** 2 / (2 * (np.pi / 6 / 1.2) ** 2))
        filters = []
        for scale in range(4):
            log_gabor = np.exp(-np.log(radius * 3 * 2.1 ** scale) ** 2 / (2 * np.log(0.55) ** 2)) * low_pass
            log_gabor[0, 0] = 0
            filters.append(log_gabor * spread)
        responses = [np.fft.ifft2(spectrum * each) for each in filters]
        total, amplitude = sum(responses), sum(np.abs(response) for response in responses)
        mean = total / (np.abs(total) + tiny)
        energy = 0
        for response in responses:
            along = np.conj(mean) * response
            energy = energy + along.real - np.abs(along.imag)

        power = np.median(np.abs(responses[0]) ** 2) / np.log(2) / np.sum(filters[0] ** 2)
        impulse = sum(np.real(np.fft.ifft2(each)) for each in filters)
        sigma = np.sqrt(power * np.sum(impulse ** 2) * h * w)  # of the Rayleigh distribution of the noise's energy
        threshold = (sigma * np.sqrt(np.pi / 2) + 2 * sigma * np.sqrt(2 - np.pi / 2)) / 1.7

        width = amplitude / (np.max([np.abs(response) for response in responses], axis=0) + tiny) / 4
        energy = np.maximum(energy - threshold, 0) / (1 + np.exp(10 * (0.5 - width)))
        energies, amplitudes = energies + energy, amplitudes + amplitude
        congruency = energy / np.maximum(amplitude, tiny)
        xx = xx + (congruency * np.cos(angle)) ** 2 / 3
        yy = yy + (congruency * np.sin(angle)) ** 2 / 3
        xy = xy + congruency ** 2 * np.cos(angle) * np.sin(angle) / 3
    root = np.sqrt((xx - yy) ** 2 + 4 * xy ** 2)
    return energies / (amplitudes + tiny), (xx + yy + root) / 2, (xx + yy - root) / 2


def haar_quality(fused, source_a, source_b):
    result = 1
    for exponent in (2 / 3, 1 / 3):
        (fused, *of_f), (source_a, *of_a), (source_b, *of_b) = map(haar, (fused, source_a, source_b))
        kept = present = 0
        for details in (of_a, of_b):
            preserved = sum(np.exp(-np.abs(x - f)) for x, f in zip(details, of_f, strict=True)) / 3
            weight = sum(x ** 2 for x in details)
            kept, present = kept + np.sum(preserved * weight), present + np.sum(weight)
        result *= (kept / present) ** exponent
    return result


def haar(image):
    h, w = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    image = image[:h, :w]
    low, high = image[::2] + image[1::2], image[1::2] - image[::2]
    return [(low[:, ::2] + low[:, 1::2]) / 2, (high[:, ::2] + high[:, 1::2]) / 2,
            (low[:, 1::2] - low[:, ::2]) / 2, (high[:, 1::2] - high[:, ::2]) / 2]


def spatial_frequency_error(fused, source_a, source_b):
    of_f = of_sources = 0
    for (dy, dx), weight in {(0, 1): 1, (1, 0): 1, (1, 1): 0.5 ** 0.5, (1, -1): 0.5 ** 0.5}.items():
        f, a, b = (step(image, dy, dx) for image in (fused, source_a, source_b))
        of_f += weight * np.sum(f ** 2) / fused.size
        of_sources += weight * np.sum(np.maximum(np.abs(a), np.abs(b)) ** 2) / fused.size
    return abs(np.sqrt(of_f) - np.sqrt(of_sources)) / np.sqrt(of_sources)


def step(image, dy, dx):
    """The difference of each pixel to the one `dy` below and `dx` to the right."""
    h, w = image.shape
    return image[dy:, max(dx, 0):w + min(dx, 0)] - image[:h - dy, max(-dx, 0):w - max(dx, 0)]


REFERENCES = {'Qcb': chen_blum, 'Qcv': chen_varshney, 'Qp': phase_congruency, 'Qm': haar_quality,
              'Qsf': spatial_frequency_error}
