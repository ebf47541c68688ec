"""Which proxy a server is reached through; none is asked here."""

import os
from urllib.parse import urlsplit

import pytest

from vlfusion.errors import ConfigError
from vlfusion.language.chat.proxies import Proxy, find_proxy

PROXY = 'http://proxy.example:8080'


@pytest.fixture
def find(monkeypatch):
    """The proxy for an address, where nothing but these variables is set."""
    for name in [name for name in os.environ if name.lower().endswith('_proxy')]:
        monkeypatch.delenv(name)

    def find(address='http://llm.example/v1', **variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return find_proxy(urlsplit(address))

    return find


@pytest.mark.parametrize(('address', 'variables', 'name'), [
    ('http://llm.example/v1', {'http_proxy': PROXY}, 'http_proxy'),
    ('https://llm.example/v1', {'HTTPS_PROXY': PROXY}, 'HTTPS_PROXY'),
    ('http://llm.example/v1', {'all_proxy': PROXY}, 'all_proxy'),
    ('http://llm.example/v1', {'http_proxy': 'proxy.example:8080', 'all_proxy': 'socks5://x'}, 'http_proxy')])
def test_the_variable_of_the_scheme_then_that_of_all(find, address, variables, name):
    assert find(address, **variables) == Proxy(PROXY, name)


@pytest.mark.parametrize(('address', 'variables'), [
    ('http://llm.example/v1', {}), ('http://llm.example/v1', {'https_proxy': PROXY}),
    ('http://llm.example/v1', {'http_proxy': PROXY, 'no_proxy': 'other,llm.example'}),
    ('http://llm.example/v1', {'http_proxy': PROXY, 'NO_PROXY': '.example'}),
    ('http://llm.example/v1', {'all_proxy': 'socks5://x:1', 'no_proxy': '*'}),
    ('http://192.168.3.4/v1', {'http_proxy': PROXY, 'no_proxy': '192.168.0.0/16'}),
    *((f'http://{host}:8000/v1', {'http_proxy': 'nonsense://', 'all_proxy': 'socks5://x:1'})
      for host in ('localhost', '127.0.0.1', '127.9.9.9', '[::1]', 'my.localhost'))])
def test_no_proxy_for_this_machine_and_what_no_proxy_names(find, address, variables):
    assert find(address, **variables) is None


@pytest.mark.parametrize(('variables', 'message'), [
    ({'http_proxy': 'ftp://x:1'}, "http_proxy names a proxy of the kind 'ftp'"), ({'http_proxy': 'http://'},
                                                                                  'http_proxy is'),
    ({'ALL_PROXY': 'http://a:b:c'}, 'ALL_PROXY is not the address'), ({'all_proxy': 'socks4://x:1'}, "kind 'socks4'")])
def test_a_proxy_that_cannot_be_used_names_its_variable(find, variables, message):
    with pytest.raises(ConfigError, match=f'{message}(?s:.*)no_proxy=llm.example'):
        find(**variables)


def test_a_socks_proxy_says_what_to_install(find, monkeypatch):
    monkeypatch.setattr('vlfusion.language.chat.proxies.find_spec', lambda name: None)
    with pytest.raises(ConfigError,
                       match=r'all_proxy names a SOCKS proxy for llm.example(?s:.*)pip install socksio') as caught:
        find(all_proxy='socks5://me:s3cret@x:1')
    assert 's3cret' not in str(caught.value) and len(str(caught.value).splitlines()) == 2
