"""The protocols, where evaluation and plugins look for them; see `vlfusion.metrics.protocol`."""

from vlfusion.metrics.protocol import PROTOCOLS, Protocol, code_of, protocol

__all__ = ['PROTOCOLS', 'Protocol', 'code_of', 'protocol']
