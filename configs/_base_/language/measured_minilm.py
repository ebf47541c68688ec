"""Former name of `measured.py`."""

_base_ = ['measured.py']
