"""Adaptations of MMEngine 0.10.7 to current torch, in one place; each entry says why, and when it can go.

All of it goes through MMEngine's public extension points (hooks, registries, file backends, checkpoint schemes and
`Runner` methods). One function of MMEngine is replaced, elsewhere: `vlfusion.config` adds names to `_base_`. Two
troubles need no entry: configs are read with `lazy_import=False`, because in a virtual environment MMEngine takes a
standard-library import for its lazy style; and every root registry has a child in `vlfusion.registry`, without which
MMEngine warns at each lookup.
"""

import logging
import os
import pickle
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import HistoryBuffer
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.runner import CheckpointLoader
from safetensors.torch import load_file
from torch import nn

from vlfusion.errors import CheckpointError, ConfigError
from vlfusion.files import require_checkpoint, write_whole
from vlfusion.registry import HOOKS, OPTIM_WRAPPERS

#: Numbers of three common kinds that numpy put into checkpoints of others, such as losses; reading one runs nothing.
_NUMPY_NUMBERS = [np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType, np.dtypes.Int64DType,
                  (np._core.multiarray.scalar, 'numpy.core.multiarray.scalar'),
                  (np._core.multiarray.scalar, 'numpy._core.multiarray.scalar')]


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_checkpoint_file(filename: str | os.PathLike, map_location: Any = 'cpu') -> dict:
    """Load a checkpoint (`.pth` or `.safetensors`) without running any code that it may carry.

    Why: MMEngine's own loader leaves `weights_only` to torch's default and reports a refusal or a truncated file as an
    unpickling error. Can go when MMEngine states `weights_only=True` and names the file.

    Raises:
        CheckpointError: the file is absent, truncated, or holds anything but tensors and plain values.
    """
    path = require_checkpoint(filename)
    try:
        if path.suffix == '.safetensors':
            return load_file(path, device=str(map_location))
        with torch.serialization.safe_globals(_NUMPY_NUMBERS):
            return torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f'{path} was refused: it is not a plain checkpoint of tensors and values{_refused(error)}.',
            'It is damaged, or loading it could run code. Ask its author for a file that torch.load accepts with '
            'weights_only=True, or for safetensors.') from error
    except Exception as error:  # what a damaged file makes torch raise is of any kind
        raise CheckpointError(f'{path} cannot be read ({path.stat().st_size} bytes): {_first_line(error)}.',
                              'The file is truncated or not a checkpoint; copy or download it again.') from error


def _refused(error: pickle.UnpicklingError) -> str:
    """Name that torch met in a pickle, without its advice to load the file all the same."""
    found = re.search(r'GLOBAL ([\w.]+)', str(error))
    return f' (it names {found[1]})' if found else ''


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@HOOKS.register_module()
class PlainCheckpointHook(Hook):
    """Keeps checkpoints to tensors and plain values, so that they load with `weights_only=True`.

    Why: MMEngine pickles `HistoryBuffer` objects and numpy scalars of its message hub, which torch refuses at resume.
    Can go when MMEngine's checkpoints hold plain values.
    """

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        hub = checkpoint['message_hub']
        hub['log_scalars'] = {name: [array.tolist() for array in buffer.data]
                              for name, buffer in hub['log_scalars'].items()}
        for part in ('message_hub', 'meta'):
            checkpoint[part] = _plain(checkpoint[part])

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        checkpoint.get('meta', {}).pop('config', None)  # MMEngine runs it as Python when it resumes; it writes none
        hub = checkpoint.get('message_hub', {})
        hub['log_scalars'] = {name: HistoryBuffer(*data) for name, data in hub.get('log_scalars', {}).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    return value.item() if isinstance(value, np.generic) else value


class AtomicBackend(LocalBackend):
    """A local file backend whose files are whole or absent.

    Why: MMEngine writes a checkpoint in place, so a kill during the save leaves half a file under its final name. Can
    go when MMEngine writes to a temporary name.
    """

    def put(self, obj: bytes | memoryview, filepath: str | Path) -> None:
        write_whole(filepath, obj)


register_backend('atomic', AtomicBackend, force=True)


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """MMEngine's checkpoint hook, which never deletes a checkpoint before its successor is on disk.

    Why: with `max_keep_ckpts=1` MMEngine removes the only checkpoint before it writes the next, and likewise the best
    one. Can go when MMEngine writes first.

    Args:
        max_keep_ckpts: how many of the regular checkpoints to keep: at least two, or -1 for all.
        kwargs: as for MMEngine's `CheckpointHook`; `save_best` names one metric.
    """

    def __init__(self, *, max_keep_ckpts: int = 2, **kwargs):
        kwargs.setdefault('backend_args', dict(backend='atomic'))
        if not isinstance(kwargs.get('save_best', ''), str | None):
            raise ConfigError(f'save_best is one metric, but got {kwargs["save_best"]}.', 'Choose the one to go by.')
        super().__init__(max_keep_ckpts=max_keep_ckpts if max_keep_ckpts < 0 else max(2, max_keep_ckpts), **kwargs)

    def before_train(self, runner) -> None:
        # A checkpoint that is resumed names files that are deleted later: only checkpoints of this folder are.
        resumed = runner.message_hub.runtime_info
        steps = resumed.pop('keep_ckpt_ids', None)
        resumed['keep_ckpt_ids'] = [step for step in steps if isinstance(step, int)] if isinstance(steps, list) else []
        best = resumed.pop('best_ckpt', None)
        super().before_train(runner)
        if self.save_best and isinstance(best, str) and fnmatch(name := Path(best).name, 'best_*.pth'):
            self.best_ckpt_path = str(Path(self.out_dir, name))
            runner.message_hub.update_info('best_ckpt', self.best_ckpt_path)

    def _save_best_checkpoint(self, runner, metrics: dict) -> None:
        if not self.save_best:
            return
        previous, self.best_ckpt_path = self.best_ckpt_path, None
        super()._save_best_checkpoint(runner, metrics)
        if self.best_ckpt_path is None:
            self.best_ckpt_path = previous
        elif previous and previous != self.best_ckpt_path and is_main_process():
            Path(previous).unlink(missing_ok=True)


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Autocast to bfloat16 on whichever device the model is on; bfloat16 needs no loss scaling.

    Why: MMEngine's `AmpOptimWrapper` refuses the CPU. Can go when it does not.
    """

    @contextmanager
    def optim_context(self, model: nn.Module):
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, dtype=torch.bfloat16):
            yield


def screen_handlers(logger: logging.Logger) -> list[logging.StreamHandler]:
    """The handlers of a logger that write to the screen, not to a file."""
    return [handler for handler in logger.handlers
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler)]


def keep_off_screen(logger: logging.Logger) -> None:
    """Show only the warnings of MMEngine's logger; its file still gets everything.

    Why: MMEngine prints the environment, the whole config and all hooks, 200 lines and more, before a training begins
    and before any error. It warns of deprecated names that it uses itself, and of batches that `ResumableTrainLoop`
    does not load. Can go when all this is optional.
    """
    for handler in screen_handlers(logger):
        handler.setLevel(max(handler.level, logging.WARNING))
        handler.addFilter(lambda record: not _NOISE.search(record.getMessage()))


_NOISE = re.compile('"FileClient" will be deprecated|"HardDiskBackend" is the alias|Advance dataloader')


def init_cpu_group() -> None:
    """Join the process group over gloo, as torchrun's environment variables describe it.

    Why: MMEngine's launcher selects a CUDA device before it joins. Can go when it supports CPU process groups.
    """
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')


def end_of_group_member(code: int = 0) -> None:
    """End this process of a group at once, its work done: leave the group, write out what is buffered, and go.

    Why: now and then a process that was in a gloo group aborts while the interpreter is taken down, by threads of
    torch that nobody joins ("terminate called without an active exception"), and torchrun then calls the whole run
    failed. Can go when that is over.
    """
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextmanager
def quiet_tracing() -> Iterator[None]:
    """Nothing printed, logged or warned of in here.

    Why: torch's tracers and compiler say much, in several ways, that concerns their authors; what goes wrong they raise
    as well.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with open(os.devnull, 'w') as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere), \
                warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(disabled)


def wrap_for_cpu_group(model: nn.Module, find_unused_parameters: bool) -> MMDistributedDataParallel:
    """The model in a distributed wrapper without device ids, which torch forbids on the CPU.

    Why: MMEngine always passes `device_ids`. Can go when it leaves them out for CPU modules.
    """
    return MMDistributedDataParallel(module=model.to(get_device()), broadcast_buffers=False,
                                     find_unused_parameters=find_unused_parameters)
