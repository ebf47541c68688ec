"""Transforms load pairs and treat both sources alike."""

import pickle

import cv2
import numpy as np
import pytest
import torch

from vlfusion.data.dataset import numpy_seed
from vlfusion.errors import DataError
from vlfusion.registry import TRANSFORMS

AUGMENT = [dict(type='RandomCrop', size=(8, 8)), dict(type='RandomRotate90'),
           dict(type='RandomFlip', prob=[0.4, 0.4], direction=['horizontal', 'vertical'])]


def images(height=12, width=16):
    a = np.arange(height * width, dtype=np.float32).reshape(height, width)
    return dict(name='1', path_a='a/1.png', path_b='b/1.png', img_a=a, img_b=a + 1000)


def both(*transforms):
    return TRANSFORMS.build(dict(type='BothSources', transforms=list(transforms)))


def test_load_pair(root):
    load = TRANSFORMS.build(dict(type='LoadPair'))
    results = load(dict(name='1', path_a=root / 'ir/1.png', path_b=root / 'vi/1.jpg'))
    grey = cv2.imread(str(root / 'ir/1.png'), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(results['img_a'], grey / np.float32(255))
    blue, green, red = np.moveaxis(cv2.imread(str(root / 'vi/1.jpg')).astype(float), -1, 0)
    assert np.abs(results['img_b'] * 255 - (0.299 * red + 0.587 * green + 0.114 * blue)).max() <= 0.501
    assert np.array_equal(results['img_b'] * 255, np.round(results['img_b'] * 255))
    plain = TRANSFORMS.build(dict(type='LoadPair', luminance='bt601'))(dict(results))
    assert not np.array_equal(plain['img_b'], results['img_b'])


def test_load_pair_refuses_unequal_sizes(root, write):
    write(root / 'vi', '1.jpg', shape=(16, 12, 3))
    with pytest.raises(DataError, match=r'differ in size.*ir/1.png is \(12, 16\).*vi/1.jpg is \(16, 12\)'):
        TRANSFORMS.build(dict(type='LoadPair'))(dict(name='1', path_a=root / 'ir/1.png', path_b=root / 'vi/1.jpg'))


def test_both_sources_share_every_random_choice():
    transform, seen = both(*AUGMENT), set()
    for _ in range(40):
        out = transform(images())
        assert out['img_a'].shape == (8, 8) and out['img_a'].dtype == np.float32
        assert np.array_equal(out['img_b'], out['img_a'] + 1000)
        assert (out['path_a'], out['path_b']) == ('a/1.png', 'b/1.png')
        seen.add(out['img_a'].tobytes())
    assert len(seen) > 20


def test_mmcv_resize_keeps_two_axes():
    out = both(dict(type='Resize', scale=(8, 6)))(images())
    assert out['img_a'].shape == out['img_b'].shape == (6, 8)
    assert np.allclose(out['img_b'], out['img_a'] + 1000)


def test_both_sources_survive_workers_after_use():
    transform = both(*AUGMENT)
    transform(images())
    twin = pickle.loads(pickle.dumps(transform))
    with numpy_seed(5):
        expected = transform(images())
    with numpy_seed(5):
        assert np.array_equal(twin(images())['img_a'], expected['img_a'])


def test_random_crop():
    corners = {both(dict(type='RandomCrop', size=(11, 14)))(images())['img_a'][0, 0].item() for _ in range(100)}
    assert corners == {0., 1., 2., 16., 17., 18.}
    assert np.array_equal(both(dict(type='RandomCrop', size=(12, 16)))(images())['img_a'], images()['img_a'])
    with pytest.raises(DataError, match='a/1.png and its partner are 16x12, smaller than the crop of 8x13'):
        both(dict(type='RandomCrop', size=(13, 8)))(images())


@pytest.mark.parametrize(('size', 'turns'), [((6, 6), range(4)), ((4, 6), (0, 2))])
def test_rotate_takes_every_turn_that_keeps_the_size(size, turns):
    expected = {np.rot90(images(*size)['img_a'], turn).tobytes() for turn in turns}
    assert {both(dict(type='RandomRotate90'))(images(*size))['img_a'].tobytes() for _ in range(60)} == expected


@pytest.mark.parametrize('size', [(12, 16), (16, 12), (14, 14)])
def test_film_resize_against_its_formula(size):
    """The released code resizes grey levels and divides by 255 afterwards; portraits it resizes, then transposes."""
    levels = np.random.default_rng(0).integers(0, 256, size).astype(np.float32)
    expected = cv2.resize(levels, (384, 288)) if size[0] < size[1] else cv2.resize(levels, (288, 384)).T
    out = both(dict(type='FilmResize'))(dict(images(), img_a=levels / 255, img_b=levels / 255))
    assert out['img_a'].shape == (288, 384)
    np.testing.assert_allclose(out['img_a'], expected / 255, atol=1e-6)
    assert both(dict(type='FilmResize', size=(6, 8)))(images(*size))['img_b'].shape == (6, 8)


def test_pack_pair():
    flipped = both(dict(type='RandomFlip', prob=1.0))(images())
    text = dict(text=np.ones((3, 4), np.float32), text_mask=np.array([True, True, False]))
    sample = TRANSFORMS.build(dict(type='PackPair'))({**flipped, **text, 'other': 1})
    assert set(sample) == {'name', 'path_a', 'path_b', 'source_a', 'source_b', 'text', 'text_mask'}
    assert sample['source_a'].shape == (1, 12, 16) and sample['source_a'].dtype == torch.float32
    assert torch.equal(sample['source_a'][0], torch.from_numpy(images()['img_a']).flip(1))
    assert sample['text_mask'].dtype == torch.bool
    assert 'text' not in TRANSFORMS.build(dict(type='PackPair'))(images())
