"""Released weights: what a user has to fetch, and that nothing else is taken for it; models that have no weights."""

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from vlfusion import Fuser
from vlfusion.cli import main
from vlfusion.engine.checkpoints import load_model
from vlfusion.errors import CheckpointError
from vlfusion.evaluation.rows import read_csv
from vlfusion.imaging.images import luminance, read_image
from vlfusion.models import released
from vlfusion.registry import BACKBONES, snapshot
from vlfusion.testing.public_host import git_blob
from vlfusion.testing.toys import draw_pairs


class Blend(nn.Module):
    """A network of two weights, which its authors released in two files."""

    def __init__(self, power: float = 1.):
        super().__init__()
        self.a, self.b, self.power = nn.Parameter(torch.tensor(0.5)), nn.Parameter(torch.tensor(0.5)), power

    def forward(self, source_a, source_b, text=None, text_mask=None):
        return (self.a * source_a + self.b * source_b) ** self.power

    @staticmethod
    def convert_released(*states):
        first, second = states
        return {'a': first['weight'], 'b': second['weight']}


class Brighter(nn.Module):
    def forward(self, source_a, source_b, text=None, text_mask=None):
        return torch.maximum(source_a, source_b)


@pytest.fixture(autouse=True)
def registered():
    undo = snapshot()
    BACKBONES.register_module(module=Blend)
    BACKBONES.register_module(module=Brighter)
    yield
    undo()


FACTS = """
[methods.Blend]
backbone = "Blend"
licence = "MIT"
protocol = "truncate"
source = {{repo = "someone/blend", commit = "{commit}"}}
[models.blend-mef]
task = "mef"
arguments = {{power = 2.0}}
source.files = [{{path = "net/one.pth", blob = "{one}"}}, {{path = "net/two.pth", blob = "{two}"}}]
"""


@pytest.fixture
def folder(tmp_path, install):
    """The authors' two files, which an installed package names."""
    folder, blobs = tmp_path / 'theirs', {}
    folder.mkdir()
    for name, value in (('one', 0.25), ('two', 0.75)):
        torch.save({'weight': torch.tensor(value)}, folder / f'{name}.pth')
        blobs[name] = git_blob((folder / f'{name}.pth').read_bytes())
    install('vlfusion_blend', **{'models.toml': FACTS.format(commit='0' * 40, **blobs)})
    return folder


def convert(folder, *options, name='Blend'):
    return main(['prepare-data', 'weights', name, '--from', str(folder), '--out', str(folder / 'out.pth'), *options])


@pytest.mark.parametrize('name', ['Blend', 'blend-mef'])
def test_weights_are_checked_and_converted(folder, capsys, name):
    assert convert(folder, name=name) == 0
    assert 'all 2 tensors fit. Licence of the weights: MIT.' in capsys.readouterr().out
    model, experiment = load_model(folder / 'out.pth')
    assert (model.backbone.a.item(), model.backbone.b.item(), model.backbone.power) == (0.25, 0.75, 2.)
    assert (experiment['task'], experiment['protocol']) == ('mef', 'truncate')
    assert Fuser(folder / 'out.pth').protocol.label == 'truncate.1'


def test_what_is_missing_or_another_file_is_named(folder, capsys):
    expected = git_blob((folder / 'two.pth').read_bytes())
    (folder / 'one.pth').unlink()
    torch.save({'weight': torch.tensor(0.7)}, folder / 'two.pth')
    assert convert(folder) == 2
    said, came = capsys.readouterr().err, git_blob((folder / 'two.pth').read_bytes())
    assert 'one.pth is missing' in said and 'two.pth is not net/two.pth of someone/blend' in said
    assert f'expected git blob {expected}; came git blob {came}' in said
    assert '/someone/blend/' in said and 'licence of the weights: MIT' in said
    assert not (folder / 'out.pth').exists()


def test_files_are_found_by_content_at_any_depth(folder):
    (folder / 'blend/net').mkdir(parents=True)
    for name in ('one.pth', 'two.pth'):
        (folder / name).rename(folder / 'blend/net' / name)
    torch.save({'weight': torch.tensor(9.)}, folder / 'one.pth')  # of another method
    assert convert(folder) == 0 and load_model(folder / 'out.pth')[0].backbone.a.item() == 0.25


def test_one_of_several_is_chosen(folder, capsys, install):
    text = (folder.parent / 'site/vlfusion_blend/models.toml').read_text()
    install('vlfusion_night', **{'models.toml': text.replace('blend-mef', 'blend-mef-night').replace('2.0', '3.0')})
    assert convert(folder) == 2 and 'several models: blend-mef, blend-mef-night' in capsys.readouterr().err
    assert convert(folder, '--which', 'nigth') == 2 and "no model 'nigth'" in capsys.readouterr().err
    for which, power in (('mef', 2.), ('night', 3.), ('blend-mef-night', 3.)):
        assert convert(folder, '--which', which) == 0
        assert load_model(folder / 'out.pth')[0].backbone.power == power
    assert main(['prepare-data', 'weights', 'Brighter', '--out', 'x.pth']) == 2
    assert 'No released weights are known' in capsys.readouterr().err


def test_files_that_are_not_here_are_downloaded(folder, host, tmp_path, monkeypatch):
    monkeypatch.setattr(host, 'files', {f'/someone/blend/{"0" * 40}/net/{name}': (folder / name).read_bytes()
                                        for name in ('one.pth', 'two.pth')})
    assert main(['prepare-data', 'weights', 'blend-mef', '--out', str(tmp_path / 'out.safetensors')]) == 0
    assert len(host.requests) == 2 and load_model(tmp_path / 'out.safetensors')[0].backbone.b.item() == 0.75


@pytest.fixture
def config(tmp_path):
    draw_pairs(tmp_path / 'Toy', ['p0', 'p1'])
    path = tmp_path / 'maximum.py'
    path.write_text(f'''
default_scope = 'vlfusion'
task = 'ivf'
protocol = 'plain'
data_root = '{tmp_path}/Toy'
model = dict(type='FusionModel', backbone=dict(type='Brighter'))
test_dataloader = dict(batch_size=1, sampler=dict(type='DefaultSampler', shuffle=False),
                       dataset=dict(type='PairDataset', source_a='ir', source_b='vi',
                                    pipeline=[dict(type='LoadPair'), dict(type='PackPair')]))
test_evaluator = dict(type='FusionEvaluator', names=['EN', 'Qabf'])
test_cfg = dict(type='TestLoop')
''')
    return path


def test_a_method_without_weights_needs_no_checkpoint(config, tmp_path):
    pair = [tmp_path / f'Toy/{folder}/p0.png' for folder in ('ir', 'vi')]
    assert main(['fuse', str(config), *map(str, pair), '-o', str(tmp_path / 'fused.png'), '--grey']) == 0
    fused = cv2.imread(str(tmp_path / 'fused.png'), cv2.IMREAD_UNCHANGED)
    expected = np.maximum(*(luminance(read_image(path)) for path in pair)) * 255
    np.testing.assert_array_equal(fused, np.round(expected))
    assert main(['test', str(config), '--out', str(tmp_path / 'out')]) == 0
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / 'out/grey/p0.png'), cv2.IMREAD_UNCHANGED), fused)
    assert len(read_csv(tmp_path / 'out/metrics.csv')) == 2


def test_a_config_holds_no_weights(config, tmp_path, capsys):
    config.write_text(config.read_text().replace("'Brighter'", "'Blend'"))
    pair = [str(tmp_path / f'Toy/{source}/p0.png') for source in ('ir', 'vi')]
    for verb in (['test', str(config)], ['fuse', str(config), *pair, '-o', str(tmp_path / 'x.png')]):
        assert main(verb) == 2
        assert 'has 2 weights, which a config does not hold' in capsys.readouterr().err


def test_an_override_decides_whether_there_are_weights(config, tmp_path, capsys):
    assert main(['test', str(config), '--cfg-options', 'model.backbone.type=Blend', '--out', str(tmp_path / 'x')]) == 2
    assert 'has 2 weights' in capsys.readouterr().err
    config.write_text(config.read_text().replace("'Brighter'", "'Blend'"))
    override = ['--cfg-options', 'model.backbone.type=Brighter']
    assert main(['test', str(config), *override, '--out', str(tmp_path / 'y')]) == 0


def test_testing_builds_no_losses(config, tmp_path):
    config.write_text(config.read_text().replace("backbone=dict(type='Brighter')",
                                                 "backbone=dict(type='Brighter'), losses=[dict(type='NoSuchLoss')]"))
    assert main(['test', str(config), '--out', str(tmp_path / 'out')]) == 0


def test_files_that_are_known_bring_their_arguments(folder):
    files = [str(folder / name) for name in ('one.pth', 'two.pth')]
    assert main(['convert-weights', 'Blend', *files, str(folder / 'known.pth'), '--task', 'mef']) == 0
    assert main(['convert-weights', 'Blend', *files, str(folder / 'chosen.pth'), '--options', 'power=3.0']) == 0
    assert [load_model(folder / name)[0].backbone.power for name in ('known.pth', 'chosen.pth')] == [2., 3.]


@pytest.mark.parametrize('released_name', [[('0', 'conv')], lambda name: name.replace('0', 'conv')])
def test_a_state_is_converted_by_patterns_or_by_a_function(released_name):
    def network():
        return nn.Sequential(nn.Conv2d(1, 1, 3))
    state = {'module.conv.weight': torch.ones(1, 1, 3, 3), 'module.conv.bias': torch.ones(1),
             'module.unused.bias': torch.ones(2)}
    converted = released.convert(network, state, released_name, dropped=r'^unused\.', remedy='Give net.pth.')
    assert converted == {'0.weight': state['module.conv.weight'], '0.bias': state['module.conv.bias']}
    with pytest.raises(CheckpointError, match=r'has 1 unknown names:\n +unused\.bias\n.*Give net\.pth'):
        released.convert(network, state, released_name, remedy='Give net.pth.')
