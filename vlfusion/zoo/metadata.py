"""Metadata of `.safetensors` checkpoints: JSON of the experiment, and of the rest of `meta`. No tensor is read."""

import json
import os
from typing import Any

from safetensors import safe_open

from vlfusion.errors import CheckpointError

#: Keys of the metadata: the experiment, and the rest.
EXPERIMENT, META = 'vlfusion', 'meta'
COPY = 'The file is damaged or is not a checkpoint of vlfusion. Copy it again, or ask its author.'


def read_meta(path: str | os.PathLike) -> dict[str, Any] | None:
    """Return `meta` of a `.safetensors` checkpoint; None if the file holds no experiment.

    Raises:
        CheckpointError: the metadata is not JSON.
        SafetensorError, OSError: the file is damaged or cannot be read.
    """
    with safe_open(path, 'numpy') as file:
        texts = file.metadata() or {}
    if EXPERIMENT not in texts:
        return None
    try:
        return {**json.loads(texts.get(META, '{}')), EXPERIMENT: json.loads(texts[EXPERIMENT])}
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f'{path} holds metadata that is not JSON: {error}.', COPY) from error
