"""Proxies of servers, as the environment names them."""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from vlfusion.errors import ConfigError

_SCHEMES = ('http', 'https', 'socks5', 'socks5h')


@dataclass(frozen=True)
class Proxy:
    """Address of a proxy, and the environment variable that names it."""

    url: str
    variable: str


def find_proxy(address: SplitResult) -> Proxy | None:
    """Find the proxy for a server. It is None for this machine's own addresses and for hosts of `no_proxy`.

    Raises:
        ConfigError: the variable names a proxy that cannot be used.
    """
    settings = getproxies()  # on Windows and macOS also those of the system
    scheme = next((name for name in (address.scheme, 'all') if settings.get(name)), None)
    host = address.hostname or ''
    if scheme is None or _is_loopback(host) or proxy_bypass(host) or _in_network(host, settings.get('no', '')):
        return None
    name = f'{scheme}_proxy'
    variable = next((spelling for spelling in (name, name.upper()) if os.environ.get(spelling)), 'the system settings')
    url = settings[scheme] if '://' in settings[scheme] else f'http://{settings[scheme]}'
    proxy_scheme = url.partition('://')[0].lower()
    remedy = f'Unset it, or set no_proxy={host}; write a proxy like {variable}=http://host:8080.'
    if proxy_scheme not in _SCHEMES:
        raise ConfigError(f'{variable} names a proxy of the kind {proxy_scheme!r}, which is not supported.',
                          f'Supported are {", ".join(_SCHEMES)}. {remedy}')
    if not _is_address(url):
        raise ConfigError(f'{variable} is not the address of a proxy.', remedy)
    if proxy_scheme.startswith('socks') and find_spec('socksio') is None:
        raise ConfigError(f'{variable} names a SOCKS proxy for {host}, which needs the package socksio.',
                          f"pip install socksio, or unset {variable}, or set no_proxy={host}.")
    return Proxy(url, variable)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    if host.lower() == 'localhost' or host.lower().endswith('.localhost'):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _in_network(host: str, no_proxy: str) -> bool:
    """True if a network in `no_proxy`, such as `192.168.0.0/16`, contains the host."""
    for entry in no_proxy.split(','):
        try:
            if '/' in entry and ip_address(host) in ip_network(entry.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False
