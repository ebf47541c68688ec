"""Toy pairs drawn on the spot, and the real configs pointed at them."""

import os

os.environ.setdefault('HF_HUB_OFFLINE', '1')
# One thread here and in every process the tests start: sums are bit-equal only among equal numbers of threads.
os.environ['OMP_NUM_THREADS'] = '1'

import cv2
import numpy as np
import pytest
import torch

torch.set_num_threads(1)

#: Overrides that turn a config of FILM into one that takes a step in a moment.
TINY = {'model.backbone.guidance_grid': (16, 32), 'model.backbone.text_dim': 8, 'randomness.seed': 3,
        'train_dataloader.num_workers': 0, 'train_dataloader.persistent_workers': False,
        'val_dataloader.num_workers': 0, 'val_dataloader.persistent_workers': False,
        'test_dataloader.num_workers': 0, 'test_dataloader.persistent_workers': False,
        'default_hooks.logger.interval': 1}


def draw_pairs(folder, names, source_a='ir', source_b='vi', size=(48, 56), seed=0):
    """Two folders of smooth random images, grey and colour, one file of each for every name."""
    generator = np.random.default_rng(seed)
    for name in names:
        for source, shape in ((source_a, size), (source_b, (*size, 3))):
            image = cv2.GaussianBlur(generator.integers(0, 256, shape).astype(np.uint8), (0, 0), 2)
            path = folder / source / f'{name}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX))


def write_features(folder, names, dim=8, seed=0):
    """A text feature of three to six tokens for every name."""
    generator = np.random.default_rng(seed)
    for name in names:
        path = folder / f'{name}.npy'
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, generator.normal(size=(1, generator.integers(3, 7), dim)).astype(np.float32))


@pytest.fixture
def toy(tmp_path):
    """A data set of five pairs with text features, and a function that builds a tiny FILM config on it."""
    from vlfusion.config import load_config
    names = [f'p{i}' for i in range(5)]
    draw_pairs(tmp_path / 'data', names)
    write_features(tmp_path / 'data/text', names)
    dataset = dict(type='PairDataset', task='ivf', data_root=str(tmp_path / 'data'), source_a='ir', source_b='vi',
                   text_source=dict(files='text/{name}.npy'))
    crop = dict(type='BothSources',
                transforms=[dict(type='RandomCrop', size=(44, 44)), dict(type='RandomFlip', prob=0.5)])

    def config(**options):
        built = load_config('configs/film/film_ivf.py', {**TINY, 'work_dir': str(tmp_path / 'work')})
        built.train_dataloader.dataset = dict(dataset, pipeline=[dict(type='LoadPair'), crop, dict(type='PackPair')])
        for split in ('val', 'test'):
            whole = [dict(type='LoadPair'), dict(type='PackPair')]
            built[f'{split}_dataloader'].dataset = dict(dataset, pipeline=whole)
        built.merge_from_dict({'train_cfg.max_iters': 6, 'train_cfg.val_interval': 3,
                               'default_hooks.checkpoint.interval': 2, 'optim_wrapper.optimizer.lr': 1e-3, **options})
        return built

    config.data = tmp_path / 'data'
    config.work = tmp_path / 'work'
    return config


@pytest.fixture
def full_disk():
    """Writing more than 4096 bytes to a file gives a real error of the operating system."""
    resource = pytest.importorskip('resource')
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
