"""A toy data set, configs pointed at it, and a full disk."""

import pytest

from vlfusion.testing.toys import TINY, draw_pairs, write_features


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
