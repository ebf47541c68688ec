"""Properties of every metric, and its answer to a change of the image that we understand."""

import math

import pytest
import torch
import torch.nn.functional as F

from vlfusion.metrics import (
    AG,
    CC,
    CE,
    EI,
    EN,
    MI,
    MS_SSIM,
    MSE,
    NMI,
    PSNR,
    RMSE,
    SCD,
    SD,
    SF,
    SSIM,
    VI,
    VIF,
    VIFF,
    Labf,
    Nabf,
    Qabf,
    Qc,
    Qe,
    Qncie,
    Qs,
    Qte,
    Qw,
    Qy,
    metric,
)
from vlfusion.metrics.base import CODES, metric_names
from vlfusion.testing import check_metric

NAMES = metric_names()
LABELS = [label for name in NAMES for label in (name, *(f'{name}:{code}' for code in metric(name).info.variants))]
every_metric = pytest.mark.parametrize('name', NAMES)
every_variant = pytest.mark.parametrize('label', LABELS)


def blur(image):
    return F.avg_pool2d(F.pad(image, (2, 2, 2, 2), mode='reflect'), 5, stride=1)


def noisy(image, sigma=10.):
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    return (image + sigma * noise).clamp(0, 255).round()


def draw(height, width):
    """A batch of three: fused, source_a and source_b, smooth, in whole levels."""
    generator = torch.Generator().manual_seed(0)
    sources = (blur(blur(255 * torch.rand(3, 1, height, width, generator=generator))) for _ in range(2))
    source_a, source_b = ((3 * (source - 127.5) + 127.5).clamp(0, 255).round() for source in sources)
    return ((source_a + source_b) / 2).round(), source_a, source_b


@pytest.fixture(scope='module')
def triple():
    return draw(61, 75)


@pytest.fixture(scope='module')
def large():
    return draw(177, 181)


def suited(name, triple, large):
    return triple if metric(name).info.smallest <= 61 else large


@pytest.mark.slow
@every_variant
def test_what_scoring_relies_on(label):
    check_metric(metric(label), symmetric=label not in (
        'Qc:liu', 'Qc:mefb', 'Qabf:liu', 'VIFF:han', 'VIFF:mefb', 'LeadA', 'TextureLeadA'))


@every_metric
def test_levels_between_whole_ones_are_accepted(name, triple, large):
    """Sources of 16 bits have them."""
    fused, *sources = suited(name, triple, large)
    sources = [(source * 257 + 100 * torch.rand(source.shape)).clamp(0, 65535).round() / 257 for source in sources]
    values, whole = metric(name)(fused, *sources), metric(name)(*suited(name, triple, large))
    assert values.isfinite().all()
    torch.testing.assert_close(values, whole, rtol=0.25, atol=0.05)


@pytest.mark.parametrize('name', ['VIF', 'VIFF', 'Qabf', 'CC', 'SCD', 'SSIM', 'MS_SSIM', 'MSE', 'RMSE', 'PSNR', 'Qs',
                                  'Qw', 'Qe', 'Qy', 'Qc', 'Nabf'])
def test_noise_makes_it_worse(name, triple, large):
    fused, *sources = suited(name, triple, large)
    clean, worse = metric(name)(fused, *sources), metric(name)(noisy(fused), *sources)
    assert (worse < clean if metric(name).info.direction == 'higher' else worse > clean).all()


@pytest.mark.parametrize('name', ['MI', 'NMI', 'Qncie', 'Qte'])
def test_noise_lowers_information(name, large):
    """With few levels: a joint histogram that has as many bins as there are pixels shows chance for dependence."""
    images = [(image / 32).floor() * 32 for image in large]
    assert (metric(name)(noisy(images[0], 30), *images[1:]) < metric(name)(*images)).all()


@pytest.mark.parametrize('name', ['EN', 'SD', 'VI', 'SF', 'AG', 'EI'])
def test_noise_raises_what_looks_at_the_fused_image_alone(name, triple):
    fused, *sources = triple
    assert (metric(name)(noisy(fused), *sources) > metric(name)(fused, *sources)).all()


@pytest.mark.parametrize('name', ['SD', 'VI', 'SF', 'AG', 'EI', 'VIF', 'VIFF', 'Qabf', 'Labf', 'SSIM', 'Qs', 'Qw'])
def test_blur_makes_it_worse(name, triple):
    fused, *sources = triple
    sharp, worse = metric(name)(fused, *sources), metric(name)(blur(fused), *sources)
    assert (worse < sharp if metric(name).info.direction == 'higher' else worse > sharp).all()


def test_contrast_scales_what_min_max_stretch_raises(triple):
    fused, *sources = triple
    for name in (SD, SF, AG, EI):
        torch.testing.assert_close(name(fused / 2, *sources), name(fused, *sources) / 2)
    torch.testing.assert_close(VI(fused / 2, *sources), VI(fused, *sources) / 4)


def test_constant_image():
    for level in range(0, 256, 15):
        constant = torch.full((1, 1, 48, 50), float(level))
        for alone in (EN, SD, VI, SF, AG, EI, MI, CE, MSE, RMSE):
            assert alone(constant, constant, constant).item() == pytest.approx(0)
        assert VIF(constant, constant, constant).item() == 2  # a source without variance counts as 1
        assert PSNR(constant, constant, constant).item() == math.inf
        for undefined in (CC, SCD, NMI):
            assert undefined(constant, constant, constant).isnan()
        for similar in (SSIM, Qs, Qw, Qy, Qc):
            assert similar(constant, constant, constant).item() == pytest.approx(1)


def test_a_copy_of_both_sources_is_the_best(triple, large):
    source = triple[1]
    for best, value in ((VIF, 2), (NMI, 2), (CC, 1), (SSIM, 1), (Qs, 1), (Qw, 1), (Qe, 1), (Qy, 1), (Qc, 1), (Nabf, 0),
                        (CE, 0), (MSE, 0)):
        torch.testing.assert_close(best(source, source, source), torch.full((3,), float(value)), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(MS_SSIM(large[1], large[1], large[1]), torch.ones(3))
    torch.testing.assert_close(MI(source, source, source), 2 * EN(source, source, source))
    best = 0.9994 / (1 + math.exp(-7.5)) * 0.9879 / (1 + math.exp(-22 * 0.2))
    torch.testing.assert_close(Qabf(source, source, source), torch.full((3,), best))
    assert VIFF(source, source, source).tolist() == pytest.approx([1] * 3)


def test_a_copy_of_one_source_adds_nothing_to_correlate(triple):
    assert SCD(triple[1], *triple[1:]).isnan().all()
    assert SCD((triple[1] / 2 + 30).round() - 5, *triple[1:]).isfinite().all()


def test_entropy_of_every_level_once():
    ramp = torch.arange(256.0).view(1, 1, 16, 16)
    assert EN(ramp, ramp, ramp).item() == pytest.approx(8)


def test_qabf_of_black_sources_is_nan(triple):
    fused = triple[0]
    assert Qabf(fused, 0 * fused, 0 * fused).isnan().all()


def test_artefacts_and_loss_share_what_is_not_preserved(triple):
    fused, *sources = triple
    flat = torch.full_like(fused, 100)
    assert (Nabf(flat, *sources) == 0).all()  # no edge of its own
    assert (Labf(flat, *sources) > 0.98).all()
    assert (Nabf(noisy(fused, 40), *sources) > 0.1).all()
    assert (Nabf(fused, *sources) + Labf(fused, *sources) < 1).all()


def test_the_average_of_the_sources_has_the_least_squared_error(triple):
    fused, *sources = triple
    average = sum(sources) / 2
    for other in (fused, *sources, noisy(fused)):
        assert (MSE(average, *sources) <= MSE(other, *sources)).all()
        assert (PSNR(average, *sources) >= PSNR(other, *sources)).all()


def test_what_renaming_the_levels_changes(triple):
    """Mutual information sees which levels go together, not what they are; the published Tsallis code does not."""
    renamed = [255 - image for image in triple]
    for name in ('EN', 'MI', 'NMI', 'Qncie', 'Qte', 'CE'):
        torch.testing.assert_close(metric(name)(*renamed), metric(name)(*triple))
    inverted = [triple[0], 255 - triple[1], triple[2]]
    torch.testing.assert_close(Qte(*inverted), Qte(*triple))
    assert not torch.allclose(metric('Qte:liu')(*inverted), metric('Qte:liu')(*triple), rtol=0.01)


def test_independent_images_share_no_information():
    images = torch.arange(256.)[:, None].repeat(1, 256)
    for name in ('MI', 'NMI', 'Qte'):
        assert metric(name)(images[None, None], images.T[None, None].contiguous(),
                            images.T[None, None].contiguous()).item() == pytest.approx(0, abs=1e-9)
    same = images.T[None, None].contiguous()
    assert Qncie(images[None, None], same, same).item() > Qncie.info.range[0]  # the sources depend on each other


def test_vif_in_float32_is_accurate_for_a_saturated_image(triple):
    images = [torch.cat([torch.full_like(image, 255), image[..., :5] % 2 + 254], 3) for image in triple]
    double = VIF(*(image.double() for image in images))
    torch.testing.assert_close(VIF(*images).double(), double, rtol=1e-5, atol=0)


def test_flat_places_do_not_disturb_similarity(triple):
    """Half of the images is flat and equal, where the similarity is 1."""
    for name in (Qy, Qc, Qs):
        flat = [torch.cat([image, torch.full_like(image, 200)], 3) for image in triple]
        low, high = name(*triple), torch.ones(3)
        assert ((name(*flat) > (0.6 * low + 0.4 * high)) & (name(*flat) < high)).all()


def test_where_both_sources_are_flat_they_count_alike():
    for level_a, level_b in ((246, 0), (253, 85), (51, 204)):
        source_a, source_b = (torch.full((1, 1, 48, 50), float(level)) for level in (level_a, level_b))
        fused = torch.full_like(source_a, 123)
        assert Qs(fused, source_a, source_b).item() == pytest.approx(SSIM(fused, source_a, source_b).item())
        assert Qw(fused, source_a, source_b).item() == pytest.approx(SSIM(fused, source_a, source_b).item())


def test_viff_of_ties_does_not_depend_on_the_order_but_in_the_published_code(triple):
    source_a, source_b = triple[1].clamp(max=100), triple[2]
    flat = torch.full_like(source_a, 100)
    assert VIFF(flat, source_a, source_b).equal(VIFF(flat, source_b, source_a))
    assert not metric('VIFF:han')(flat, source_a, source_b).equal(metric('VIFF:han')(flat, source_b, source_a))


def test_every_code_is_used():
    infos = [metric(name).info for name in metric_names(maps=None)]
    used = {code for info in infos for code in (*info.agrees, *info.variants)}
    assert used == set(CODES)
