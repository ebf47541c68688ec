"""The runner of an experiment: MMEngine's Runner, adapted to vlfusion and built from a config."""

import inspect
import os
from itertools import chain, repeat
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from filelock import FileLock
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import BaseLoop, IterBasedTrainLoop, Runner
from torch import nn

from vlfusion.config import config_from, load_config
from vlfusion.data.dataset import FusionDataset
from vlfusion.data.sampler import Draw, EpochSampler
from vlfusion.engine import compat
from vlfusion.engine.config_tree import check_experiment
from vlfusion.engine.hooks import ProgressHook
from vlfusion.engine.locks import lock_work_dir
from vlfusion.engine.named import EXPERIMENT_KEYS, locate
from vlfusion.engine.states import load_strictly
from vlfusion.errors import CheckpointError, ConfigError, VLFusionError
from vlfusion.files import require_checkpoint, write_whole
from vlfusion.guards.foreign import foreign
from vlfusion.guards.redaction import without_secrets
from vlfusion.imaging.chroma import chroma_name
from vlfusion.models import map_inputs, needed_texts, text_dims
from vlfusion.registry import DATASETS, LOOPS, METRICS, share_keys
from vlfusion.system.launchers import take_variables
from vlfusion.system.memory import out_of_memory
from vlfusion.system.tf32 import tf32
from vlfusion.zoo.metadata import COPY

#: Prefixes of config keys that each stage ignores, because they belong to the other stage.
OTHER_STAGE = {'train': ('test_',), 'test': ('train_', 'val_', 'optim_wrapper', 'param_scheduler')}


def build_runner(config: Config, stage: str, verbose: bool = False) -> 'FusionRunner':
    """Build the runner for one stage of an experiment, and check its data and text.

    Args:
        config: a config as `vlfusion.config.load_config` returns it.
        stage: `train` (with validation) or `test`; the loaders and loops of the other stage are not built.
        verbose: True to show MMEngine's log on the screen: environment, config, hooks, scalars. Its file always has it.

    Raises:
        VLFusionError: anything that would stop the run later: missing data or text, a wrong text width, unknown names.
    """
    whole = config_from(config.to_dict(), config.filename)
    check_experiment(whole)
    if 'chroma' in whole:
        chroma_name(whole.chroma)
    for key in ('task', f'{stage}_dataloader', *(('train_cfg', 'optim_wrapper') if stage == 'train' else ())):
        if not whole.get(key):
            raise ConfigError(f'{config.filename} has no {key}, so it cannot {stage}.',
                              f'Give it one, or use a config that is meant to {stage}.')
    for split in ('train', 'val', 'test'):
        if loader := whole.get(f'{split}_dataloader'):
            loader.setdefault('collate_fn', dict(type='vlfusion.stack_samples'))  # MMEngine's own makes lists
            if not loader.get('num_workers'):
                loader.persistent_workers = False  # torch refuses True without workers
            share_keys(whole, loader.dataset, DATASETS)
        for evaluator in evaluators(whole, split):
            share_keys(whole, evaluator, METRICS)
    whole.work_dir = whole.get('work_dir') or f'work_dirs/{Path(whole.filename or "unnamed").stem}'

    _check_work_dir(whole)
    leads = take_variables(whole.get('launcher', 'none')) == 0
    arguments = {key: value for key, value in whole.items()
                 if key in inspect.signature(Runner).parameters and not key.startswith(OTHER_STAGE[stage])}
    if arguments.get('load_from'):
        arguments['load_from'] = str(locate(arguments['load_from']).file or require_checkpoint(arguments['load_from']))
    kept = config_from(without_secrets(whole.to_dict()), whole.filename)  # for logs, dumps and checkpoints
    lock = lock_work_dir(whole.work_dir) if stage == 'train' and leads else None
    try:
        return _ready_runner(arguments, cfg=kept, verbose=verbose, lock=lock)
    except BaseException:
        if lock:
            lock.release()
        raise


def _ready_runner(arguments: dict, cfg: Config, **options: Any) -> 'FusionRunner':
    """Build a runner with its data sets, and check that they fit the model."""
    with foreign(f'{cfg.filename} cannot be set up', ConfigError, 'Correct the config.'):
        runner = FusionRunner(**arguments, cfg=cfg, **options)
    for split in ('train', 'val', 'test'):
        if arguments.get(f'{split}_dataloader'):
            with foreign(f'{split}_dataloader cannot be built', ConfigError, 'Correct the config.'):
                dataset = getattr(runner, f'{split}_dataloader').dataset  # the property builds it
            _check_text_width(runner.model, dataset)
            _check_sample(runner.model, dataset, split)
    return runner


def _check_work_dir(config: Config) -> None:
    """Refuse a work_dir where the dump of the config would replace the config itself, unless that is a dump too.

    Raises:
        ConfigError: the config would be replaced.
    """
    path = Path(config.filename or '')
    dump = Path(config.work_dir) / path.name
    if path.is_file() and dump.is_file() and path.samefile(dump):
        text = path.read_text(encoding='utf-8')
        if text != load_config(path).pretty_text:
            raise ConfigError(f'{path} lies in the work_dir {config.work_dir}, where its own dump would replace it.',
                              'Choose another folder with --work-dir, or move the config.')


def evaluators(config: Config, split: str) -> list[dict]:
    """Return the evaluators of a split as a list; a config may have none, one or a list of them."""
    parts = config.get(f'{split}_evaluator') or []
    return parts if isinstance(parts, list) else [parts]


def _check_sample(model: nn.Module, dataset: Any, split: str) -> None:
    """Make one sample to check the pipeline; raise ConfigError if it fails, or lacks a map that the backbone needs."""
    if not isinstance(dataset, FusionDataset):
        return
    remedy = 'Correct the pipeline: it goes from LoadPair to PackPair.'
    problem = f'{split}_dataloader.dataset returns no sample'
    with torch.random.fork_rng(devices=[]), foreign(problem, ConfigError, remedy):
        sample = dataset[Draw(0, seed=0)]
    if not isinstance(sample, dict) or not {'source_a', 'source_b', 'name'} <= sample.keys():
        raise ConfigError(f'{split}_dataloader.dataset.pipeline returns no source_a and source_b.', remedy)
    for name, required in map_inputs(getattr(model, 'module', model).backbone).items():
        if required and name not in sample:
            raise ConfigError(f'The backbone reads the map {name!r}, but the data set {dataset.name!r} has none.',
                              f"Set {split}_dataloader.dataset.maps=dict({name}='FOLDER').")


def _check_text_width(model: nn.Module, dataset: Any) -> None:
    widths = getattr(dataset, 'text_dims', {})
    backbone = getattr(model, 'module', model).backbone
    for name, expected in text_dims(backbone).items():
        if name not in widths:
            if name not in needed_texts(backbone):
                continue
            source = "dict(stream='pair/paragraph')"
            raise ConfigError(f'The backbone reads {name}, but the data set {dataset.name!r} has '
                              f'{"only " + ", ".join(widths) if widths else "no text"}.',
                              f'Set text_source, such as text_source='
                              f'{source if name == "text" else f"dict({name}={source})"}.')
        if expected != widths[name]:
            key = 'model.backbone.text_dim' + ('' if name == 'text' else f'.{name}')
            raise ConfigError(
                f'The backbone expects {name} features of width {expected}, but those of the data set have width '
                f'{widths[name]}.',
                f'Set {key}={widths[name]}, or describe the images with an encoder of width {expected}.')


def latest_checkpoint(work_dir: str | os.PathLike) -> Path | None:
    """Return the newest regular checkpoint in a work_dir, or None. Checkpoints are either complete or absent."""
    checkpoints = [path for path in Path(work_dir).glob('iter_*.pth') if path.stem[5:].isdecimal()]
    return max(checkpoints, key=lambda path: (path.stat().st_mtime_ns, int(path.stem[5:])), default=None)


class FusionRunner(Runner):
    """MMEngine's Runner with full support for CPUs, and with resuming that is bit-equal there.

    On a GPU, resuming is equal to rounding, because some backward passes add in an order that changes.
    `randomness=dict(deterministic=True)` fixes the order, and raises an error for networks for which torch cannot.
    """

    def __init__(self, *args, cfg: Config, experiment_name: str | None = None, verbose: bool = False,
                 lock: FileLock | None = None, launcher: str = 'none', **kwargs):
        self.verbose, self.lock = verbose, lock
        if launcher != 'none':
            take_variables(launcher)
            kwargs['launcher'] = 'pytorch'  # torch's variables are now set for every launcher
        # MMEngine names a run by the second, so two runs of one second would share their logger and message hub.
        name = experiment_name or Path(cfg.filename or 'unnamed').stem
        super().__init__(*args, cfg=cfg, experiment_name=f'{name}_{uuid4().hex[:8]}', **kwargs)

        if options := self.cfg.get('compile'):
            getattr(self.model, 'module', self.model).backbone.compile(**({} if options is True else options))

    def train(self) -> nn.Module:
        try:
            with tf32(self.cfg.get('tf32', False)):
                return super().train()
        except Exception as error:
            if not out_of_memory(error):
                raise
            raise VLFusionError('Memory ran out in training.', 'Lower train_dataloader.batch_size, or compute parts of '
                                'the network again in the backward pass (activation_checkpointing). --resume goes on '
                                'from the newest checkpoint.') from error
        finally:
            if self.lock:
                self.lock.release()

    def test(self) -> dict[str, float]:
        with tf32(self.cfg.get('tf32', False)):
            return super().test()

    def _maybe_compile(self, target: str) -> None:
        """Compile nothing here: MMEngine would compile whole training steps, and nothing in testing."""

    def setup_env(self, env_cfg: dict) -> None:
        if self.distributed:
            compat.choose_gpu() if torch.cuda.is_available() else compat.init_cpu_group()
        super().setup_env(env_cfg)

    def dump_config(self) -> None:
        if self.rank == 0:  # MMEngine's own method leaves an incomplete file on a full disk
            name = Path(self.cfg.filename).name if self.cfg.filename else f'{self.timestamp}.py'
            write_whole(Path(self.work_dir, name), self.cfg.dump().encode())

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        if self.distributed and model_wrapper_cfg is None and not torch.cuda.is_available():
            return compat.wrap_for_cpu_group(model, self.cfg.get('find_unused_parameters', False))
        return super().wrap_model(model_wrapper_cfg, model)

    def build_logger(self, *args, **kwargs) -> MMLogger:
        logger = super().build_logger(*args, **kwargs)
        if not self.verbose:
            compat.keep_off_screen(logger)
        return logger

    def register_hooks(self, default_hooks: dict | None = None, custom_hooks: list | None = None) -> None:
        super().register_hooks(default_hooks, custom_hooks)
        if not any(isinstance(hook, ProgressHook) for hook in self.hooks):  # without it the screen stays empty
            self.register_hook(ProgressHook())
        self.register_hook(compat.PlainCheckpointHook())

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        with foreign('optim_wrapper cannot be built', ConfigError, 'Correct the config.'):
            return super().build_optim_wrapper(optim_wrapper)

    def build_param_scheduler(self, scheduler: Any) -> Any:
        with foreign('param_scheduler cannot be built', ConfigError, 'Correct the config.'):
            return super().build_param_scheduler(scheduler)

    def build_train_loop(self, loop: Any) -> Any:
        with foreign('train_cfg cannot be built', ConfigError, 'Correct the config.'):
            return super().build_train_loop(loop)

    def build_evaluator(self, evaluator: Any) -> Any:
        with foreign('The evaluator cannot be built', ConfigError, 'Correct the config.'):
            return super().build_evaluator(evaluator)

    def load_checkpoint(self, filename: str, map_location: Any = 'cpu', **_) -> dict:
        checkpoint = compat.load_checkpoint_file(filename, map_location)
        if not isinstance(checkpoint, dict) or 'state_dict' not in checkpoint:
            raise CheckpointError(f'{filename} is not a checkpoint of vlfusion.',
                                  'Convert released weights with `vlfusion convert-weights NAME IN OUT`.')
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        model = getattr(self.model, 'module', self.model)
        # A training may begin with the weights of a network to which it adds trainable parts.
        begins = isinstance(self._train_loop, BaseLoop) and not self._resume
        new = tuple(f'backbone.{name}' for name in getattr(model, 'trainable', ())) if begins else ()
        if lacking := load_strictly(model, checkpoint['state_dict'], filename, new):
            self.logger.warning(f'{filename} lacks {len(lacking)} tensors of {", ".join(new)}, which begin untrained.')
        return checkpoint

    def load_or_resume(self) -> None:
        # Weights by name hold no state of an optimizer: a first run begins with them, and a later one resumes its own.
        begins = self._load_from is not None and Path(self._load_from).suffix == '.safetensors'
        if self._resume and (self._load_from is None or begins) and not self._has_loaded:
            newest = latest_checkpoint(self.work_dir)
            if newest is None:
                start = f'with {self._load_from}' if begins else 'from the beginning'
                self.logger.warning(f'Nothing to resume in {self.work_dir}. Training starts {start}.')
                self._resume = False
            else:
                self._load_from = str(newest)
        with foreign(f'{self._load_from} cannot be resumed', CheckpointError, COPY):
            super().load_or_resume()

    def save_checkpoint(self, *args, meta: dict | None = None, **kwargs) -> None:
        # `fuse` rebuilds the model and describes new images from this. It is data, so no config text is executed.
        experiment = {key: self.cfg[key] for key in EXPERIMENT_KEYS if self.cfg.get(key)}
        training = dict(pairs=len(self.train_dataloader.dataset))
        super().save_checkpoint(*args, meta={**(meta or {}), 'vlfusion': Config(experiment).to_dict(),
                                             'training': training}, **kwargs)


@LOOPS.register_module()
class ResumableTrainLoop(IterBasedTrainLoop):
    """MMEngine's iteration-based loop, changed to resume at the next unseen sample without loading earlier ones.

    The sampler must be an `EpochSampler`. The order and augmentation of its draws depend on seed and position alone, so
    a resumed run sees exactly the samples of an uninterrupted one.
    """

    def run(self) -> nn.Module:
        sampler = self.dataloader.sampler
        if not isinstance(sampler, EpochSampler):
            raise ConfigError(f'ResumableTrainLoop needs an EpochSampler, but got {type(sampler).__name__}.',
                              "Set train_dataloader.sampler=dict(type='EpochSampler').")
        if self._iter > 0:
            sampler.seed = self.runner.seed  # the seed of the checkpoint, even if that of the config is None
            sampler.start = self._iter * self.dataloader.batch_size * self.runner.world_size
            # The parent class skips the first `_iter` batches, so give it that many empty ones.
            self.dataloader_iterator = chain(repeat(None, self._iter), iter(self.dataloader))
        return super().run()
