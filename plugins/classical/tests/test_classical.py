"""Each method against another implementation: OpenCV, SciPy, or NumPy written straight from the formula."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import pywt
import torch
from scipy import ndimage

from vlfusion.config import load_config
from vlfusion.engine.runner import build_runner
from vlfusion.errors import ConfigError
from vlfusion.imaging.images import luminance, read_image
from vlfusion.inference.fuser import Fuser
from vlfusion.registry import BACKBONES
from vlfusion.testing import check_backbone
from vlfusion.testing.shared import shared
from vlfusion.testing.toys import draw_pairs

classical = pytest.importorskip('vlfusion_classical', reason='pip install --editable plugins/classical')

from vlfusion_classical import dtcwt, pyramids  # noqa: E402
from vlfusion_classical.guided_filter import guided_filter  # noqa: E402

CONFIGS = sorted(Path(__file__).parents[1].glob('configs/*.py'))


def draw(size=(21, 26), seed=0):
    """Two images in [0, 1], `(h, w)`, each sharp in its own half, with texture that fades from top to bottom."""
    generator = np.random.default_rng(seed)
    left = np.arange(size[1]) < size[1] / 2
    sharp, smooth = ([cv2.GaussianBlur(generator.random(size), (0, 0), sigma) for _ in 'ab'] for sigma in (0.6, 1.5))
    fade = np.geomspace(1, 0.01, size[0])[:, None]
    images = [np.where(half, sharp[i], smooth[i]) * fade + (1 - fade) / 2 for i, half in enumerate((left, ~left))]
    return [image.astype(np.float32).astype(np.float64) for image in images]


def tensor(image):
    return torch.from_numpy(image)[None, None].float()


def scaled(image):
    """Grey levels as OpenCV brings them to [0, 1]. Where both sources are flat, Mertens' weights are ratios of rounding
    noise, so the last bit counts."""
    return image.astype(np.float32) * np.float32(1 / 255)


def assert_fuses(backbone, a, b, expected, atol=1e-5):
    fused = backbone(tensor(a), tensor(b))
    torch.testing.assert_close(fused, tensor(np.clip(expected, 0, 1)), rtol=0, atol=atol)


@pytest.mark.slow
@pytest.mark.parametrize('name', classical.__all__)
def test_what_every_backbone_must_do(name):
    backbone = BACKBONES.build(dict(type=f'vlfusion_classical.{name}'))
    check_backbone(backbone)
    assert not backbone.state_dict() and not list(backbone.parameters())


@pytest.mark.parametrize('size', [(1, 1), (2, 3), (5, 1), (17, 32), (33, 40)], ids=str)
@pytest.mark.parametrize('name', classical.__all__)
def test_an_image_fused_with_itself_is_itself(name, size):
    images = torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(getattr(classical, name)()(images, images), images, rtol=0, atol=1e-6)


@pytest.mark.parametrize('name', classical.__all__)
def test_the_order_of_the_sources_does_not_matter(name):
    a, b = map(tensor, draw())
    backbone = getattr(classical, name)()
    torch.testing.assert_close(backbone(a, b), backbone(b, a), rtol=0, atol=1e-6)


def test_average_and_maximum():
    a, b = torch.tensor([0.2, 0.9]).reshape(1, 1, 1, 2), torch.tensor([0.4, 0.3]).reshape(1, 1, 1, 2)
    torch.testing.assert_close(classical.Average()(a, b).flatten(), torch.tensor([0.3, 0.6]))
    torch.testing.assert_close(classical.Maximum()(a, b).flatten(), torch.tensor([0.4, 0.9]))


@pytest.mark.parametrize('size', [(8, 8), (9, 14), (3, 7), (1, 4), (2, 1)], ids=str)
def test_pyramids_are_those_of_opencv(size):
    image = np.random.default_rng(0).random(size).astype(np.float32)
    small = cv2.pyrDown(image).reshape(-(-size[0] // 2), -1)
    torch.testing.assert_close(pyramids.shrink(tensor(image)), tensor(small))
    large = cv2.pyrUp(small, dstsize=size[::-1]).reshape(size)
    torch.testing.assert_close(pyramids.expand(tensor(small), size), tensor(large))


@pytest.mark.parametrize(('size', 'levels'), [((64, 48), 4), ((37, 53), 3), ((37, 53), 1)])
def test_laplacian_pyramid_against_opencv(size, levels):
    def analyse(image):
        gaussians = [image]
        for _ in range(levels):
            gaussians.append(cv2.pyrDown(gaussians[-1]))
        return [fine - cv2.pyrUp(coarse, dstsize=fine.shape[::-1])
                for fine, coarse in zip(gaussians, gaussians[1:], strict=False)], gaussians[-1]

    a, b = draw(size)
    (details_a, coarse_a), (details_b, coarse_b) = analyse(a), analyse(b)
    expected = (coarse_a + coarse_b) / 2
    for detail_a, detail_b in zip(details_a[::-1], details_b[::-1], strict=True):
        stronger = np.where(abs(detail_a) >= abs(detail_b), detail_a, detail_b)
        expected = cv2.pyrUp(expected, dstsize=stronger.shape[::-1]) + stronger
    assert_fuses(classical.LaplacianPyramid(levels), a, b, expected)


@pytest.mark.parametrize(('channels', 'exposure'), [(1, 1), (3, 3)])
@pytest.mark.parametrize('size', [(64, 64), (41, 53), (128, 33)], ids=str)
def test_mertens_against_opencv(size, channels, exposure):
    a, b = draw(size)
    # OpenCV divides by 255 whatever the type. Saturation is zero on grey images, and would make the weights zero.
    images = [np.repeat(255 * image[..., None], channels, 2).astype(np.float32) for image in (a, b)]
    expected = cv2.createMergeMertens(1, 0, 1).process(images).reshape(*size, channels)[..., 0]
    assert_fuses(classical.MertensFusion(exposure=exposure), *(scaled(image[..., 0]) for image in images), expected,
                 atol=2e-6 if channels == 1 else 2e-5)  # its grey of three equal channels is not quite their value


def test_mertens_on_8_bit_photographs():
    folder = shared('data/mef/U2Fusion')
    over, under = (read_image(sorted((folder / name).iterdir())[0]) for name in ('over', 'under'))
    grey = [np.round(255 * luminance(image)).astype(np.uint8) for image in (over, under)]
    expected = cv2.createMergeMertens(1, 0, 1).process(grey)
    assert_fuses(classical.MertensFusion(), *map(scaled, grey), expected, atol=2e-6)


@pytest.mark.parametrize('size', [(64, 64), (41, 53)], ids=str)
def test_mertens_of_five_exposures_against_opencv(size):
    sources = [image * gain for gain in (0.4, 1.0) for image in draw(size)] + [draw(size, seed=1)[0]]
    images = [(255 * image[..., None]).astype(np.float32) for image in sources]
    expected = cv2.createMergeMertens(1, 0, 1).process(images)
    fused = classical.MertensFusion().fuse_stack([tensor(scaled(image[..., 0])) for image in images])
    torch.testing.assert_close(fused, tensor(np.clip(expected, 0, 1)), rtol=0, atol=2e-6)


def test_the_strongest_of_three_in_opencv_pyramids():
    sources = [*draw((33, 40)), draw((33, 40), seed=1)[0]]
    fine = np.stack(sources)
    coarse = np.stack([cv2.pyrDown(image) for image in fine])
    details = fine - np.stack([cv2.pyrUp(image, dstsize=fine.shape[:0:-1]) for image in coarse])
    strongest = np.take_along_axis(details, np.abs(details).argmax(0)[None], 0)[0]
    assert min(np.bincount(np.abs(details).argmax(0).ravel(), minlength=3)) > 100
    expected = cv2.pyrUp(coarse.mean(0), dstsize=fine.shape[:0:-1]) + strongest
    fused = classical.LaplacianPyramid(1).fuse_stack(list(map(tensor, sources)))
    torch.testing.assert_close(fused, tensor(np.clip(expected, 0, 1)), rtol=0, atol=1e-5)


@pytest.mark.parametrize('name', ['FocusMeasureFusion', 'GuidedFilterFusion', 'LaplacianPyramid'])
def test_the_sharp_third_of_each_of_three_sources_is_found(name):
    sharp = cv2.GaussianBlur(np.random.default_rng(0).random((60, 120)), (0, 0), 1)
    smooth = cv2.GaussianBlur(sharp, (0, 0), 4)
    sources = [np.where(np.arange(120) // 40 == third, sharp, smooth) for third in range(3)]
    error = np.abs(getattr(classical, name)().fuse_stack(list(map(tensor, sources)))[0, 0].numpy() - sharp)
    middle = np.arange(120) % 40
    assert error[:, (middle > 12) & (middle < 28)].max() < (0.02 if name != 'LaplacianPyramid' else 0.1)


def test_equally_sharp_sources_share_their_votes():
    x, flat = np.round(256 * draw((20, 26))[0]) / 256, np.full((20, 26), 0.5)  # so that 1 - x is exact
    fused = classical.FocusMeasureFusion().fuse_stack([tensor(flat), tensor(x), tensor(1 - x), tensor(flat)])
    torch.testing.assert_close(fused, tensor(flat), rtol=0, atol=1e-6)


@pytest.mark.parametrize('size', [(20, 26), (21, 27)], ids=str)
def test_discrete_wavelet_by_hand(size):
    """One level of Haar: sums and differences of each two by two pixels, the last row and column repeated."""
    a, b = draw(size)

    def analyse(image):
        image = np.pad(image, [(0, side % 2) for side in size], mode='edge')
        p, q, r, s = image[::2, ::2], image[::2, 1::2], image[1::2, ::2], image[1::2, 1::2]
        return [(p + q + r + s) / 2, (p + q - r - s) / 2, (p - q + r - s) / 2, (p - q - r + s) / 2]

    (coarse_a, *details_a), (coarse_b, *details_b) = analyse(a), analyse(b)
    x = (coarse_a + coarse_b) / 2
    y, z, w = (np.where(abs(a) >= abs(b), a, b) for a, b in zip(details_a, details_b, strict=True))
    expected = np.empty([2 * side for side in x.shape])
    expected[::2, ::2], expected[::2, 1::2] = (x + y + z + w) / 2, (x + y - z - w) / 2
    expected[1::2, ::2], expected[1::2, 1::2] = (x - y + z - w) / 2, (x - y - z + w) / 2
    assert_fuses(classical.DiscreteWavelet('haar', levels=1), a, b, expected[:size[0], :size[1]])


#: As published, low-pass; the first level's and all others'.
DUAL_TREE_FILTERS = dict(
    a=([0, -0.08838834764832, 0.08838834764832, 0.695879989034, 0.695879989034, 0.08838834764832, -0.08838834764832,
        0.01122679215254, 0.01122679215254, 0], [0.03516384, 0, -0.08832942, 0.23389032, 0.76027237, 0.5875183, 0,
                                                 -0.11430184, 0, 0]),
    b=([0.01122679215254, 0.01122679215254, -0.08838834764832, 0.08838834764832, 0.695879989034, 0.695879989034,
        0.08838834764832, -0.08838834764832, 0, 0], [0, 0, -0.11430184, 0, 0.5875183, 0.76027237, 0.23389032,
                                                     -0.08832942, 0, 0.03516384]))


def dual_tree_matrices(size, tree, levels):
    """For each level of one tree what low-pass and high-pass give of `size` samples, as matrices."""
    low = np.eye(size)
    for level in range(levels):
        taps = DUAL_TREE_FILTERS[tree][min(level, 1)]
        step = np.zeros((2, len(low) // 2, len(low)))
        for place, tap in np.ndindex(len(low) // 2, 10):
            column = (2 * place + 5 - tap) % len(low)  # 5: where PyWavelets has the first sample
            step[:, place, column] += taps[tap], (-1) ** tap * taps[9 - tap]
        low, high = step @ low
        yield low, high


@pytest.mark.parametrize(('size', 'levels'), [((32, 48), 2), ((29, 18), 3)], ids=str)
def test_dtcwt_against_complex_matrices(size, levels):
    """A complex wavelet is that of tree a and `i` times that of tree b, along rows and along columns."""
    sources, margin = draw(size), 2 ** levels
    a, b = (np.pad(x, [(margin, margin + -side % margin) for side in size], mode='reflect') for x in sources)
    expected = 0
    rows, columns = ([list(dual_tree_matrices(side, tree, levels)) for tree in 'ab'] for side in a.shape)
    for level in range(levels):
        (low_r, high_r), (low_c, high_c) = [[x[level][band] + 1j * y[level][band] for band in range(2)]
                                            for x, y in (rows, columns)]
        for left, right in ((high_r, low_c), (low_r, high_c), (high_r, high_c)):
            for oriented in (right, right.conj()):
                z_a, z_b = left @ a @ oriented.T, left @ b @ oriented.T
                stronger = np.where(abs(z_a) >= abs(z_b), z_a, z_b)
                expected = expected + (left.conj().T @ stronger @ oriented.conj()).real / 8
    for row in rows:
        for column in columns:
            low_r, low_c = row[-1][0], column[-1][0]
            expected = expected + low_r.T @ (low_r @ (a + b) / 2 @ low_c.T) @ low_c / 4
    assert_fuses(classical.DTCWT(levels), *sources, expected[margin:margin + size[0], margin:margin + size[1]])


def test_dtcwt_reconstructs_perfectly():
    image = np.random.default_rng(0).random((2, 64, 96))
    np.testing.assert_allclose(dtcwt.synthesise(*dtcwt.analyse(image, 4)), image, atol=2e-8)  # filters: eight decimals


def test_dtcwt_is_less_disturbed_by_a_shift_than_the_discrete_wavelet():
    """The energy of the third level of a step edge that moves: without aliasing it would stay the same."""
    def relative_spread(energy):
        energies = [energy(np.pad(np.ones((64, 64 - shift)), ((0, 0), (64 + shift, 0)))) for shift in range(16)]
        return np.std(energies) / np.mean(energies)

    def centre(band):
        quarter = band.shape[-1] // 4
        return (np.abs(band[..., quarter:-quarter]) ** 2).sum()

    real = relative_spread(lambda image: sum(map(centre, pywt.wavedec2(image, 'db2', 'periodization', 3)[1])))
    dual = relative_spread(lambda image: centre(dtcwt.analyse(image, 3)[1][2]))
    assert dual < real / 3


def test_guided_filter_is_a_ridge_regression_in_each_window():
    guide, x = draw((14, 17))
    radius, epsilon = 3, 0.01
    slopes, offsets = np.empty(x.shape), np.empty(x.shape)
    windows = {(i, j): np.s_[max(i - radius, 0):i + radius + 1, max(j - radius, 0):j + radius + 1]
               for i, j in np.ndindex(x.shape)}
    for place, window in windows.items():
        g, y = guide[window].ravel(), x[window].ravel()
        # Least squares of a g + c over the window with the penalty epsilon a^2 for each pixel.
        rows = np.vstack([np.column_stack((g, np.ones_like(g))), [np.sqrt(epsilon * g.size), 0]])
        slopes[place], offsets[place] = np.linalg.lstsq(rows, np.append(y, 0), rcond=None)[0]
    expected = [slopes[window].mean() * guide[place] + offsets[window].mean() for place, window in windows.items()]
    found = guided_filter(torch.from_numpy(guide)[None, None], torch.from_numpy(x)[None, None], radius, epsilon)
    np.testing.assert_allclose(found[0, 0], np.reshape(expected, x.shape), atol=1e-10)


def test_guided_filter_fusion_against_scipy():
    a, b = draw((60, 70))
    ones = np.ones(a.shape)

    def box(image, radius):
        """Sums over zero-padded windows, divided by the number of real pixels."""
        sums = [ndimage.uniform_filter(part, 2 * radius + 1, mode='constant') for part in (image, ones)]
        return sums[0] / sums[1]

    def smooth(guide, x, radius, epsilon):
        slope = ((box(guide * x, radius) - box(guide, radius) * box(x, radius))
                 / (box(guide ** 2, radius) - box(guide, radius) ** 2 + epsilon))
        return (box(slope, radius) * guide + box(box(x, radius) - slope * box(guide, radius), radius)).clip(0, 1)

    def saliency(image):
        # scipy's truncate counts sigmas: one is a radius of five pixels.
        return ndimage.gaussian_filter(abs(ndimage.laplace(image, mode='nearest')), 5, truncate=1, mode='nearest')

    chosen = (saliency(a) >= saliency(b)).astype(float)
    assert 0.3 < chosen.mean() < 0.7
    bases = [ndimage.uniform_filter(image, 31, mode='nearest') for image in (a, b)]
    expected = 0
    for layers, radius, epsilon in ((bases, 45, 0.3), ((a - bases[0], b - bases[1]), 7, 1e-6)):
        weights = [smooth(a, chosen, radius, epsilon), smooth(b, 1 - chosen, radius, epsilon)]
        expected = expected + (weights[0] * layers[0] + weights[1] * layers[1]) / (weights[0] + weights[1])
    assert_fuses(classical.GuidedFilterFusion(), a, b, expected)


@pytest.mark.parametrize('majority_radius', [0, 3])
def test_focus_measure_against_scipy(majority_radius):
    a, b = draw((40, 50))

    def focus(image):
        kernel = np.array([[-1, 2, -1]])
        modified = sum(abs(ndimage.correlate(image, k, mode='nearest')) for k in (kernel, kernel.T))
        pixels = [ndimage.uniform_filter(part, 5, mode='constant') for part in (modified, np.ones(image.shape))]
        return pixels[0] / pixels[1]

    vote = np.where(focus(a) > focus(b), 1, -1)
    assert 0.3 < (vote > 0).mean() < 0.7
    side = 2 * majority_radius + 1
    majority = ndimage.convolve(vote, np.ones((side, side), int), mode='constant')
    expected = np.select([majority > 0, majority < 0], [a, b], (a + b) / 2)
    assert_fuses(classical.FocusMeasureFusion(majority_radius=majority_radius), a, b, expected, atol=1e-6)


def test_focus_measure_finds_the_sharp_halves():
    sharp = np.random.default_rng(0).random((60, 80))
    blurred = cv2.GaussianBlur(sharp, (0, 0), 3)
    left = np.arange(80) < 40
    a, b = np.where(left, sharp, blurred), np.where(left, blurred, sharp)
    fused = classical.FocusMeasureFusion()(tensor(a), tensor(b))[0, 0].numpy()
    seam = 5  # the filters see the seam itself
    np.testing.assert_array_equal(fused[:, abs(np.arange(80) - 39.5) > seam],
                                  sharp.astype(np.float32)[:, abs(np.arange(80) - 39.5) > seam])


def test_cross_bilateral_pixel_by_pixel():
    a, b = draw((16, 19))

    def window(image, place, radius):
        padded = np.pad(image, radius, mode='edge')
        return padded[place[0]:place[0] + 2 * radius + 1, place[1]:place[1] + 2 * radius + 1]

    def detail(image, guide):
        out = np.empty(image.shape)
        offset = np.arange(-5, 6)
        distance = offset[:, None] ** 2 + offset ** 2
        for place in np.ndindex(image.shape):
            difference = 255 * (window(guide, place, 5) - guide[place])
            weight = np.exp(-distance / (2 * 1.8 ** 2)) * np.exp(-difference ** 2 / (2 * 25 ** 2))
            out[place] = image[place] - (weight * window(image, place, 5)).sum() / weight.sum()
        return out

    detail_a, detail_b = detail(a, b), detail(b, a)
    expected = np.empty(a.shape)
    for place in np.ndindex(a.shape):
        around = [window(image, place, 2) for image in (detail_a, detail_b)]
        # The eigenvalues of the covariance of the columns, and of the rows, as the paper has it.
        weight_a, weight_b = (sum(np.linalg.eigvalsh(np.cov(x)).sum() for x in (part, part.T)) for part in around)
        expected[place] = (weight_a * a[place] + weight_b * b[place]) / (weight_a + weight_b)
    assert_fuses(classical.CrossBilateralFusion(), a, b, expected)


@pytest.mark.slow
def test_what_knows_of_focus_beats_the_average_on_real_pairs():
    folder = shared('data/mff/NYU-D')
    names = sorted(path.name for path in (folder / 'full_clear').iterdir())[:6]
    error = dict.fromkeys(('Average', 'LaplacianPyramid', 'GuidedFilterFusion', 'FocusMeasureFusion'), 0.0)
    for name in names:
        a, b, truth = (tensor(luminance(read_image(folder / part / name)))[..., 100:300, 100:400]
                       for part in ('source_1', 'source_2', 'full_clear'))
        for method in error:
            error[method] += (getattr(classical, method)()(a, b) - truth).square().mean().item() / len(names)
    psnr = {method: -10 * np.log10(value) for method, value in error.items()}
    assert psnr['Average'] + 5 < min(psnr['LaplacianPyramid'], psnr['GuidedFilterFusion'], psnr['FocusMeasureFusion'])


def test_options_that_make_no_sense_are_errors():
    for method in (classical.LaplacianPyramid, classical.DiscreteWavelet, classical.DTCWT):
        with pytest.raises(ConfigError, match='0 levels has no detail'):
            method(levels=0)
    with pytest.raises(ConfigError, match=r"no discrete wavelet 'dbb2'.\n.*Did you mean"):
        classical.DiscreteWavelet('dbb2')


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_tests_on_toy_pairs(path, tmp_path):
    config = load_config(path, {'data_root': str(tmp_path), 'work_dir': str(tmp_path / 'work'),
                                'test_dataloader.num_workers': 0})
    dataset = config.test_dataloader.dataset
    for part in (dataset.get('subsets') or {'': dataset}).values():
        if part.source_a.startswith('*'):  # a folder per scene, with the images of both sources
            draw_pairs(tmp_path, ['p0_A', 'p0_B', 'p1_A', 'p1_B'], 'scene', 'scene')
        else:
            draw_pairs(tmp_path, ['p0', 'p1'], part.source_a, part.source_b)
    assert build_runner(config, 'test').test().keys() >= {'EN', 'Qabf'}


def test_a_config_fuses_without_a_checkpoint(tmp_path):
    draw_pairs(tmp_path, ['p0'])
    fuser = Fuser(CONFIGS[0], task='ivf')
    fused = fuser(tmp_path / 'ir/p0.png', tmp_path / 'vi/p0.png')
    assert fused.grey.shape == (48, 56) and fused.colour.shape == (48, 56, 3)
