"""Models of vlfusion on the Hugging Face hub: `hf://owner/name`, or `hf://owner/name@revision`.

A repository holds `model.safetensors`, the checkpoint of vlfusion with its experiment in the metadata; `config.json`,
the same experiment to read; and `README.md`, the model card. huggingface_hub moves the files. It takes the token from
`HF_TOKEN` or from `hf auth login`, the server from `HF_ENDPOINT`, and keeps what it loads in its own cache.
"""

import errno
import logging
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from vlfusion import __version__
from vlfusion.console.notes import note
from vlfusion.errors import CheckpointError, DownloadError, VLFusionError
from vlfusion.files import strict_json
from vlfusion.guards.foreign import described
from vlfusion.guards.redaction import mask, mask_log, without_secrets
from vlfusion.imaging.tasks import TASKS
from vlfusion.zoo.metadata import EXPERIMENT, read_meta
from vlfusion.zoo.remote import is_offline

SCHEME = 'hf://'
WEIGHTS, CONFIG, CARD = 'model.safetensors', 'config.json', 'README.md'
LOG_IN = 'Set HF_TOKEN, or log in by `hf auth login`, with an account that may do this.'
CONNECT = 'Check the connection. HF_ENDPOINT names a mirror, HTTPS_PROXY a proxy.'

#: Errors of the file system: no space, no permission.
LOCAL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)


@dataclass(frozen=True)
class HubModel:
    """A model on the hub.

    Args:
        repo: owner and name.
        revision: branch, tag or commit; None is the newest version.
    """

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        return f'{SCHEME}{self.repo}' + (f'@{self.revision}' if self.revision else '')


def is_hub_address(name: str | os.PathLike) -> bool:
    """Tell whether a model's name is an address on the hub."""
    return str(name).startswith(SCHEME)


def parse(address: str) -> HubModel:
    """Read `hf://owner/name` or `hf://owner/name@revision`.

    >>> parse('hf://anna/film-mri@v1')
    HubModel(repo='anna/film-mri', revision='v1')

    Raises:
        DownloadError: it is something else.
    """
    match = re.fullmatch(r'hf://(\w[\w.-]*/\w[\w.-]*)(?:@([\w./-]+))?', address)
    if not match or '..' in address or f'{match[2]}'.startswith('/'):  # a revision becomes a path in the cache
        raise DownloadError(f'{address!r} is no address on the Hugging Face hub.',
                            'Write hf://owner/name, or hf://owner/name@revision for a branch, tag or commit.')
    return HubModel(*match.groups())


def parse_repo(repo: str) -> HubModel:
    """Read the name of a repository to write to: `owner/name`, or `hf://owner/name`.

    Raises:
        DownloadError: it is something else.
    """
    if not re.fullmatch(r'(hf://)?\w[\w.-]*/\w[\w.-]*', repo):
        raise DownloadError(f'{repo!r} is no repository on the Hugging Face hub.', 'Write owner/name.')
    return HubModel(repo.removeprefix(SCHEME))


def page(address: str) -> str:
    """Return the web page of a model's repository."""
    return f'{_server()}/{parse(address).repo}'


def pull(address: str, offline: bool = False) -> Path:
    """Load the checkpoint of a model, unless the hub's cache has it, and return its path.

    Args:
        address: as for `parse`.
        offline: True to ask only the cache. The variables of `is_offline` do so too.

    Raises:
        DownloadError: the repository, its revision or the checkpoint in it does not exist, needs a token, or is neither
            reachable nor in the cache.
    """
    from huggingface_hub import hf_hub_download
    model, offline = parse(address), offline or is_offline()
    _mask_logs()
    try:
        return Path(hf_hub_download(model.repo, WEIGHTS, revision=model.revision, library_name='vlfusion',
                                    library_version=__version__, local_files_only=offline))
    except Exception as error:
        raise _explained(error, model, f'{model} cannot be loaded from {_server()}', offline) from None


def is_cached(address: str) -> bool:
    """Tell whether the checkpoint of a model is in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache
    model = parse(address)
    return isinstance(try_to_load_from_cache(model.repo, WEIGHTS, revision=model.revision), str)


def push(checkpoint: str | os.PathLike, repo: str, *, private: bool | None = None, message: str = '',
         license: str = '') -> str:
    """Publish a checkpoint on the hub, and return its address with the new commit.

    A model card that the repository has already stays as it is.

    Args:
        checkpoint: a `.safetensors` checkpoint of vlfusion.
        repo: owner and name of the repository, with or without `hf://`. It is made if it does not exist.
        private: True to make a new repository private, False to make it public; by default the owner's setting.
        message: commit message.
        license: identifier of the weights' licence for a new card, such as `apache-2.0`; by default it names none.

    Raises:
        CheckpointError: the file is no such checkpoint, or its experiment holds a secret.
        DownloadError: the hub cannot be reached or refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    model = parse_repo(repo)
    meta, count = read_header(checkpoint)
    if without_secrets(meta) != meta:
        raise CheckpointError(f'The experiment in {checkpoint} holds a secret, so it is not published.',
                              'Name the environment variable that holds the key (api_key_env), and save the checkpoint '
                              'again.')
    failure = f'The model cannot be pushed to {model.repo} on {_server()}'
    if is_offline():
        raise DownloadError(f'{failure}: vlfusion is offline.',
                            'Leave out --offline, and unset VLFUSION_OFFLINE and HF_HUB_OFFLINE.')
    _mask_logs()
    try:
        api = HfApi(library_name='vlfusion', library_version=__version__)
        api.create_repo(model.repo, private=private, exist_ok=True)
        if private and not api.model_info(model.repo).private:
            raise DownloadError(f'{failure}: the repository exists and is public.',
                                'Make it private on its page, or choose another name.')
        files = {WEIGHTS: os.fspath(checkpoint), CONFIG: f'{strict_json(meta[EXPERIMENT])}\n'.encode()}
        if not api.file_exists(model.repo, CARD):
            files[CARD] = model_card(model.repo, meta[EXPERIMENT], count, license).encode()
        commit = api.create_commit(model.repo, [CommitOperationAdd(name, content) for name, content in files.items()],
                                   commit_message=message or 'Model of vlfusion')
    except Exception as error:
        raise _explained(error, model, failure) from None
    return str(HubModel(model.repo, commit.oid))


def read_header(checkpoint: str | os.PathLike) -> tuple[dict[str, Any], int]:
    """Return `meta` of a `.safetensors` checkpoint, and the number of its weights. No tensor is read.

    Raises:
        CheckpointError: the file is no such checkpoint.
    """
    try:
        meta = read_meta(checkpoint)
        with safe_open(checkpoint, 'numpy') as file:
            count = sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
        meta[EXPERIMENT]['model']['backbone']['type'], meta[EXPERIMENT]['task']
    except Exception as error:
        raise CheckpointError(f'{checkpoint} is not a .safetensors checkpoint of vlfusion: {described(error)}.',
                              'Load another checkpoint by vlfusion.Fuser, which writes such a file when it pushes.'
                              ) from None
    return meta, count


def model_card(repo: str, experiment: Mapping, count: int, license: str = '') -> str:
    """Write the model card that a new repository gets.

    Args:
        repo: owner and name.
        experiment: the experiment of the checkpoint.
        count: number of weights.
        license: identifier of the weights' licence.
    """
    from huggingface_hub import ModelCardData
    data = ModelCardData(license=license or None, library_name='vlfusion', pipeline_tag='image-to-image',
                         tags=['image-fusion', 'vlfusion'])
    backbone, task = experiment['model']['backbone']['type'].rpartition('.')[2], experiment['task']
    title = TASKS[task].title if task in TASKS else task
    return f"""---
{data.to_yaml()}
---

# {repo.partition('/')[2]}

{backbone} for {title} (`{task}`), trained with vlfusion {__version__}. It has {count:,} weights.

## Use

```bash
pip install vlfusion
vlfusion fuse {SCHEME}{repo} a.png b.png -o fused.png
```

```python
from vlfusion import Fuser
Fuser('{SCHEME}{repo}')('a.png', 'b.png').save('fused.png')
```

`{CONFIG}` shows the model, its texts and its protocol.

## Training and results

Describe here the training data, the schedule, the scores with their protocol, and known limits.
"""


def _explained(error: Exception, model: HubModel, failure: str, offline: bool = False) -> Exception:
    """Turn an error of huggingface_hub into one that says what to do. Errors of the disk stay as they are."""
    from huggingface_hub import errors
    status = getattr(getattr(error, 'response', None), 'status_code', None)
    if isinstance(error, VLFusionError) or isinstance(error, OSError) and error.errno in LOCAL:
        return error
    if isinstance(error, errors.GatedRepoError):
        why, remedy = 'its owner has to grant access', f'Ask for it on the page of the repository. {LOG_IN}'
    elif isinstance(error, errors.RepositoryNotFoundError) or status == 401:
        why, remedy = 'there is no such repository, or it is private', f'Check owner and name. {LOG_IN}'
    elif isinstance(error, errors.RevisionNotFoundError):
        why, remedy = f'it has no branch, tag or commit {model.revision}', f'Leave out @{model.revision}.'
    elif isinstance(error, errors.LocalEntryNotFoundError):
        why = 'vlfusion is offline' if offline else mask(described(error.__cause__ or error))
        why += ', and the cache of huggingface_hub does not have it'
        remedy = CONNECT
        if offline:
            remedy = 'Load it once with a connection, or copy the cache (HF_HOME) of a machine that has it.'
    elif isinstance(error, errors.EntryNotFoundError):
        why = f'it has no {WEIGHTS}'
        remedy = 'Only models of vlfusion can be used by this address. `vlfusion push` makes one.'
    elif status == 403:
        why, remedy = 'the token has no permission to do this', LOG_IN
    else:
        why, remedy = mask(described(error)), CONNECT
    return DownloadError(f'{failure}: {why}.', remedy)


def _server() -> str:
    from huggingface_hub import constants
    return mask(constants.ENDPOINT)


def _mask_logs() -> None:
    for module in ('file_download', 'hf_api', 'lfs', 'utils._http'):
        mask_log(f'huggingface_hub.{module}')
    logging.getLogger('huggingface_hub.utils._http').addFilter(_one_note)


def _one_note(record: logging.LogRecord) -> bool:
    """Replace the warnings about repeated requests by one note."""
    if not re.search(r'thrown while requesting|\[Retry ', record.getMessage()):
        return True
    note('no answer of the hub', f'{_server()} does not answer. Trying again.')
    return False
