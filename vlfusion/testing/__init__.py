"""Checks that hold for every entry of a registry; plugins use them in their own tests."""

from vlfusion.testing.backbones import check_backbone

__all__ = ['check_backbone']
