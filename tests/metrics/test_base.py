"""Metrics have their facts, and refuse unsuitable images."""

import math

import pytest
import torch
from torch.nn.functional import pad

from vlfusion.errors import DataError, UnknownNameError
from vlfusion.metrics import EN, MI, PSNR, SSIM, fusion_metric, metric, variant
from vlfusion.metrics.base import CODES, metric_names
from vlfusion.metrics.sharing import shared, sharing
from vlfusion.registry import FUSION_METRICS, TRUTH_METRICS

NAMES = metric_names()
image = torch.full((2, 1, 48, 50), 7.0)


@pytest.mark.parametrize('registered', [*map(FUSION_METRICS.get, NAMES),
                                        *map(TRUTH_METRICS.get, TRUTH_METRICS.names())], ids=lambda it: it.info.name)
def test_every_metric_has_its_facts(registered):
    for info in [registered.info, *(other.info for other in registered.variants.values())]:
        assert info.direction in ('higher', 'lower', 'neither')
        assert info.over in ('none', 'sum', 'mean', 'weighted', 'joint', 'truth')
        assert info.range[0] < info.range[1]
        assert registered.__doc__ and info.title and info.source
    assert all(note.note for note in registered.info.variants.values())
    assert not set(registered.info.agrees) & set(registered.info.variants)
    if registered.info.over != 'truth':
        assert {*registered.info.agrees, *registered.info.variants} <= set(CODES)


def test_there_are_more_than_thirty():
    assert len(NAMES) >= 30


@pytest.mark.parametrize('name', ['EN', 'Qabf', 'VIF', 'SSIM:film'])
@pytest.mark.parametrize(('images', 'message'), [
    ((image[0], image[0], image[0]), r'one shape \(batch, 1, h, w\), but got fused \(1, 48, 50\)'),
    ((image.expand(2, 3, 48, 50),) * 3, r'fused \(2, 3, 48, 50\)'),
    ((image, image[..., 1:], image), r'source_a \(2, 1, 48, 49\)'),
    ((image, image, image[:1]), r'source_b \(1, 1, 48, 50\)'),
    ((image.byte(),) * 3, 'float32 or float64, .* got fused torch.uint8'),
    ((image, image.double(), image), 'source_a torch.float64'),
    ((image, image - 8, image), r'grey levels in 0..255, but source_a spans -1 to -1'),
    ((image * 100, image, image), 'fused spans 700 to 700'),
    ((image, image, image * torch.nan), 'source_b spans nan to nan'),
    ((image[:0],) * 3, r'fused \(0, 1, 48, 50\)'),
])
def test_unsuitable_images_are_refused(name, images, message):
    with pytest.raises(DataError, match=f'{name.partition(":")[0]} expects.*{message}'):
        metric(name)(*images)


def test_unsuitable_images_are_refused_by_metrics_with_a_truth():
    with pytest.raises(DataError, match=r'PSNR expects 2 images of one shape .* truth \(2, 1, 47, 50\)'):
        metric('PSNR', truth=True)(image, image[..., 1:, :])


@pytest.mark.parametrize('name', NAMES)
def test_smallest_size(name):
    """The least size is enough, and a pixel less is refused or would not do."""
    smallest = metric(name).info.smallest
    size = max(smallest, 2)  # a single pixel is a constant image, for which some are undefined
    textured = torch.rand(3, 1, 1, size, size, generator=torch.Generator().manual_seed(0)).mul(255).round()
    assert metric(name)(*textured).isfinite().all()
    if smallest > 1:
        with pytest.raises(DataError, match=f'at least {smallest}x{smallest} pixels, but got {smallest - 1}x200'):
            metric(name)(*[pad(textured[0], (0, 200 - smallest, 0, -1))] * 3)


def test_a_variant_is_found_by_its_name_or_by_the_code_that_is_meant():
    assert metric('MI') is metric('MI', code='liu') is MI
    assert metric('MI:film') is metric('MI', code='film') is MI.variants['film']
    assert metric('MI:tang', code='film') is MI.variants['tang']
    assert metric('EN:film') is metric('EN', code='film') is EN  # the default is what FILM computes
    assert metric('Qmi') is metric('NMI')
    assert metric('vlfusion.MI:film') is metric('MI:film')
    assert MI.variants['film'].info.label == 'MI:film'
    assert MI.variants['film'].info.unit == 'nat'
    assert PSNR.variants['film'].info.range == (-math.inf, math.inf)


@pytest.mark.slow
@pytest.mark.parametrize(('name', 'message'), [
    ('MI:flim', "MI has no variant 'flim'.*\n.*Did you mean film?"),
    ('EN:liu', "EN has no variant 'liu'"),
    ('Qabff', "'Qabff' is not a known fusion metric.*\n.*Did you mean Qabf?"),
])
def test_an_unknown_name_or_variant_is_refused(name, message):
    with pytest.raises(UnknownNameError, match=message):
        metric(name)


def test_variants_compute_what_their_options_say():
    levels = torch.randint(0, 256, (3, 1, 1, 30, 31), generator=torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(metric('MI:film')(*levels), MI(*levels) * math.log(2))
    torch.testing.assert_close(metric('PSNR:tang')(*levels), PSNR(*levels) + 20 * math.log10(255))
    torch.testing.assert_close(metric('SSIM:vifb')(*levels), 2 * SSIM(*levels))
    torch.testing.assert_close(metric('VI:vifb')(*levels), metric('SD')(*levels))


def test_a_metric_of_another_package_has_its_name_in_front():
    def Brightness(fused, source_a, source_b, scale=1.):
        return fused.mean((1, 2, 3)) * scale
    Brightness.__module__ = 'elsewhere.brightness'
    try:
        fusion_metric(title='Brightness', direction='higher', range=(0., 255.), source='none', over='none',
                      variants={'half': variant('halved', scale=0.5), 'also': 'half'})(Brightness)
        assert metric('elsewhere.Brightness')(image, image, image).tolist() == [7, 7]
        assert metric('Brightness:half')(image, image, image).tolist() == [3.5, 3.5]
        assert metric('Brightness:also').info.label == 'Brightness:also'
    finally:
        FUSION_METRICS._module_dict.pop('elsewhere.Brightness', None)


def test_shared_work_is_done_once_inside_a_block_only():
    calls = []

    @shared
    def double(tensor, factor=2):
        calls.append(factor)
        return tensor * factor

    one, other = torch.ones(2), torch.ones(2)
    double(one), double(one)
    assert len(calls) == 2
    with sharing():
        assert double(one) is double(one)
        with sharing():
            double(one), double(other), double(one, factor=3), double(one, factor=3)
    assert calls == [2, 2, 2, 2, 3]
    double(one)
    assert len(calls) == 6
