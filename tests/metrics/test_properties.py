"""What must hold of every metric, and how each answers to a change of the image that we understand."""

import math

import pytest
import torch
import torch.nn.functional as F

from vlfusion.metrics import AG, EN, SD, SF, VIF, Qabf
from vlfusion.registry import FUSION_METRICS

every_metric = pytest.mark.parametrize('metric', [FUSION_METRICS.get(name) for name in FUSION_METRICS.names()],
                                       ids=FUSION_METRICS.names())


def blur(image):
    return F.avg_pool2d(F.pad(image, (2, 2, 2, 2), mode='reflect'), 5, stride=1)


@pytest.fixture
def triple():
    """A batch of three: fused, source_a and source_b, smooth and of odd size, in whole levels."""
    generator = torch.Generator().manual_seed(0)
    source_a, source_b = (blur(blur(255 * torch.rand(3, 1, 61, 75, generator=generator))) for _ in range(2))
    source_a, source_b = ((3 * (source - 127.5) + 127.5).clamp(0, 255).round() for source in (source_a, source_b))
    return ((source_a + source_b) / 2).round(), source_a, source_b


@every_metric
def test_one_value_per_image_of_the_input_type(metric, triple):
    for dtype in (torch.float32, torch.float64):
        values = metric(*(image.to(dtype) for image in triple))
        assert values.shape == (3,)
        assert values.dtype == dtype
        low, high = metric.info.range
        assert ((low <= values) & (values <= high)).all()


@every_metric
def test_batch_equals_its_singles(metric, triple):
    singles = torch.cat([metric(*(image[i:i + 1] for image in triple)) for i in range(3)])
    torch.testing.assert_close(metric(*triple), singles, rtol=1e-6, atol=0)
    assert singles.unique().numel() == 3


@every_metric
def test_float32_is_accurate(metric, triple):
    double = metric(*(image.double() for image in triple))
    torch.testing.assert_close(metric(*triple).double(), double, rtol=1e-5, atol=0)


def test_vif_in_float32_is_accurate_for_a_saturated_image(triple):
    images = [torch.cat([torch.full_like(image, 255), image[..., :5] % 2 + 254], 3) for image in triple]
    double = VIF(*(image.double() for image in images))
    torch.testing.assert_close(VIF(*images).double(), double, rtol=1e-5, atol=0)


@every_metric
def test_order_of_the_sources_does_not_matter(metric, triple):
    fused, source_a, source_b = triple
    torch.testing.assert_close(metric(fused, source_a, source_b), metric(fused, source_b, source_a))


def test_noise_raises_sharpness_and_lowers_fidelity(triple):
    fused, *sources = triple
    noisy = (fused + 10 * torch.randn(fused.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 255).round()
    for metric in (SF, AG):
        assert (metric(noisy, *sources) > metric(fused, *sources)).all()
    for metric in (VIF, Qabf):
        assert (metric(noisy, *sources) < metric(fused, *sources)).all()


def test_blur_lowers_contrast_sharpness_and_fidelity(triple):
    fused, *sources = triple
    for metric in (SD, SF, AG, VIF, Qabf):
        assert (metric(blur(fused), *sources) < metric(fused, *sources)).all()


def test_contrast_scales_what_min_max_stretch_raises(triple):
    fused, *sources = triple
    for metric in (SD, SF, AG):
        torch.testing.assert_close(metric(fused / 2, *sources), metric(fused, *sources) / 2)


def test_constant_image():
    for level in range(0, 256, 15):
        constant = torch.full((1, 1, 48, 50), float(level))
        for metric in (EN, SD, SF, AG):
            assert metric(constant, constant, constant).item() == 0
        assert VIF(constant, constant, constant).item() == 2  # a source without variance counts as 1


def test_copy_of_both_sources(triple):
    source = triple[1]
    torch.testing.assert_close(VIF(source, source, source), torch.full((3,), 2.0))
    best = 0.9994 * 0.9879 / (1 + math.exp(-22 * 0.2))
    torch.testing.assert_close(Qabf(source, source, source), torch.full((3,), best), rtol=1e-4, atol=0)


def test_entropy_of_every_level_once():
    ramp = torch.arange(256.0).view(1, 1, 16, 16)
    assert EN(ramp, ramp, ramp).item() == pytest.approx(8)


def test_qabf_of_black_sources_is_nan(triple):
    fused = triple[0]
    assert Qabf(fused, 0 * fused, 0 * fused).isnan().all()
