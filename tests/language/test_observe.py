"""A captioner tried on one image or one pair."""

import pytest

from vlfusion.errors import ConfigError, DataError
from vlfusion.language.interfaces import Observation
from vlfusion.language.observe import observe
from vlfusion.registry import CAPTIONERS, snapshot


class Comparing:
    version, images = '1', 2

    def observe(self, scenes, modalities):
        return [DataError('Both are the same.', 'Give two images.') if (a == b).all() else
                [Observation(' and '.join(modalities))] for a, b in scenes]


@pytest.fixture(autouse=True)
def registered():
    undo = snapshot()
    CAPTIONERS.register_module(module=Comparing)
    yield
    undo()


def test_one_image(images):
    first, *_ = observe(dict(type='MeasuredCaptioner'), [images[0].path], ['PET'])
    assert first.text == 'This small square image is of the PET kind.'
    first, *_ = observe(dict(type='MeasuredCaptioner'), [images[0].path])
    assert 'unknown kind' in first.text


def test_a_pair_and_its_error(images):
    paths = [images[0].path, images[1].path]
    assert observe(dict(type='Comparing'), paths, ['MRI', 'PET']) == [Observation('MRI and PET')]
    with pytest.raises(DataError, match='Both are the same'):
        observe(dict(type='Comparing'), paths[:1] * 2)


@pytest.mark.parametrize(('captioner', 'count', 'modalities', 'message'), [
    (dict(type='Comparing'), 1, [], 'looks at 2 images at once, but got 1'),
    (dict(type='MeasuredCaptioner'), 2, [], 'looks at 1 images at once, but got 2'),
    (dict(type='MeasuredCaptioner'), 1, ['a', 'b'], 'and 2 modalities'),
    (dict(type='MeasuredCaptioner', depth=3), 1, [], 'no argument')])
def test_what_makes_no_sense(images, captioner, count, modalities, message):
    with pytest.raises(ConfigError, match=message):
        observe(captioner, [image.path for image in images[:count]], modalities)
