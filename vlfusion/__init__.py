"""vlfusion: a modular plugin toolkit for vision-language guided image fusion research."""

__version__ = '0.1.0'
__all__ = ['Fuser', '__version__']


def __getattr__(name: str):
    # Lazy, so that `import vlfusion` and the command line's help need no torch.
    if name == 'Fuser':
        from vlfusion.inference import Fuser
        return Fuser
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
