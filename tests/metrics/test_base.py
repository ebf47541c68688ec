import pytest
import torch

from vlfusion import metrics
from vlfusion.errors import DataError
from vlfusion.registry import FUSION_METRICS

image = torch.full((2, 1, 48, 50), 7.0)


@pytest.mark.parametrize('name', metrics.__all__)
def test_the_registry_holds_the_function_with_its_facts(name):
    metric = FUSION_METRICS.get(name)
    assert metric is getattr(metrics, name)
    assert metric.__name__ == metric.info.name == name
    assert metric.info.direction == 'higher'
    assert metric.info.range[0] < metric.info.range[1]
    assert metric.__doc__ and metric.info.title and metric.info.source


@pytest.mark.parametrize('name', metrics.__all__)
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
])
def test_unsuitable_images_are_refused(name, images, message):
    with pytest.raises(DataError, match=f'{name} expects.*{message}'):
        getattr(metrics, name)(*images)


@pytest.mark.parametrize(('name', 'smallest'), [('VIF', 41), ('SF', 2), ('AG', 2)])
def test_smallest_size(name, smallest):
    metric = getattr(metrics, name)
    assert metric(*[torch.zeros(1, 1, smallest, smallest)] * 3).isfinite().all()
    with pytest.raises(DataError, match=f'at least {smallest}x{smallest} pixels, but got {smallest - 1}x60'):
        metric(*[torch.zeros(1, 1, smallest - 1, 60)] * 3)
