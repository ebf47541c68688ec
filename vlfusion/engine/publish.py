"""Publish a model: its weights and its experiment, without what is of this machine alone, on the Hugging Face hub."""

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vlfusion import __version__
from vlfusion.engine.checkpoints import read_checkpoint
from vlfusion.engine.named import EXPERIMENT_KEYS, locate
from vlfusion.engine.states import write_state
from vlfusion.errors import CheckpointError
from vlfusion.zoo import hub
from vlfusion.zoo.entries import Pinned
from vlfusion.zoo.names import entry_of

#: What a published checkpoint says of its training, beside the experiment.
ORIGIN = ('iter', 'epoch', 'training', 'released', 'vlfusion_version')


def publish(model: str | os.PathLike, repo: str, *, private: bool | None = None, message: str = '', license: str = '',
            offline: bool = False) -> str:
    """Push a model to a repository on the hub, and return its address there with the commit.

        address = vlfusion.publish('work_dirs/film_mif/best.pth', 'anna/film-mri', license='apache-2.0')

    The repository gets the weights, the experiment and, if it has none, a model card. Weights of losses, the state of
    the optimiser and folders of this machine stay here.

    Args:
        model: checkpoint, or name of a model with weights, as for `vlfusion.load_model`.
        repo: owner and name. The repository is made if it does not exist.
        private: True for a new private repository, False for a public one; by default the owner's setting.
        message: commit message.
        license: identifier of the weights' licence for a new card, such as `apache-2.0`.
        offline: True to download no weights of a named model.

    Raises:
        CheckpointError: the model has no weights; or they are their authors', who state no licence.
        DownloadError: the hub cannot be reached or refuses.
    """
    entry = entry_of(model)
    if entry and isinstance(entry.source, Pinned) and not license:
        raise CheckpointError(f'The weights of {model} are those of {entry.source} '
                              f'(licence: {entry.licence}).',
                              'Others get them by the same name. If you may publish them, say under which --license.')
    located = locate(model, offline=offline)
    if located.file is None:
        raise CheckpointError(f'{model} has no weights to push.', 'Its name or config is all that others need.')
    with TemporaryDirectory() as folder:
        path = Path(folder, hub.WEIGHTS)
        checkpoint = read_checkpoint(located.file)
        write_state(path, {name: value for name, value in checkpoint['state_dict'].items()
                           if not name.startswith('losses.')},
                    _public_meta(checkpoint['meta'], located.experiment))
        return hub.push(path, repo, private=private, message=message, license=license)


def _public_meta(meta: Mapping, experiment: Mapping | None) -> dict[str, Any]:
    """Return the experiment and the origin of a checkpoint.

    Args:
        meta: `meta` of the checkpoint.
        experiment: the experiment, if it is stated elsewhere.
    """
    experiment = experiment or meta['vlfusion']
    public = {key: meta[key] for key in ORIGIN if key in meta}
    data = meta.get('dataset_meta')
    if isinstance(data, Mapping) and 'name' in data:
        public['dataset_meta'] = dict(name=data['name'])
    return dict(vlfusion_version=__version__) | _portable(
        {**public, 'vlfusion': {key: experiment[key] for key in EXPERIMENT_KEYS if key in experiment}})


def _portable(value: Any) -> Any:
    """Reduce absolute paths to their last part, at any depth of plain data.

    >>> _portable(dict(store='/home/anna/texts', files=['text/{name}.npy']))
    {'store': 'texts', 'files': ['text/{name}.npy']}
    """
    if isinstance(value, Mapping):
        return {key: _portable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(item) for item in value]
    return Path(value).name if isinstance(value, str) and os.path.isabs(value) else value
