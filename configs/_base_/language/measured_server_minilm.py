"""Former name of `measured_server.py`."""

_base_ = ['measured_server.py']
