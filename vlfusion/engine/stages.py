"""The two stages of an experiment as functions: train a model, and test one."""

import os
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from vlfusion.config import as_config
from vlfusion.engine.checkpoints import load_weightless
from vlfusion.engine.runner import FusionRunner, build_runner, evaluators
from vlfusion.evaluation.rows import Row, read_csv
from vlfusion.files import require_checkpoint


@dataclass(frozen=True)
class Tested:
    """Result of `test`.

    Attributes:
        out: the folder that holds `grey/`, `colour/`, `sheet.png` and the tables.
        tables: the CSV files of scores, one line for each image.
        runner: MMEngine's runner, after its work.
    """

    out: Path
    tables: list[Path]
    runner: FusionRunner

    @property
    def rows(self) -> list[Row]:
        """The scores of each image: `name`, `protocol` and a number for each metric, of all tables in turn."""
        return [row for table in self.tables for row in read_csv(table)]


def train(config: str | os.PathLike | Config, *, work_dir: str | os.PathLike | None = None, resume: bool = False,
          amp: bool = False, tensorboard: bool = False, launcher: str = 'none', verbose: bool = False) -> FusionRunner:
    """Train a model as a config says, with validation, checkpoints and logs in its work_dir.

        config = vlfusion.load_config('film/film_ivf_sample', {'train_cfg.max_iters': 100})
        runner = vlfusion.train(config, work_dir='work_dirs/try')

    Args:
        config: a file, or what `load_config` returns.
        work_dir: where checkpoints and logs go; by default the config's own, else `work_dirs/<config name>`.
        resume: go on from the newest checkpoint in the work_dir.
        amp: bfloat16 autocast, on CPU or CUDA.
        tensorboard: also log to TensorBoard (extra: tensorboard).
        launcher: how the processes of this training were started: `none`, `pytorch` (torchrun), `slurm` or `mpi`.
        verbose: show every line of the log; its file has them anyway.

    Returns:
        The runner after its work: `runner.model`, `runner.work_dir`.

    Raises:
        VLFusionError: anything that would stop the training later, before it begins: missing data or text, a wrong
            text width, unknown names.
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
    """Fuse and score the test pairs of a config: pictures in grey and colour, and a table of numbers per image.

        tested = vlfusion.test('film/film_ivf_sample', 'work_dirs/try/iter_100.pth')
        print(tested.rows[0]['VIF'])

    Args:
        config: a file, or what `load_config` returns.
        checkpoint: the weights; None where the model has none.
        out: the folder to write to; by default `WORK_DIR/test_PROTOCOL`.
        protocol: how outputs become grey levels; by default the config's own, else `film`.
        chroma: where the colour comes from: a name in `CHROMA_RULES`; by default the task's.
        launcher: how the processes of this test were started: `none`, `pytorch` (torchrun), `slurm` or `mpi`.
        verbose: show every line of the log; its file has them anyway.

    Raises:
        VLFusionError: anything that would stop the test later, before it begins.
        CheckpointError: the weights are absent or do not fit the model.
    """
    config = _copy(config)
    if checkpoint:
        require_checkpoint(checkpoint)
    else:
        load_weightless(config)  # raises where weights are wanted
    config.model.pop('losses', None)  # testing needs neither them nor what they need
    config.launcher = launcher
    config.load_from = checkpoint and str(checkpoint)
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
    """A config that may be changed."""
    config = as_config(config)
    return Config(config.to_dict(), filename=config.filename)
