"""`vlfusion.metrics.score` is what `vlfusion evaluate` gives for the same images."""

import csv

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from vlfusion.cli import main
from vlfusion.errors import ConfigError, DataError, UnknownNameError
from vlfusion.metrics import SF, score
from vlfusion.metrics.columns import full_name
from vlfusion.metrics.scoring import score_planes
from vlfusion.testing.toys import draw_pairs


@pytest.fixture
def images(tmp_path):
    """Files of a fused image in colour, a grey and a coloured source."""
    draw_pairs(tmp_path, ['x'], 'a', 'b')
    draw_pairs(tmp_path, ['x'], 'unused', 'fused', seed=1)
    return [tmp_path / f'{name}/x.png' for name in ('fused', 'a', 'b')]


def rgb(path):
    return np.asarray(Image.open(path))


def as_tensor(path):
    pixels = torch.from_numpy(rgb(path).copy()) / 255
    return pixels[None] if pixels.ndim == 2 else pixels.movedim(-1, 0)


@pytest.mark.parametrize('protocol', ['plain', 'film', 'vifb'])
def test_it_equals_evaluate_for_files_arrays_pil_images_and_tensors(images, tmp_path, protocol):
    out = tmp_path / 'scores.csv'
    assert main(['evaluate', *(str(images[0].parent), '--source-a', str(images[1].parent), '--source-b',
                               str(images[2].parent)), '--out', str(out), '--protocol', protocol, '--metrics', 'EN',
                 'VIF', 'Qabf', 'MI:tang']) == 0
    [row] = csv.DictReader(out.open())
    names = ['EN', 'VIF', 'Qabf', 'MI:tang']
    for kind in (str, rgb, Image.open, as_tensor):
        found = score(*map(kind, images), names=names, protocol=protocol)
        assert found == pytest.approx({name: float(row[full_name(name, protocol)]) for name in names}, rel=1e-9)


def test_defaults_are_those_of_the_tables_under_plain(images):
    found = score(*images)
    assert list(found) == ['EN', 'SD', 'SF', 'AG', 'VIF', 'Qabf']
    assert found == score(*images, list(found), 'plain') and score(*images, 'EN') == {'EN': found['EN']}


@pytest.mark.parametrize(('change', 'error', 'message'), [
    (dict(names=['VIFX']), UnknownNameError, 'VIF'), (dict(protocol='flim'), ConfigError, 'film'),
    (dict(source_a=np.zeros((9, 9))), DataError, r'source_a is 9x9'), (dict(source_b='no.png'), DataError, 'no.png'),
])
def test_mistakes_are_answered(images, change, error, message):
    with pytest.raises(error, match=message):
        score(**dict(zip(('fused', 'source_a', 'source_b'), images, strict=True)) | change)


def test_opencv_and_pil_mean_the_same_colours(images):
    assert score(cv2.imread(str(images[0]))[..., ::-1], *images[1:]) == score(*images)


def planes(images):
    return dict(zip(('fused', 'source_a', 'source_b'), images, strict=True))


def test_scores_have_all_digits_whatever_the_images_have():
    images = (255 * torch.rand(3, 1, 1, 9, 11, generator=torch.Generator().manual_seed(0))).round()
    scores, undefined = score_planes('x', planes(images), ['SF', 'EN'])
    assert list(scores) == ['SF', 'EN'] and not undefined
    assert scores['SF'] == SF(*images.double()).item() != SF(*images).item()


def test_planes_are_averaged_and_a_channel_without_a_value_is_named():
    images = (255 * torch.rand(3, 3, 1, 9, 11, generator=torch.Generator().manual_seed(0))).round().double()
    assert score_planes('x', planes(images), ['SF'])[0] == {'SF': SF(*images).mean().item()}
    images[0, 1] = 50
    scores, [item] = score_planes('x', planes(images), ['SF', 'CC'])
    assert np.isnan(scores['CC']) and np.isfinite(scores['SF'])
    assert (item.name, item.metric, item.reasons) == ('x', 'CC', ('the fused image is constant (in green)',))


def test_an_optional_metric_may_be_impossible():
    images = list(torch.zeros(3, 1, 1, 9, 11))
    scores, [item] = score_planes('x', planes(images), ['EN', 'VIF'], optional=['VIF'])
    assert scores == {'EN': 0., 'VIF': None} and 'at least 41x41' in item.reasons[0]
    with pytest.raises(DataError, match='at least 41x41'):
        score_planes('x', planes(images), ['VIF'])
