"""Training and testing on MMEngine: the runner, its hooks, checkpoints and what they may ask for."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'checkpoints': ['load_model'],
    'runner': ['build_runner'],
})
