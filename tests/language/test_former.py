"""Captioners of the interfaces that came before are described with, and a warning says what to change."""

import numpy as np
import pytest

from vlfusion.errors import ConfigError
from vlfusion.language.captioners import MeasuredCaptioner
from vlfusion.language.former import images_of, up_to_date
from vlfusion.language.interfaces import Captioner, Observation

DARK, BRIGHT = np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8)


class Single:
    version = '1'

    def observe(self, images, modality):
        return [[Observation(f'{modality} {image.max()}')] for image in images]


class Streaming(Single):
    def stream(self, images, modality):
        for index in reversed(range(len(images))):
            yield index, ValueError('dark') if images[index].max() == 0 else [Observation(modality)]


class Pair:
    version = '1'

    def observe_pairs(self, pairs, modalities):
        return [[Observation(f'{modalities} {a.max()} {b.max()}')] for a, b in pairs]


class StreamingPair(Pair):
    def stream(self, pairs, modalities):
        return enumerate(self.observe_pairs(list(pairs), modalities))


class FormerSubclass(MeasuredCaptioner):
    def observe(self, images, modality):
        return [[Observation(f'{modality} {image.max()}')] for image in images]


@pytest.mark.parametrize('cls', [Single, FormerSubclass])
def test_a_captioner_of_single_images(cls):
    with pytest.warns(DeprecationWarning, match='images = 1 and one method observe'):
        captioner = up_to_date(cls())
    assert isinstance(captioner, Captioner) and (captioner.images, captioner.version) == (1, '1')
    assert captioner.observe([(DARK,), (BRIGHT,)], ('MRI',)) == [[Observation('MRI 0')], [Observation('MRI 255')]]


@pytest.mark.parametrize('cls', [Pair, StreamingPair])
def test_a_captioner_of_pairs(cls):
    assert images_of(cls) == 2
    with pytest.warns(DeprecationWarning, match='images = 2'):
        captioner = up_to_date(cls())
    assert captioner.observe([(DARK, BRIGHT)], ('MRI', 'PET')) == [[Observation("('MRI', 'PET') 0 255")]]


def test_a_captioner_that_streams():
    with pytest.deprecated_call():
        captioner = up_to_date(Streaming())
    failed, seen = captioner.observe([(DARK,), (BRIGHT,)], ('MRI',))
    assert isinstance(failed, ValueError) and seen == [Observation('MRI')]


def test_a_captioner_of_the_present_interface_is_left_alone(recwarn):
    captioner = MeasuredCaptioner()
    assert up_to_date(captioner) is captioner and not recwarn.list


def test_what_is_no_captioner():
    with pytest.raises(ConfigError, match='int has no method observe'):
        up_to_date(3)
    with pytest.raises(ConfigError, match='images is 3'):
        images_of(type('Three', (), {'images': 3}))
