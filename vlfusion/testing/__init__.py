"""Checks that hold for every entry of a registry; plugins use them in their own tests."""

from vlfusion.testing.backbones import check_backbone
from vlfusion.testing.metrics import check_metric

__all__ = ['check_backbone', 'check_metric']
