"""Images: reading and writing, luminance and colour, the protocols of scoring, tasks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'arrays': ['as_image'],
    'images': ['add_chroma', 'luminance', 'read_image', 'write_image'],
    'protocol': ['PROTOCOLS', 'Protocol'],
    'tasks': ['TASKS', 'Task'],
})
