"""vlfusion: a modular plugin toolkit for vision-language guided image fusion research."""

import lazy_loader

from vlfusion import moved

__version__ = '0.1.0'

moved.install()
# Lazy, so that `import vlfusion` and the command line's help need no torch.
__getattr__, __dir__, _names = lazy_loader.attach(__name__, submod_attrs={'inference.fuser': ['Fuser']})
__all__ = [*_names, '__version__']
