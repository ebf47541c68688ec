"""Servers on this machine in place of the public ones, and permission to ask them."""

import pytest

from vlfusion.testing.model_hub import ModelHub
from vlfusion.testing.public_host import PublicHost

#: Where the hub keeps a file.
FILES = '{repo_id}/resolve/{revision}/{filename}'


@pytest.fixture
def host(monkeypatch, tmp_path):
    """A server laid out as the public host, as the mirror of this process and of those that it starts."""
    with PublicHost() as host:
        for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY', 'VLFUSION_OFFLINE'):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv('VLFUSION_MIRROR', host.address)
        monkeypatch.setenv('VLFUSION_HOME', str(tmp_path / 'home'))
        monkeypatch.setenv('HF_HUB_OFFLINE', '0')
        monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', False)
        monkeypatch.setattr('vlfusion.zoo.remote.WAIT', 0.01)
        yield host


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub for models on this machine, and a token for it."""
    with ModelHub() as hub:
        for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY', 'VLFUSION_OFFLINE', 'HF_TOKEN_PATH'):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv('HF_TOKEN', hub.token)
        # huggingface_hub read the environment when it was imported.
        for name, value in dict(ENDPOINT=hub.address, HUGGINGFACE_CO_URL_TEMPLATE=f'{hub.address}/{FILES}',
                                HF_HUB_CACHE=str(tmp_path / 'cache'), HF_HUB_DISABLE_XET=True,
                                HF_HUB_OFFLINE=False).items():
            monkeypatch.setattr(f'huggingface_hub.constants.{name}', value)
        yield hub
