"""A checkpoint goes to the hub and comes back, and nothing of this machine goes with it."""

import json

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load
from torch import nn

from vlfusion import Fuser
from vlfusion.cli import main
from vlfusion.engine.publish import publish
from vlfusion.errors import CheckpointError, DownloadError
from vlfusion.registry import BACKBONES, MODELS
from vlfusion.testing.toys import draw_pairs


class Blend(nn.Module):
    """One weight for each source."""

    def __init__(self, width: int = 2):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.3, 0.7, width))

    def forward(self, source_a, source_b, text=None, text_mask=None):
        return self.weight[0] * source_a + self.weight[1] * source_b


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """A checkpoint as training writes it."""
    monkeypatch.setitem(BACKBONES.module_dict, 'Blend', Blend)
    model = dict(type='FusionModel', backbone=dict(type='Blend', width=2))
    state = {**MODELS.build(model).state_dict(), 'losses.0.features': torch.zeros(100)}
    experiment = dict(task='ivf', model={**model, 'losses': [dict(type='SSIMLoss')]}, protocol='plain',
                      language=dict(store=str(tmp_path / 'of_anna/texts')))
    meta = dict(vlfusion=experiment, iter=6000, training=dict(pairs=171), cfg=f'data_root = {str(tmp_path)!r}',
                experiment_name=f'{tmp_path}_2026', dataset_meta=dict(name='RoadScene', root=str(tmp_path)))
    torch.save(dict(state_dict=state, optimizer=dict(state={}), meta=meta), tmp_path / 'best.pth')
    return tmp_path / 'best.pth'


def fuse(model, folder):
    draw_pairs(folder, ['p'])
    return Fuser(model)(folder / 'ir/p.png', folder / 'vi/p.png').rgb


def test_others_fuse_to_the_same_picture(hub, checkpoint, tmp_path, capsys):
    assert main(['push', str(checkpoint), 'anna/blend', '--license', 'mit', '-m', 'First weights']) == 0
    (commit, files), = hub.repos['anna/blend'].items()
    assert f'{hub.address}/anna/blend. ' in (said := capsys.readouterr().out)
    assert said.endswith(f'hf://anna/blend@{commit}\n') and 'license: mit' in files['README.md'].decode()
    there = Fuser('hf://anna/blend')
    assert there.origin == Fuser(checkpoint).origin
    assert '6,000 steps on RoadScene (171 pairs)' in there.origin
    np.testing.assert_array_equal(fuse('hf://anna/blend', tmp_path), fuse(checkpoint, tmp_path))
    out, asked = tmp_path / 'fused.png', len(hub.requests)
    assert main(['fuse', 'hf://anna/blend', *(str(tmp_path / f'{side}/p.png') for side in ('ir', 'vi')), '-o',
                 str(out), '--offline']) == 0 and len(hub.requests) == asked
    np.testing.assert_array_equal(cv2.imread(str(out))[..., ::-1], fuse(checkpoint, tmp_path))


def test_nothing_of_this_machine_is_published(hub, checkpoint, tmp_path):
    publish(checkpoint, 'anna/blend')
    files = next(iter(hub.repos['anna/blend'].values()))
    private = [str(tmp_path).encode(), b'of_anna', b'losses.0.features']
    assert [word for word in private if any(word in content for content in files.values())] == []
    experiment = json.loads(files['config.json'])
    assert experiment['language'] == dict(store='texts') and experiment['model']['losses'] == [dict(type='SSIMLoss')]


def test_what_was_pulled_is_pushed_on(hub, checkpoint):
    assert Fuser(publish(checkpoint, 'anna/blend')).push_to_hub('ben/blend', private=True).startswith('hf://ben/blend@')
    assert hub.private == {'ben/blend'}
    first, second = (next(iter(hub.repos[repo].values())) for repo in ('anna/blend', 'ben/blend'))
    assert first['config.json'] == second['config.json']
    torch.testing.assert_close(*(load(files['model.safetensors']) for files in (first, second)), rtol=0, atol=0)


def test_what_has_no_weights_of_its_own(hub, capsys):
    with pytest.raises(CheckpointError, match='has no weights to push'):
        publish('classical/laplacian_ivf', 'anna/laplacian')
    assert main(['push', 'best.pth', 'anna/film']) == 2 and 'No checkpoint at best.pth' in capsys.readouterr().err
    assert main(['push', 'classical/laplacian_ivf', 'film']) == 2
    assert "'film' is no repository" in capsys.readouterr().err and hub.requests == []


def test_weights_of_others_need_a_licence(hub):
    with pytest.raises(CheckpointError, match=r'those of github.com/Zhao.* \(licence: none stated\)'):
        publish('film-ivf-authors', 'anna/film')
    with pytest.raises(DownloadError, match='vlfusion is offline'):
        publish('film-ivf-authors', 'anna/film', license='mit', offline=True)
    assert hub.requests == []
