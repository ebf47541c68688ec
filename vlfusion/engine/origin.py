"""The origin of a model in words: its task, training data and number of steps."""

from collections.abc import Mapping
from typing import Any

from vlfusion.errors import one_line
from vlfusion.imaging.tasks import TASKS


def origin(experiment: Mapping, meta: Mapping) -> str:
    """Describe the origin of a checkpoint's model, as far as the checkpoint records it.

    Args:
        experiment: `meta['vlfusion']` of the checkpoint.
        meta: `meta` of the checkpoint: MMEngine's `iter` and `dataset_meta`, `training` with the number of pairs, or
            `released` with the names of the authors' files.

    >>> experiment = dict(task='ivf', model=dict(backbone=dict(type='FILM')))
    >>> origin(experiment, dict(iter=6000, dataset_meta=dict(name='RoadScene'), training=dict(pairs=171)))
    'FILM, trained for ivf (infrared-visible fusion): 6,000 steps on RoadScene (171 pairs)'
    >>> origin(experiment, dict(released=['IVF.pth']))
    'FILM for ivf (infrared-visible fusion), released weights of IVF.pth'
    """
    network = _words(experiment['model'].get('backbone', experiment['model']), 'type') or 'A model'
    task = _words(experiment, 'task')
    title = f'{task} ({TASKS[task].title})' if task in TASKS else task
    if released := meta.get('released'):
        return f'{network} for {title}, released weights of {", ".join(map(_plain, released))}'
    steps, pairs = meta.get('iter'), _part(meta, 'training').get('pairs')
    if not isinstance(steps, int) or not steps:
        return f'{network} for {title}; the checkpoint does not say how it was trained'
    data = _words(_part(meta, 'dataset_meta'), 'name')
    return (f'{network}, trained for {title}: {steps:,} step{"s" * (steps != 1)}' + (f' on {data}' if data else '')
            + (f' ({pairs:,} pair{"s" * (pairs != 1)})' if isinstance(pairs, int) else ''))


def _part(mapping: Mapping, key: str) -> Mapping:
    """Return the dict at a key of an untrusted checkpoint; empty if the value is not a dict."""
    part = mapping.get(key)
    return part if isinstance(part, Mapping) else {}


def _words(mapping: Any, key: str) -> str:
    return _plain(mapping.get(key) or '') if isinstance(mapping, Mapping) else ''


def _plain(text: Any) -> str:
    """Make text safe for a terminal, and cut it to 80 characters."""
    text = one_line(str(text))
    return text if len(text) <= 80 else f'{text[:77]}...'
