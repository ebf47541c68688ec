"""Adaptations of MMEngine 0.10.7 to current torch. Each says why it exists, and when it can be removed.

They use MMEngine's public extension points: hooks, registries, file backends, checkpoint schemes and `Runner` methods.
Five adaptations are elsewhere. `vlfusion.config` replaces one function of MMEngine to allow names in `_base_`, and
another so that a config is formatted once. It also reads configs with `lazy_import=False`, because in a virtual
environment MMEngine mistakes standard-library imports for its lazy style. Every root registry has a child in
`vlfusion.registry`, since MMEngine otherwise warns at each lookup. And `vlfusion.system.loggers` lets a process log
whose LOCAL_RANK is beyond the GPUs.
"""

import argparse
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
from vlfusion.zoo.metadata import read_meta

#: What other projects' checkpoints hold beside tensors: NumPy scalars of three common types, such as losses, and the
#: options of a script. Reading them runs no code.
_HARMLESS = [argparse.Namespace, np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType, np.dtypes.Int64DType,
             (np._core.multiarray.scalar, 'numpy.core.multiarray.scalar'),
             (np._core.multiarray.scalar, 'numpy._core.multiarray.scalar')]


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_checkpoint_file(filename: str | os.PathLike, map_location: Any = 'cpu') -> dict:
    """Load a checkpoint (`.pth` or `.safetensors`) without running code from it.

    Why: MMEngine's own loader leaves `weights_only` to torch's default, and reports a refused or truncated file as an
    unpickling error. Can go when MMEngine sets `weights_only=True` and names the file.

    Raises:
        CheckpointError: the file is absent or truncated, or holds anything but tensors and plain values.
    """
    path = require_checkpoint(filename)
    try:
        if path.suffix == '.safetensors':
            state, meta = load_file(path, device=str(map_location)), read_meta(path)
            return state if meta is None else dict(state_dict=state, meta=meta)
        with torch.serialization.safe_globals(_HARMLESS):
            return torch.load(path, map_location=map_location, weights_only=True)
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f'{path} was refused: it is not a plain checkpoint of tensors and values{_refused(error)}.',
            'It is damaged, or loading it could run code. Ask its author for a file that torch.load accepts with '
            'weights_only=True, or for safetensors.') from error
    except Exception as error:  # a damaged file can make torch raise anything
        raise CheckpointError(f'{path} cannot be read ({path.stat().st_size} bytes): {_first_line(error)}.',
                              'The file is truncated or not a checkpoint; copy or download it again.') from error


def _refused(error: pickle.UnpicklingError) -> str:
    """Return the name that torch refused in a pickle, without torch's advice to load the file anyway."""
    refused = re.search(r'GLOBAL ([\w.]+)', str(error))
    return f' (it names {refused[1]})' if refused else ''


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@HOOKS.register_module()
class PlainCheckpointHook(Hook):
    """Reduces checkpoints to tensors and plain values, so that they load with `weights_only=True`.

    Why: MMEngine pickles `HistoryBuffer` objects and NumPy scalars of its message hub, which torch refuses at resume.
    Can go when MMEngine's checkpoints hold plain values.
    """

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        hub = checkpoint['message_hub']
        hub['log_scalars'] = {name: [array.tolist() for array in buffer.data]
                              for name, buffer in hub['log_scalars'].items()}
        for part in ('message_hub', 'meta'):
            checkpoint[part] = _plain(checkpoint[part])

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        checkpoint.get('meta', {}).pop('config', None)  # MMEngine never writes it, but would run it as Python
        hub = checkpoint.get('message_hub', {})
        hub['log_scalars'] = {name: HistoryBuffer(*data) for name, data in hub.get('log_scalars', {}).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    return value.item() if isinstance(value, np.generic) else value


class AtomicBackend(LocalBackend):
    """A local file backend whose files are either complete or absent.

    Why: MMEngine writes checkpoints in place, so a process that is killed while saving leaves an incomplete file. Can
    go when MMEngine writes to a temporary name.
    """

    def put(self, obj: bytes | memoryview, filepath: str | Path) -> None:
        write_whole(filepath, obj)


register_backend('atomic', AtomicBackend, force=True)


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """MMEngine's checkpoint hook, changed to delete a checkpoint only after its successor is on disk.

    Why: with `max_keep_ckpts=1` MMEngine deletes the only checkpoint before it writes the next, and does the same with
    the best one. Can go when MMEngine writes first.

    Args:
        max_keep_ckpts: number of regular checkpoints to keep, raised to 2 if smaller; -1 keeps all.
        kwargs: as for MMEngine's `CheckpointHook`; `save_best` names one metric.
    """

    def __init__(self, *, max_keep_ckpts: int = 2, **kwargs):
        kwargs.setdefault('backend_args', dict(backend='atomic'))
        if not isinstance(kwargs.get('save_best', ''), str | None):
            raise ConfigError(f'save_best is {kwargs["save_best"]}; expected one metric.', 'Name a single metric.')
        super().__init__(max_keep_ckpts=max_keep_ckpts if max_keep_ckpts < 0 else max(2, max_keep_ckpts), **kwargs)

    def before_train(self, runner) -> None:
        # The hook deletes files that a resumed checkpoint names, so only checkpoints of this folder are accepted.
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
    """Autocast to bfloat16 on the model's device. bfloat16 needs no loss scaling.

    Why: MMEngine's `AmpOptimWrapper` does not support the CPU. Can go when it does.
    """

    @contextmanager
    def optim_context(self, model: nn.Module):
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, dtype=torch.bfloat16):
            yield


def screen_handlers(logger: logging.Logger) -> list[logging.StreamHandler]:
    """Return the handlers of a logger that write to the screen, not to a file."""
    return [handler for handler in logger.handlers
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler)]


def keep_off_screen(logger: logging.Logger) -> None:
    """Show only the warnings of MMEngine's logger on the screen; its file still gets everything.

    Why: before a training begins, and before any error, MMEngine prints the environment, the config and all hooks, over
    200 lines. It warns of deprecated names that it uses itself, and of skipped batches, which `ResumableTrainLoop` does
    not load. Can go when all this is optional.
    """
    for handler in screen_handlers(logger):
        handler.setLevel(max(handler.level, logging.WARNING))
        handler.addFilter(lambda record: not _NOISE.search(record.getMessage()))


_NOISE = re.compile('"FileClient" will be deprecated|"HardDiskBackend" is the alias|Advance dataloader')


def choose_gpu() -> None:
    """Let LOCAL_RANK be the number of a GPU that this process sees.

    Why: MMEngine's launcher selects the GPU of this number, but a cluster may show each process only its own GPU, as
    Slurm does with `--gpus-per-task`. Can go when MMEngine takes the GPUs in turn.
    """
    os.environ['LOCAL_RANK'] = str(int(os.environ['LOCAL_RANK']) % torch.cuda.device_count())


def init_cpu_group() -> None:
    """Join the process group of torch's environment variables with the backend gloo.

    Why: MMEngine's launcher selects a CUDA device first. Can go when it supports CPU process groups.
    """
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')


def end_of_group_member(code: int = 0) -> None:
    """End this process of a group after its work: leave the group, flush all output, and exit at once.

    Why: a process of a gloo group sometimes aborts when the interpreter shuts down, because torch does not join all its
    threads ("terminate called without an active exception"). Then torchrun reports the whole run as failed. Can go when
    torch joins its threads.
    """
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextmanager
def quiet_tracing() -> Iterator[None]:
    """Suppress output, logs and warnings inside this block.

    Why: torch's tracers and compiler report many internal details in several ways. Real failures are raised anyway.
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
    """Wrap a model for distributed training without device ids, which torch does not allow on the CPU.

    Why: MMEngine always passes `device_ids`. Can go when it omits them for CPU modules.
    """
    return MMDistributedDataParallel(module=model.to(get_device()), broadcast_buffers=False,
                                     find_unused_parameters=find_unused_parameters)
