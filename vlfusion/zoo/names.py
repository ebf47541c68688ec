"""Checks of what the user gives for a model, before torch is loaded."""

import os
from pathlib import Path

from vlfusion.config_names import is_config, require_config, similar_config
from vlfusion.errors import CheckpointError
from vlfusion.files import require_checkpoint
from vlfusion.zoo import hub
from vlfusion.zoo.entries import find_entry, similar_model


def require_model(model: str | os.PathLike) -> None:
    """Raise a CheckpointError or ConfigError if there is no such checkpoint, config, named model or address.

    Args:
        model: as for `vlfusion.engine.named.locate`.
    """
    name = os.fspath(model)
    path = Path(model).expanduser()
    if hub.is_hub_address(name):
        hub.parse(name)
    elif path.exists() or not find_entry(name):
        if is_config(path):
            require_config(path)
        elif path.suffix or path.exists():
            require_checkpoint(path)
        else:
            raise CheckpointError(
                f'{name} is neither a checkpoint nor the name of a model or config.',
                similar_model(name) or f'{similar_config(path)} `vlfusion models` shows all models.')
