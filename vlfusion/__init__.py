"""vlfusion: a modular plugin toolkit for vision-language guided image fusion research.

`__init__.pyi` lists the public functions and rooms, and docs/reference/python.md describes them.
"""

import lazy_loader

from vlfusion import moved

__version__ = '0.1.0'

moved.install()
# Lazy, so that `import vlfusion` and the command line's help need no torch. Public names must differ from sub-packages:
# importing `vlfusion.benchmark` would replace a function `benchmark` by the package. So that verb is `run_plan` here.
__getattr__, __dir__, _names = lazy_loader.attach_stub(__name__, __file__)
__all__ = [*_names, '__version__']
