"""The metrics of perception and of the frequency domain: published code's values, and what must hold of each."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vlfusion.imaging.images import read_image
from vlfusion.metrics.qcb import Qcb
from vlfusion.metrics.qcv import Qcv
from vlfusion.metrics.qm import Qm
from vlfusion.metrics.qp import Qp
from vlfusion.metrics.qsf import Qsf
from vlfusion.testing.shared import shared

METRICS = {metric.info.name: metric for metric in (Qcb, Qcv, Qm, Qp, Qsf)}
BEST = {'Qcb': 1, 'Qcv': 0, 'Qm': 1, 'Qp': 1, 'Qsf': 0}
every_metric = pytest.mark.parametrize('metric', METRICS.values(), ids=METRICS)


def blur(image, width=5):
    return F.avg_pool2d(F.pad(image, (width // 2,) * 4, mode='reflect'), width, stride=1)


def noisy(image, deviation):
    return (image + deviation * torch.randn(image.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 255)


def random_triple(*size, batch=1):
    """Fused, source_a and source_b: blobs, in levels that are not whole."""
    generator = torch.Generator().manual_seed(0)
    source_a, source_b = (blur(255 * torch.rand(batch, 1, *size, generator=generator, dtype=torch.float64))
                          for _ in range(2))
    source_a, source_b = ((3 * (source - 127.5) + 127.5).clamp(0, 255) for source in (source_a, source_b))
    return 0.6 * source_a + 0.4 * source_b, source_a, source_b


@pytest.fixture(scope='module')
def triple():
    return random_triple(61, 75, batch=2)


def crops(name):
    images = [read_image(shared(f'golden/metrics/crops/{name}_{image}.png')) for image in 'fab']
    return [torch.tensor(image, dtype=torch.float64)[None, None] for image in images]


@pytest.mark.parametrize(('metric', 'expected'), [(Qcb, 0.536199621304), (Qcv, 813.063067295), (Qp, 0.606757434033),
                                                  (Qsf, -0.475568083672), (Qm, 0.456040233213)])
def test_variants_equal_the_published_code_for_an_odd_size(metric, expected):
    y, x = np.mgrid[:61, :75]
    a, b = (x ** 2 // 7 + 5 * y) % 256, (y ** 2 // 5 + 3 * x) % 256
    images = (torch.tensor(image, dtype=torch.float64)[None, None] for image in ((3 * a + 2 * b) // 5, a, b))
    assert metric.variants['liu'](*images).item() == pytest.approx(expected, rel=1e-10)


@every_metric
def test_a_copy_of_both_sources_is_best(metric, triple):
    source = triple[1]
    best = torch.full((2,), float(BEST[metric.info.name]), dtype=torch.float64)
    torch.testing.assert_close(metric(source, source, source), best)
    torch.testing.assert_close(metric(*[black_half(source)] * 3), best)


@every_metric
@pytest.mark.parametrize('worse', [[lambda image: noisy(image, 5), lambda image: noisy(image, 20)],
                                   [lambda image: blur(image, 3), lambda image: blur(image, 7)]], ids=['noise', 'blur'])
def test_noise_and_blur_worsen_a_copy(metric, worse, triple):
    source = triple[1]
    errors = [(metric(degrade(source), source, source) - BEST[metric.info.name]).abs() for degrade in worse]
    assert (errors[0] > 0).all()
    assert (errors[1] > errors[0]).all()


@every_metric
def test_order_of_the_sources_does_not_matter(metric, triple):
    fused, source_a, source_b = triple
    torch.testing.assert_close(metric(fused, source_a, source_b), metric(fused, source_b, source_a))


@every_metric
def test_batch_equals_its_singles(metric, triple):
    singles = torch.cat([metric(*(image[i:i + 1] for image in triple)) for i in range(2)])
    torch.testing.assert_close(metric(*triple), singles, rtol=1e-10, atol=0)


@every_metric
def test_levels_need_not_be_whole(metric, triple):
    value, rounded = metric(*triple), metric(*(image.round() for image in triple))
    assert (value != rounded).all()
    torch.testing.assert_close(value, rounded, rtol=0.05, atol=0)


@every_metric
def test_smallest_image(metric):
    size = metric.info.smallest
    value = metric(*(image[..., :size, :size] for image in random_triple(40, 40))).item()
    low, high = metric.info.range
    assert low <= value <= high
    assert math.isfinite(value)


@every_metric
@pytest.mark.parametrize('level', [0., 37.5, 255.])
def test_constant_images(metric, level):
    constant = torch.full((1, 1, 48, 50), level, dtype=torch.float64)
    value = metric(constant, constant, constant).item()
    assert math.isnan(value) if metric is Qp else value == BEST[metric.info.name]


@every_metric
def test_black_halves(metric, triple):
    fused, source_a, source_b = triple
    low, high = metric.info.range
    for images in ((black_half(fused), source_a, source_b), (fused, black_half(source_a), source_b),
                   [black_half(image) for image in triple]):
        value = metric(*images)
        assert ((low <= value) & (value <= high) & value.isfinite()).all()


def black_half(image):
    return torch.cat([image[..., :32], 0 * image[..., 32:]], 3)


@pytest.mark.parametrize('metric', [Qcb, Qcv, Qp, Qsf], ids=['Qcb', 'Qcv', 'Qp', 'Qsf'])
def test_constant_fused_image_is_far_from_best(metric, triple):
    fused, *sources = triple
    error, of_constant = ((metric(image, *sources) - BEST[metric.info.name]).abs()
                          for image in (fused, 0 * fused + 128))
    assert (of_constant > 1.2 * error).all()


@pytest.mark.parametrize('metric', [Qcb, Qcv], ids=['Qcb', 'Qcv'])
def test_published_code_does_not_see_a_loss_of_contrast(metric, triple):
    source = triple[1].round()
    faint = 0.5 * source + 64
    best = torch.full((2,), float(BEST[metric.info.name]), dtype=torch.float64)
    torch.testing.assert_close(metric.variants['liu'](faint, source, source), best)
    assert ((metric(faint, source, source) - best).abs() > 0.1).all()


def test_qcv_does_not_count_pixels_outside_of_the_image():
    fused, source_a, source_b = random_triple(16, 17)
    for image in (fused, source_a, source_b):
        image[..., 0, 0], image[..., 1, 1] = 0, 255  # nothing left to stretch
    images = [image.round() for image in (fused, source_a, source_b)]
    assert Qcv(*images) > Qcv.variants['liu'](*images)


def test_qp_of_a_fused_image_without_features(triple):
    fused, *sources = triple
    assert (Qp(0 * fused + 128, *sources) == 0).all()
    assert (Qp.variants['liu'](0 * fused + 128, *sources) > 0.9).all()  # to published code it is nearly perfect


def test_qp_hardly_depends_on_contrast_and_brightness(triple):
    fused, *sources = triple
    torch.testing.assert_close(Qp(0.5 * fused + 64, *sources), Qp(fused, *sources), rtol=1e-3, atol=0)


def test_qm_by_hand():
    stripes = torch.tensor([100., 110.]).repeat(4)[:, None].expand(1, 1, 8, 8)
    mean = torch.full_like(stripes, 105)
    assert Qm(mean, stripes, stripes).item() == pytest.approx(((math.exp(-10) + 2) / 3) ** (2 / 3))
    assert Qm(mean, mean, stripes).item() == Qm(mean, stripes, mean).item() == Qm(mean, stripes, stripes).item()


def test_qm_of_published_code_is_a_sum(triple):
    torch.testing.assert_close(Qm.variants['liu'](*triple), 3 * Qm(*triple))


def test_qsf_tells_lost_activity_from_noise_by_its_sign(triple):
    source = triple[1]
    signed = Qsf.variants['liu']
    assert (signed(blur(source), source, source) < 0).all()
    assert (signed(noisy(source, 20), source, source) > 0).all()
    torch.testing.assert_close(Qsf(blur(source), source, source), -signed(blur(source), source, source))


def test_qsf_of_scaled_and_of_flat_images(triple):
    source = triple[1]
    torch.testing.assert_close(Qsf(0.75 * source, source, 0 * source), torch.full((2,), 0.25, dtype=torch.float64))
    assert (Qsf(source, 0 * source, 0 * source) == math.inf).all()
