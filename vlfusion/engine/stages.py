"""The two stages of an experiment as functions: `train` and `test`."""

import os
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from vlfusion.config import as_config, config_from
from vlfusion.engine.checkpoints import experiment_of, load_model, load_weightless
from vlfusion.engine.named import locate
from vlfusion.engine.runner import FusionRunner, build_runner, evaluators
from vlfusion.evaluation.rows import Row, read_csv


@dataclass(frozen=True)
class Tested:
    """Result of `test`.

    Attributes:
        out: folder with `grey/`, `colour/`, `sheet.png` and the tables.
        tables: CSV files of scores, with one line for each pair.
        runner: the runner after the test.
    """

    out: Path
    tables: list[Path]
    runner: FusionRunner

    @property
    def rows(self) -> list[Row]:
        """Scores of each pair, from all tables in turn: `name`, `protocol` and a number for each metric."""
        return [row for table in self.tables for row in read_csv(table)]


def train(config: str | os.PathLike | Config, *, work_dir: str | os.PathLike | None = None, resume: bool = False,
          amp: bool = False, tensorboard: bool = False, launcher: str = 'none', verbose: bool = False) -> FusionRunner:
    """Train the model of a config, with validation. Checkpoints and logs go to its work_dir.

        config = vlfusion.load_config('film/film_ivf_sample', {'train_cfg.max_iters': 100})
        runner = vlfusion.train(config, work_dir='work_dirs/try')

    Args:
        config: file or name of a config, or a config as `load_config` returns it.
        work_dir: folder for checkpoints and logs; by default the config's own, or `work_dirs/<config name>`.
        resume: True to continue from the newest checkpoint in the work_dir.
        amp: True for bfloat16 autocast, on CPU or CUDA.
        tensorboard: True to log to TensorBoard too (extra: tensorboard).
        launcher: launcher of this training's processes: `none`, `pytorch` (torchrun), `slurm` or `mpi`.
        verbose: True to show every line of the log; its file always has them.

    Returns:
        The runner after the training: `runner.model`, `runner.work_dir`.

    Raises:
        VLFusionError: anything that would stop the training later: missing data or text, a wrong text width, unknown
            names. Raised before training begins.
    """
    config = _copy(config)
    config.launcher = launcher
    if work_dir:
        config.work_dir = str(work_dir)
    if resume:
        config.resume = True
    if amp:
        config.optim_wrapper.type = 'BFloat16OptimWrapper'
    if tensorboard:
        config.visualizer.vis_backends.append(dict(type='TensorboardVisBackend'))
    runner = build_runner(config, 'train', verbose)
    runner.train()
    return runner


def test(config: str | os.PathLike | Config, checkpoint: str | os.PathLike | None = None, *,
         out: str | os.PathLike | None = None, protocol: str | None = None, chroma: str | None = None,
         launcher: str = 'none', verbose: bool = False) -> Tested:
    """Fuse and score the test pairs of a config. Writes pictures in grey and colour, and a table with scores per pair.

        tested = vlfusion.test('film/film_ivf_sample', 'work_dirs/try/iter_100.pth')
        print(tested.rows[0]['VIF'])

    Args:
        config: file or name of a config, or a config as `load_config` returns it.
        checkpoint: the weights: a checkpoint, or anything else that `load_model` takes; None if the model has none.
        out: folder to write to; by default `WORK_DIR/test_PROTOCOL`.
        protocol: name of the conversion of outputs to grey levels; by default the config's own, or `film`.
        chroma: name of the colour rule in `CHROMA_RULES`; by default the config's own, or the task's.
        launcher: launcher of this test's processes: `none`, `pytorch` (torchrun), `slurm` or `mpi`.
        verbose: True to show every line of the log; its file always has them.

    Raises:
        VLFusionError: anything that would stop the test later. Raised before the test begins.
        CheckpointError: the weights are absent or do not fit the model.
    """
    config = _copy(config)
    located = locate(checkpoint) if checkpoint else None
    weights = located and located.file
    if located is None:
        load_weightless(config)  # raises an error if the model has weights
    elif weights is None:
        load_model(located, experiment_of(config))  # raises an error if it is another model
    config.model.pop('losses', None)  # not needed for testing
    config.launcher = launcher
    config.load_from = weights and str(weights)
    if protocol:
        config.protocol = protocol
    if chroma:
        config.chroma = chroma
    protocol = config.get('protocol', 'film')
    work_dir = config.get('work_dir') or f'work_dirs/{Path(config.filename or "unnamed").stem}'
    out = Path(out or f'{work_dir}/test_{protocol}')
    config.work_dir = str(out / 'log')  # the training's own config and logs stay as they are
    for evaluator in evaluators(config, 'test'):
        evaluator.csv = str(out / f'metrics{"_" if evaluator.get("prefix") else ""}{evaluator.get("prefix", "")}.csv')
    config.custom_hooks = [*config.get('custom_hooks', ()), dict(
        type='SaveFusedHook', task=config.get('task'), out=str(out), protocol=protocol,
        chroma=config.get('chroma'))]
    runner = build_runner(config, 'test', verbose)
    runner.test()
    return Tested(out, sorted(out.glob('metrics*.csv')), runner)


def _copy(config: str | os.PathLike | Config) -> Config:
    """Return a copy of a config that may be changed."""
    config = as_config(config)
    return config_from(config.to_dict(), config.filename)
