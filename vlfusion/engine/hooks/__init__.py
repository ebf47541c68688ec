"""Hooks of the Runner: save pictures, show progress."""

from vlfusion.engine.hooks.pictures import SaveFusedHook
from vlfusion.engine.hooks.progress import ProgressHook

__all__ = ['ProgressHook', 'SaveFusedHook']
