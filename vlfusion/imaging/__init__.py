"""Images: reading and writing, luminance and colour, the protocols of scoring, tasks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    'arrays': ['as_image'],
    'asked': ['asked_picture'],
    'chroma': ['add_chroma'],
    'images': ['luminance', 'read_image', 'to_8bit', 'write_image'],
    'picture': ['Fused', 'make_picture'],
    'protocol': ['PROTOCOLS', 'Protocol'],
    'tasks': ['TASKS', 'Task'],
})
