"""Checkpoints load as plain data, and unsound ones are refused by name."""

import os
import pickle

import pytest
import torch

from vlfusion.engine.checkpoints import load_model, to_fuse
from vlfusion.errors import CheckpointError, UnknownNameError
from vlfusion.models import FusionModel


class Bomb:
    def __reduce__(self):
        return os.mkdir, ('owned',)


@pytest.fixture
def change(tmp_path, monkeypatch):
    """Write a good checkpoint after a function has changed its experiment and state; return its path."""
    monkeypatch.chdir(tmp_path)

    def change(spoil=lambda experiment, state: None):
        from vlfusion.registry import MODELS
        experiment = dict(task='ivf', model=dict(type='FusionModel', backbone=dict(type='TinyNet')))
        state = MODELS.build(experiment['model']).state_dict()
        changed = spoil(experiment, state)
        torch.save(dict(state_dict=state if changed is None else changed, meta=dict(vlfusion=experiment)), 'x.pth')
        return 'x.pth'
    return change


@pytest.fixture(autouse=True)
def tiny_network():
    from torch import nn

    from vlfusion.registry import BACKBONES

    @BACKBONES.register_module()
    class TinyNet(nn.Module):
        def __init__(self, width: int = 2, ending: str = ''):
            super().__init__()
            if ending == 'exit':
                raise SystemExit(6)
            self.conv = nn.Conv2d(2, width, 3, padding=1)
            self.norm = nn.BatchNorm2d(width)

        def forward(self, source_a, source_b, text=None, text_mask=None):
            return self.norm(self.conv(torch.cat([source_a, source_b], 1)))[:, :1]
    yield
    [name] = [name for name in BACKBONES.names() if name.endswith('.TinyNet')]
    del BACKBONES.module_dict[name]


def test_a_good_checkpoint(change):
    model, experiment = load_model(change())
    assert experiment['task'] == 'ivf' and not model.training


@pytest.mark.parametrize(('key', 'value'), [
    ('task', ['ivf']), ('task', dict(ivf=1)), ('task', 3), ('task', None), ('model', 'FusionModel'), ('model', ['x']),
    ('model', None), ('protocol', dict(film=1)), ('protocol', ['film']), ('language', 'x'), ('language', ['x']),
    ('text_source', 'files'), ('text_source', ['x'])])
def test_meta_of_another_form(change, key, value):
    with pytest.raises(CheckpointError, match=rf'x\.pth holds meta\.vlfusion\.{key} as a {type(value).__name__}'):
        load_model(change(lambda experiment, state: experiment.update({key: value})))


@pytest.mark.parametrize(('model', 'said'), [
    ({}, 'model is {}, without a type'), ({'type': 3}, 'without a type'), ({'type': ['FusionModel']}, 'without a type'),
    ({'type': 'FusionModel'}, 'backbone is None, without a type'),
    ({'type': 'FusionModel', 'backbone': 'TinyNet'}, "backbone is 'TinyNet', without a type"),
    ({'type': 'FusionModel', 'backbone': {}}, 'backbone is {}'),
    ({'type': 'FusionModel', 'backbone': {'type': 3}}, 'backbone is'),
    ({'type': 'FusionModel', 'backbone': {'type': 'TinyNet', 'width': 'two'}}, 'TinyNet.*width'),
    ({'type': 'FusionModel', 'backbone': {'type': 'TinyNet', 'width': -2}}, 'TinyNet cannot be built'),
    ({'type': 'FusionModel', 'backbone': {'type': 'TinyNet', 'width': 10 ** 13}}, 'allocate'),
    ({'type': 'FusionModel', 'backbone': {'type': 'TinyNet', 'width': 10 ** 30}}, 'TinyNet cannot be built'),
    ({'type': 'FusionModel', 'backbone': {'type': 'TinyNet', 'ending': 'exit'}}, r'it called sys.exit\(6\)'),
    ({'type': 'FusionModel', 'backbone': {'type': 'TinyNet', 3: 4}}, 'x.pth'),
])
def test_a_model_that_cannot_be_built(change, model, said):
    with pytest.raises(CheckpointError, match=said) as caught:
        load_model(change(lambda experiment, state: experiment.update(model=model)))
    assert 'x.pth' in caught.value.problem and '\n' not in caught.value.problem


@pytest.mark.slow
def test_a_name_that_nobody_has(change):
    with pytest.raises(UnknownNameError, match='Nope'):
        load_model(change(lambda experiment, state: experiment['model'].update(type='Nope')))


@pytest.mark.parametrize(('spoil', 'said'), [
    (lambda state: [1], 'state_dict as a list'), (lambda state: 7, 'state_dict as a int'),
    (lambda state: {0: torch.zeros(1)}, 'holds 0 as the name of a tensor'),
    (lambda state: state | {'backbone.conv.bias': 3}, r'backbone\.conv\.bias in its state_dict as a int'),
    (lambda state: state | {'backbone.conv.bias': [1., 2.]}, 'as a list'),
    (lambda state: state | {'backbone.conv.bias': torch.zeros(2).to_sparse()}, 'torch.sparse_coo'),
    (lambda state: state | {'backbone.conv.bias': torch.zeros(2, device='meta')}, 'on meta'),
    (lambda state: state | {'backbone.conv.bias': torch.zeros(2, dtype=torch.complex64)}, 'type of backbone.conv.bias'),
    (lambda state: state | {'backbone.conv.bias': torch.zeros(2, dtype=torch.int64)}, 'type of backbone.conv.bias'),
    (lambda state: state | {'backbone.norm.num_batches_tracked': torch.tensor(.5)}, 'type of backbone.norm'),
    (lambda state: state | {'backbone.conv.bias': torch.zeros(3)}, 'shape of backbone.conv.bias'),
])
def test_a_state_of_another_form(change, spoil, said):
    with pytest.raises(CheckpointError, match=said) as caught:
        load_model(change(lambda experiment, state: spoil(state)))
    assert 'x.pth' in caught.value.problem


def test_half_precision_is_a_float(change):
    path = change(lambda experiment, state: {key: value.half() if value.is_floating_point() else value
                                             for key, value in state.items()})
    assert next(load_model(path)[0].parameters()).dtype == torch.float32


def test_a_refused_file_is_not_recommended(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for content in (dict(state_dict=Bomb()), Bomb()):
        torch.save(content, 'x.pth')
        with pytest.raises(CheckpointError, match=r'x.pth was refused: .*\(it names \w+.mkdir\)') as caught:
            load_model('x.pth')
        assert not {'weights_only=False', 'add_safe_globals', 'likely succeed'} & set(str(caught.value).split())
        assert 'False' not in str(caught.value) and 'safe_globals' not in str(caught.value)
    with open('x.pth', 'wb') as file:
        pickle.dump([object()], file)
    with pytest.raises(CheckpointError, match='x.pth'):
        load_model('x.pth')
    assert not os.path.exists('owned')


def test_what_only_training_needs_is_left_out_of_a_model(monkeypatch):
    monkeypatch.setattr(FusionModel, 'training_only', ('teacher',), raising=False)
    model = dict(type='FusionModel', teacher='work_dirs/teacher.pth', margin=2, losses=[dict(type='SSIMLoss')],
                 backbone=dict(type='IFCNN', first_layer='first.pth', fusion='max'))
    assert to_fuse(model) == dict(type='FusionModel', margin=2, backbone=dict(type='IFCNN', fusion='max'))
