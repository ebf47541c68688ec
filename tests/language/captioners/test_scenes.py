"""Built-in captioners explain a call with scenes or modalities of the wrong form."""

import jaxtyping
import numpy as np
import pytest

from vlfusion.errors import DataError
from vlfusion.language.captioners import MeasuredCaptioner, OpenAIPairCaptioner

IMAGE = np.zeros((4, 6), np.uint8)


@pytest.fixture(autouse=True)
def unchecked_types(monkeypatch):
    """Run without the type checks of the tests, as a user's process does."""
    monkeypatch.setattr(jaxtyping.config, 'jaxtyping_disable', True)


@pytest.mark.parametrize(('scenes', 'modalities', 'problem'), [
    ([IMAGE], 'MRI', "must be a tuple of one word, but are 'MRI'"),
    ([(IMAGE,)], ('MRI', 'PET'), 'must be a tuple of one word'),
    ([(IMAGE,)], (), 'must be a tuple of one word'),
    ([IMAGE], ('MRI',), r'must be a tuple of one image, but is a ndarray of the shape \(4, 6\)'),
    (IMAGE, ('MRI',), r'must be a tuple of one image, but is a ndarray of the shape \(6,\)'),
    ([(IMAGE, IMAGE)], ('MRI',), 'must be a tuple of one image, but is a tuple of 2'),
    (['scan.png'], ('MRI',), 'must be a tuple of one image, but is a str'),
])
def test_captioner_of_single_images_refuses_other_forms(scenes, modalities, problem):
    with pytest.raises(DataError, match=f'MeasuredCaptioner.observe {problem}') as caught:
        MeasuredCaptioner().observe(scenes, modalities)
    assert "observe([(image,)], ('infrared',))" in caught.value.remedy


@pytest.mark.parametrize(('scenes', 'modalities'), [([(IMAGE,)], ('MRI', 'PET')), ([(IMAGE, IMAGE)], ('MRI',))])
def test_captioner_of_pairs_refuses_other_forms(scenes, modalities):
    pytest.importorskip('openai')
    captioner = OpenAIPairCaptioner('m', base_url='http://localhost:1/v1')
    with pytest.raises(DataError, match='OpenAIPairCaptioner.observe must be a tuple of two') as caught:
        captioner.observe(scenes, modalities)
    assert "observe([(image_a, image_b)], ('infrared', 'visible'))" in caught.value.remedy


def test_scenes_may_be_lists():
    [[first, *_]] = MeasuredCaptioner().observe([[IMAGE]], ['MRI'])
    assert 'MRI' in first.text
