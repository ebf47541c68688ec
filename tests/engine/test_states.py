"""Checkpoints in `.safetensors`: what is written is read, and damaged or odd metadata is one line."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vlfusion.engine.checkpoints import load_model, read_experiment
from vlfusion.engine.compat import load_checkpoint_file
from vlfusion.engine.states import write_state
from vlfusion.errors import CheckpointError
from vlfusion.models.backbones import FILM
from vlfusion.zoo.metadata import read_meta

MODEL = dict(type='FusionModel', backbone=dict(type='FILM', text_dim=8, guidance_grid=[16, 32]))
EXPERIMENT = dict(task='ivf', model=MODEL, text_source=dict(stream='pair/paragraph'))


@pytest.fixture(scope='module')
def state():
    torch.manual_seed(1)
    network = FILM(text_dim=8, guidance_grid=(16, 32))
    return {f'backbone.{name}': tensor for name, tensor in network.state_dict().items()}


def test_both_forms_hold_the_same(state, tmp_path):
    meta = dict(vlfusion=EXPERIMENT, iter=7, released=['net.pth'])
    for name in ('x.pth', 'x.safetensors'):
        write_state(tmp_path / name, state, meta)
        content = load_checkpoint_file(tmp_path / name)
        assert content['meta'] == meta and content['state_dict'].keys() == state.keys()
    assert read_meta(tmp_path / 'x.safetensors') == meta
    (one, first), (two, second) = (load_model(tmp_path / name) for name in ('x.pth', 'x.safetensors'))
    assert first == second and first['origin'].endswith('released weights of net.pth')
    assert all(torch.equal(one.state_dict()[name], tensor) for name, tensor in two.state_dict().items())


def test_equal_checkpoints_have_equal_bytes(state, tmp_path):
    for index in range(8):
        write_state(tmp_path / f'{index}.safetensors', state, dict(vlfusion=EXPERIMENT, author='Zoë'))
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    assert read_meta(tmp_path / '0.safetensors')['author'] == 'Zoë'


def test_half_precision_is_loaded_as_float32(state, tmp_path):
    halves = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    write_state(tmp_path / 'x.safetensors', halves, dict(vlfusion=EXPERIMENT))
    loaded = load_model(tmp_path / 'x.safetensors')[0].state_dict()
    assert {tensor.dtype for tensor in loaded.values()} == {tensor.dtype for tensor in state.values()}
    assert all(torch.equal(loaded[name], tensor.to(loaded[name].dtype)) for name, tensor in halves.items())


def test_shared_and_sliced_tensors_are_written(tmp_path):
    whole = torch.arange(12.).reshape(3, 4)
    write_state(tmp_path / 'x.safetensors', dict(a=whole, b=whole, c=whole.T[1:]), dict(vlfusion=EXPERIMENT))
    read = load_checkpoint_file(tmp_path / 'x.safetensors')['state_dict']
    assert torch.equal(read['a'], whole) and torch.equal(read['b'], whole) and torch.equal(read['c'], whole.T[1:])


@pytest.mark.parametrize(('text', 'said'), [
    ('', 'not JSON'), ('{', 'not JSON'), ("{'task': 'ivf'}", 'not JSON'), ('1' * 5000, 'not JSON'),
    ('[' * 200_000, 'not JSON'), ('{"a":' * 100_000, 'not JSON'), ('3', 'not a checkpoint of vlfusion'),
    ('null', 'not a checkpoint'), ('[]', 'not a checkpoint'), ('"FILM"', 'not a checkpoint'),
    ('{}', 'not a checkpoint'),
    ('{"task": "ivf"}', 'not a checkpoint'), (json.dumps(dict(EXPERIMENT, task=3)), 'meta.vlfusion.task as a int'),
    (json.dumps(dict(EXPERIMENT, model=[])), 'meta.vlfusion.model as a list'),
    (json.dumps(dict(EXPERIMENT, model={})), 'does not say which model'),
    (json.dumps(dict(EXPERIMENT, language='film')), 'meta.vlfusion.language as a str'),
    (json.dumps(list(range(10 ** 6))), 'not a checkpoint')], ids=lambda text: text[:20])
def test_odd_metadata(state, tmp_path, text, said):
    path = tmp_path / 'x.safetensors'
    save_file(state, path, {'vlfusion': text})
    for read in (load_model, read_experiment):
        with pytest.raises(CheckpointError, match=said) as caught:
            read(path)
        assert str(path) in caught.value.problem and len(str(caught.value)) < 600 and caught.value.remedy


@pytest.mark.parametrize('text', ['', '{', '[]', '3', 'null', '[' * 200_000])
def test_odd_facts_beside_the_experiment(state, tmp_path, text):
    path = tmp_path / 'x.safetensors'
    write_state(path, state, dict(vlfusion=EXPERIMENT, iter=3))
    from safetensors import safe_open
    with safe_open(path, 'pt') as file:
        texts = file.metadata()
    [other] = texts.keys() - {'vlfusion'}
    save_file(state, path, {**texts, other: text})
    with pytest.raises(CheckpointError, match='metadata'):
        load_model(path)


@pytest.mark.parametrize('size', [0, 7, 8, 200, -1])
def test_a_file_that_was_cut_off(state, tmp_path, size):
    path = tmp_path / 'x.safetensors'
    write_state(path, state, dict(vlfusion=EXPERIMENT))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CheckpointError, match='(?s)cannot be read.*truncated'):
        load_model(path)


def test_a_length_that_no_file_has(tmp_path):
    for head in (b'\xff' * 8, (10 ** 12).to_bytes(8, 'little'), (99_000_000).to_bytes(8, 'little')):
        (tmp_path / 'x.safetensors').write_bytes(head + b'{"a":1}')
        with pytest.raises(CheckpointError, match='cannot be read'):
            load_model(tmp_path / 'x.safetensors')


def test_a_file_without_an_experiment(state, tmp_path):
    save_file(state, tmp_path / 'x.safetensors', {'format': 'pt'})
    with pytest.raises(CheckpointError, match='(?s)not a checkpoint of vlfusion.*convert-weights'):
        load_model(tmp_path / 'x.safetensors')


def test_a_pickle_under_the_other_ending_runs_no_code(tmp_path, monkeypatch):
    """The ending decides how a file is read, and neither way runs code."""
    monkeypatch.chdir(tmp_path)

    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / 'ran',)
    for name in ('film-ivf-authors', 'film-ivf-authors.pth', 'film-ivf-authors.safetensors', 'film-ivf-authors.bin'):
        torch.save(Evil(), name)
        with pytest.raises(CheckpointError):
            load_model(name)
        Path(name).unlink()
    assert not Path('ran').exists()
