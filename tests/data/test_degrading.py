"""Degradations are drawn, applied to one source or both, and paired with a sentence about them."""

import numpy as np
import pytest
import torch

from vlfusion.data.degrading import Degrade, PackDegraded, degrade, low_light, over_exposure
from vlfusion.errors import ConfigError
from vlfusion.language.keys import Keys
from vlfusion.language.store import TextStore
from vlfusion.models import CleanTargetModel

SAID = dict(none=['Fuse them.'], both=['The first is dark, the second is bright.'])


class Some(Degrade):
    degradations = {'none': {}, 'both': {'a': low_light, 'b': over_exposure}}


@pytest.fixture
def language(tmp_path):
    section = dict(store=str(tmp_path), encoder=dict(type='SentenceTransformersEncoder', model='any', output='pooled'))
    for value, [sentence] in enumerate(SAID.values()):
        TextStore(tmp_path).write('features', Keys(section).fixed(sentence), dict(text=sentence),
                                  np.full((1, 3), value, np.float32))
    return section


@pytest.fixture
def pair():
    generator = np.random.default_rng(0)
    images = {f'img_{source}': generator.uniform(0.1, 0.9, (5, 7)).astype(np.float32) for source in 'ab'}
    return images | dict(name='p', path_a='a.png', path_b='b.png', text=np.zeros((2, 3), np.float32))


def test_a_degradation_may_change_both_sources(language, pair):
    sample = PackDegraded().transform(Some(SAID, language=language, kinds=['both']).transform(dict(pair)))
    assert (sample['source_a'] < sample['target_a']).all() and (sample['source_b'] > sample['target_b']).all()
    for source in 'ab':
        np.testing.assert_array_equal(sample[f'target_{source}'][0], pair[f'img_{source}'])
        assert sample[f'source_{source}'].dtype == torch.float32 and sample[f'source_{source}'].max() <= 1
    assert sample['degradation'] == 'both'
    assert sample['text'].tolist() == [[1, 1, 1], [0, 0, 0]] and sample['text_mask'].tolist() == [True, False]


def test_all_degradations_are_drawn_by_default(language, pair):
    transform = Some(SAID, language=language)
    assert {transform.transform(dict(pair))['degradation'] for _ in range(30)} == {'none', 'both'}
    with pytest.raises(ConfigError, match='no kinds'):
        Some(SAID, language=language, kinds=[])
    with pytest.raises(ConfigError, match=r'Unknown degradation .bth.*\n.*both'):
        Some(SAID, language=language, kinds=['bth'])


def test_what_is_not_degraded_stays_the_same_array():
    image = np.full((2, 2), 0.5, np.float32)
    assert degrade({}, {'a': image})['a'] is image


def test_any_name_of_a_degradation_may_be_weighed():
    backbone = dict(type='FILM', text_dim=8, dim=8, heads=2, guidance_grid=(8, 16), attention_dim=16)
    model = CleanTargetModel(dict(rain=dict(max_intensity=2.0)), backbone=backbone,
                             losses=[dict(type='MaxIntensityLoss')])
    a, b, clean_a, clean_b = torch.rand(4, 1, 1, 16, 16)
    inputs = dict(text=torch.rand(1, 1, 8), target_a=clean_a, target_b=clean_b, mode='loss')
    usual, weighed = (model(a, b, degradation=[kind], **inputs) for kind in ('haze', 'rain'))
    torch.testing.assert_close(weighed['loss'], 2 * usual['loss'])
    torch.testing.assert_close(weighed['max_intensity'], usual['max_intensity'])
