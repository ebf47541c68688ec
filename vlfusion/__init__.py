"""vlfusion: a modular plugin toolkit for vision-language guided image fusion research.

`__init__.pyi` lists the public functions; docs/reference/python.md says what each does.
"""

import lazy_loader

from vlfusion import moved

__version__ = '0.1.0'

moved.install()
# Lazy, so that `import vlfusion` and the command line's help need no torch. No name is that of a sub-package: importing
# `vlfusion.benchmark` sets that attribute to the package, and would replace a function `benchmark`. So the verb
# `benchmark` is `run_plan` here.
__getattr__, __dir__, _names = lazy_loader.attach_stub(__name__, __file__)
__all__ = [*_names, '__version__']
