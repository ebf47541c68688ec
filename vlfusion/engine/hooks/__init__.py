"""Hooks that the Runner calls: saving pictures, showing progress."""

from vlfusion.engine.hooks.pictures import SaveFusedHook
from vlfusion.engine.hooks.progress import ProgressHook

__all__ = ['ProgressHook', 'SaveFusedHook']
