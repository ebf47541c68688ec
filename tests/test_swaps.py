"""Parts swapped by config alone: each config of configs/swap trains one step on toy pairs laid out as it says."""

import pytest
from test_configs import OPTIONS, ROOT, lay_out

from vlfusion.cli import main
from vlfusion.config import load_config
from vlfusion.engine.runner import build_runner
from vlfusion.testing.toys import TINY, write_tiny_clip

CONFIGS = [*sorted((ROOT / 'configs/swap').glob('*.py')),
           ROOT / 'plugins/cddfuse/configs/cddfuse_film_losses_med.py']


@pytest.fixture
def clip(tmp_path):
    """A tiny random open_clip model, as open_clip lays a folder out."""
    pytest.importorskip('open_clip', reason="pip install 'vlfusion[vision]'")
    folder = tmp_path / 'clip'
    folder.mkdir()
    return write_tiny_clip(folder)


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_swap_takes_one_step(path, tmp_path, request):
    pytest.importorskip('timm', reason="pip install 'vlfusion[vision]'")
    places = {'data_root': str(tmp_path / 'data'), 'work_dir': str(tmp_path / 'work')}
    options = {**places, **TINY, **OPTIONS, 'train_dataloader.dataset.pipeline': [
        dict(type='LoadPair'), dict(type='BothSources', transforms=[dict(type='RandomCrop', size=(64, 64))]),
        dict(type='PackPair')]}
    if path.stem in ('timm_med', 'cddfuse_film_losses_med'):
        options = {key: value for key, value in options.items() if not key.startswith('model.backbone')}
    if path.stem == 'timm_med':
        options |= {'model.backbone.encoder': 'resnet10t', 'model.backbone.pretrained': False}
    if 'cddfuse_film' in path.stem:
        pytest.importorskip('vlfusion_cddfuse', reason='pip install --editable plugins/cddfuse')
    if 'perceptual' in path.stem:
        options |= {'model.losses.2.model': 'resnet10t', 'model.losses.2.pretrained': False}
    config = load_config(path, options)
    lay_out(config, tmp_path / 'data')
    if config.get('language'):
        describe = {**places, 'language.store': str(tmp_path / 'text')}
        if 'openclip' in path.stem:
            describe |= {'language.encoder.model': request.getfixturevalue('clip'), 'language.encoder.pretrained': None}
        changes = [f'{key}={value}' for key, value in describe.items()]
        assert main(['describe', str(path), '--cfg-options', *changes]) == 0
        width = 16 if 'openclip' in path.stem else 384
        config = load_config(path, options | describe | {'model.backbone.text_dim': width})
    build_runner(config, 'train').train()
    assert (tmp_path / 'work/iter_1.pth').is_file()
