"""A public host on this machine, and permission to ask it."""

import pytest

from vlfusion.testing.public_host import PublicHost


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
