"""Push to and pull from a real server that speaks the hub's protocol."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import yaml
from safetensors.numpy import save

from vlfusion.console.notes import new_run
from vlfusion.errors import CheckpointError, DownloadError
from vlfusion.zoo.hub import parse, pull, push

EXPERIMENT = {'task': 'mif', 'model': {'type': 'FusionModel', 'backbone': {'type': 'FILM'}}}


@pytest.fixture
def checkpoint(tmp_path):
    """A small checkpoint of vlfusion."""
    return write(tmp_path / 'best.safetensors')


def write(path, experiment=EXPERIMENT, weight=0):
    path.write_bytes(save({'weight': np.full((3, 5), weight, np.float32), 'bias': np.zeros(5, np.float32)},
                          {'vlfusion': json.dumps(experiment)}))
    return path


def test_what_is_pushed_can_be_pulled(hub, checkpoint):
    address = push(checkpoint, 'anna/film-mri', message='First weights', license='apache-2.0')
    (commit, files), = hub.repos['anna/film-mri'].items()
    assert address == f'hf://anna/film-mri@{commit}' and hub.private == set()
    assert files.keys() == {'model.safetensors', 'config.json', 'README.md'}
    assert json.loads(files['config.json']) == EXPERIMENT
    for name in ('hf://anna/film-mri', address):
        assert pull(name).read_bytes() == checkpoint.read_bytes() == files['model.safetensors']


def test_the_card(hub, checkpoint):
    push(checkpoint, 'hf://anna/film-mri', license='apache-2.0')
    front, card = list(hub.repos['anna/film-mri'].values())[0]['README.md'].decode().split('---\n')[1:]
    assert yaml.safe_load(front) == dict(license='apache-2.0', library_name='vlfusion', pipeline_tag='image-to-image',
                                         tags=['image-fusion', 'vlfusion'])
    assert 'FILM for medical image fusion' in card and 'It has 20 weights' in card
    assert 'vlfusion fuse hf://anna/film-mri a.png' in card


def test_an_edited_card_stays(hub, checkpoint):
    hub.commit('anna/film', {'README.md': b'My words'})
    push(checkpoint, 'anna/film')
    assert list(hub.repos['anna/film'].values())[-1]['README.md'] == b'My words'


def test_a_pinned_revision(hub, checkpoint, tmp_path):
    first = push(checkpoint, 'anna/film')
    push(write(tmp_path / 'next.safetensors', weight=1), 'anna/film')
    assert pull(first).read_bytes() == checkpoint.read_bytes()
    assert pull('hf://anna/film').read_bytes() == (tmp_path / 'next.safetensors').read_bytes()


@pytest.mark.parametrize('variable', [True, False])
def test_offline(hub, checkpoint, monkeypatch, variable):
    address = push(checkpoint, 'anna/film')
    if variable:
        monkeypatch.setenv('VLFUSION_OFFLINE', '1')
    before = len(hub.requests)
    with pytest.raises(DownloadError, match='vlfusion is offline, and the cache of huggingface_hub does not have it'):
        pull(address, offline=not variable)
    assert len(hub.requests) == before
    monkeypatch.delenv('VLFUSION_OFFLINE', raising=False)
    pull(address)
    before = len(hub.requests)
    monkeypatch.setenv('VLFUSION_OFFLINE', '1')
    assert pull(address).read_bytes() == checkpoint.read_bytes() and len(hub.requests) == before
    with pytest.raises(DownloadError, match='vlfusion is offline'):
        push(checkpoint, 'anna/film')


def test_a_private_model(hub, checkpoint, monkeypatch):
    push(checkpoint, 'anna/secret', private=True)
    assert hub.private == {'anna/secret'}
    assert pull('hf://anna/secret').read_bytes() == checkpoint.read_bytes()
    monkeypatch.setenv('HF_TOKEN', 'hf_987654321wrong')
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(checkpoint.parent / 'other'))
    with pytest.raises(DownloadError, match='no such repository, or it is private') as error:
        pull('hf://anna/secret')
    assert 'HF_TOKEN' in error.value.remedy and 'hf_9' not in str(error.value)


@pytest.mark.parametrize('address, why', [
    ('hf://anna/none', 'there is no such repository, or it is private'),
    ('hf://anna/film@v9', 'it has no branch, tag or commit v9'), ('hf://anna/words', 'it has no model.safetensors'),
    ('hf://anna/gated', 'its owner has to grant access')])
def test_what_is_not_there(hub, checkpoint, monkeypatch, address, why):
    push(checkpoint, 'anna/film')
    hub.commit('anna/words', {'README.md': b'Words'})
    hub.gated.add('anna/gated')
    monkeypatch.delenv('HF_TOKEN')
    monkeypatch.setattr('huggingface_hub.constants.HF_TOKEN_PATH', str(checkpoint.parent / 'token'))
    with pytest.raises(DownloadError, match=f'{address} cannot be loaded from {hub.address}: {why}'):
        pull(address)


def test_a_full_disk(hub, checkpoint, full_disk):
    hub.commit('anna/large', {'model.safetensors': bytes(100_000)})
    with pytest.raises(OSError, match='File too large'):
        pull('hf://anna/large')


def test_no_connection(hub, checkpoint, monkeypatch, caplog):
    new_run()
    push(checkpoint, 'anna/film')
    pull('hf://anna/film')
    monkeypatch.setattr('time.sleep', lambda _: None)  # the client repeats the request for 23 s
    with socket.socket() as closed:
        closed.bind(('127.0.0.1', 0))
        endpoint = f'http://127.0.0.1:{closed.getsockname()[1]}'
        monkeypatch.setattr('huggingface_hub.constants.ENDPOINT', endpoint)
        monkeypatch.setattr('huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE',
                            endpoint + '/{repo_id}/resolve/{revision}/{filename}')
        assert pull('hf://anna/film').read_bytes() == checkpoint.read_bytes()
        with pytest.raises(DownloadError, match=f'{endpoint}: ConnectError.* and the cache .* does not have it'):
            pull('hf://anna/other')
        assert caplog.text.count('does not answer. Trying again.') == 1 and '[Retry' not in caplog.text


@pytest.mark.parametrize('token, repo, why', [
    ('', 'anna/film', 'no such repository, or it is private'), ('hf_0123456789', 'stranger/film', 'no permission')])
def test_a_push_that_the_hub_refuses(hub, checkpoint, monkeypatch, token, repo, why):
    monkeypatch.setenv('HF_TOKEN', token)
    monkeypatch.setattr('huggingface_hub.constants.HF_TOKEN_PATH', str(checkpoint.parent / 'token'))
    with pytest.raises(DownloadError, match=why) as error:
        push(checkpoint, repo)
    assert 'hf auth login' in error.value.remedy and hub.repos == {}


def test_private_weights_do_not_go_to_a_public_repository(hub, checkpoint):
    push(checkpoint, 'anna/film')
    with pytest.raises(DownloadError, match='the repository exists and is public'):
        push(checkpoint, 'anna/film', private=True)
    assert len(hub.repos['anna/film']) == 1


def test_what_is_no_checkpoint_is_not_pushed(hub, checkpoint, tmp_path):
    (tmp_path / 'other.safetensors').write_bytes(save({'weight': np.zeros(3, np.float32)}))
    (tmp_path / 'text.safetensors').write_text('words')
    for name in ('other', 'text', 'absent'):
        with pytest.raises(CheckpointError, match='is not a .safetensors checkpoint of vlfusion'):
            push(tmp_path / f'{name}.safetensors', 'anna/film')
    assert hub.requests == []


def test_no_secret_leaves(hub, checkpoint, tmp_path, caplog):
    caplog.set_level('DEBUG')
    push(checkpoint, 'anna/film')
    pull('hf://anna/film')
    assert hub.token not in caplog.text
    assert [path for path in tmp_path.rglob('*') if path.is_file() and hub.token.encode() in path.read_bytes()] == []
    assert all(hub.token.encode() not in content for content in next(iter(hub.repos['anna/film'].values())).values())
    keyed = write(tmp_path / 'key.safetensors', {**EXPERIMENT, 'language': {'llm': {'api_key': 'sk-0123456789'}}})
    with pytest.raises(CheckpointError, match='holds a secret') as error:
        push(keyed, 'anna/film')
    assert 'sk-0' not in str(error.value) and len(hub.repos['anna/film']) == 1


@pytest.mark.slow
def test_the_environment_says_where_the_hub_is(hub, checkpoint, tmp_path):
    code = ('import sys; from vlfusion.zoo.hub import *; address = push(sys.argv[1], "anna/film"); print(address); '
            'assert pull(address).read_bytes() == open(sys.argv[1], "rb").read() and "torch" not in sys.modules')
    home = tmp_path / 'hub'
    here = dict(HF_ENDPOINT=hub.address, HF_HOME=str(home), HF_HUB_DISABLE_XET='1', HF_HUB_OFFLINE='0')
    done = subprocess.run([sys.executable, '-c', code, checkpoint], env={**os.environ, **here}, capture_output=True,
                          text=True, check=True)
    (commit, _), = hub.repos['anna/film'].items()
    assert done.stdout == f'hf://anna/film@{commit}\n'
    written = [path.read_bytes() for path in home.rglob('*') if path.is_file()]
    assert checkpoint.read_bytes() in written and not any(hub.token.encode() in content for content in written)


@pytest.mark.parametrize('address', ['hf://film', 'hf://a/b/c', 'hf://a/b@', 'hf://../b', 'hf:/a/b', 'hf://a/b c',
                                     'hf://a/b@../../x', 'hf://a/b@/etc/x', 'hf://a/..'])
def test_what_is_no_address(address):
    with pytest.raises(DownloadError, match='is no address on the Hugging Face hub'):
        parse(address)
