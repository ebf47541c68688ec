"""Measure the time that MMEngine's Runner adds to a training step of FILM: hooks, logging, data loading.

    python performance/runner.py --threads 2

The same model takes the same number of steps in a bare loop and under the runner, in turns. The difference per step is
compared with one step of FILM at its real guidance grid.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from mmengine.config import Config
from torch.utils.data import default_collate

from vlfusion.data import PairDataset
from vlfusion.data.sample import make_sample
from vlfusion.engine.runner import build_runner
from vlfusion.models import FusionModel
from vlfusion.registry import BACKBONES

LOSSES = [dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=20.0)]
PIPELINE = [dict(type='LoadPair'), dict(type='PackPair')]


@BACKBONES.register_module()
class Step(torch.nn.Module):
    """A network of one parameter with almost no work, so that the remaining time is the runner's."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, source_a, source_b):
        return self.weight * source_a + (1 - self.weight) * source_b


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--steps', type=int, default=200)
    parser.add_argument('--repeats', type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        make_sample(f'{folder}/sample', count=12, size=64)
        data = dict(type='PairDataset', task='mif', data_root=f'{folder}/sample/mif', source_a='train/MRI',
                    source_b='train/PET', pipeline=PIPELINE)
        bare, runner = [], []
        for _ in range(args.repeats):
            bare.append(_bare_loop(data, args.steps) / args.steps)
            runner.append(_under_runner(data, args.steps, Path(folder) / 'work') / args.steps)
    overhead = median(runner) - median(bare)
    film = _film_step()
    print(f'per step of 2 pairs, {args.threads} threads: bare loop {median(bare) * 1e3:.2f} ms, '
          f'under the runner {median(runner) * 1e3:.2f} ms, difference {overhead * 1e3:.2f} ms')
    print(f'one step of FILM, 2 crops of 64x64, 128 tokens: {film:.2f} s; the runner adds {overhead / film:.3%}')


def _bare_loop(data: dict, steps: int) -> float:
    dataset = PairDataset(**{key: value for key, value in data.items() if key != 'type'})
    model = FusionModel(dict(type='Step'), LOSSES)
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    start = time.perf_counter()
    for step in range(steps):
        batch = default_collate([dataset[(2 * step + i) % len(dataset)] for i in range(2)])
        adam.zero_grad()
        model(**batch, mode='loss')['loss'].backward()
        adam.step()
    return time.perf_counter() - start


def _under_runner(data: dict, steps: int, work_dir: Path) -> float:
    config = Config.fromfile(Path(__file__).parents[1] / 'configs/_base_/runtime.py', lazy_import=False)
    config.merge_from_dict(dict(
        work_dir=str(work_dir), log_level='ERROR', task='mif',
        model=dict(type='FusionModel', backbone=dict(type='Step'), losses=LOSSES),
        train_dataloader=dict(batch_size=2, num_workers=0, sampler=dict(type='EpochSampler'), dataset=data),
        train_cfg=dict(type='ResumableTrainLoop', max_iters=steps),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))))
    config.update(val_cfg=None, val_evaluator=None)
    config.default_hooks.checkpoint.interval = steps + 1
    config.default_hooks.checkpoint.save_last = False
    runner = build_runner(config, 'train')
    start = time.perf_counter()
    runner.train()
    return time.perf_counter() - start


def _film_step() -> float:
    model = FusionModel(dict(type='FILM', text_dim=384), LOSSES)
    batch = dict(source_a=torch.rand(2, 1, 64, 64), source_b=torch.rand(2, 1, 64, 64), text=torch.randn(2, 128, 384))
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        model(**batch, mode='loss')['loss'].backward()
        seconds.append(time.perf_counter() - start)
    return median(seconds)


if __name__ == '__main__':
    main()
