"""Hooks that the Runner calls: saving pictures, showing progress."""

from vlfusion.hooks.pictures import SaveFusedHook
from vlfusion.hooks.progress import ProgressHook

__all__ = ['ProgressHook', 'SaveFusedHook']
