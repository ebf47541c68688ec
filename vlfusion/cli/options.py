"""Arguments that several verbs share."""

import argparse

from mmengine.config import DictAction


def add_config(parser: argparse.ArgumentParser) -> None:
    """The config and its overrides."""
    parser.add_argument('config', help='config file, such as configs/film/film_med.py')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='override the config, such as train_cfg.max_iters=100 data_root=data/mine')


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """How several processes were started."""
    parser.add_argument('--launcher', choices=('none', 'pytorch', 'slurm', 'mpi'), default='none',
                        help='how the processes were started; torchrun is "pytorch"')
    parser.add_argument('--local-rank', type=int, default=0, help=argparse.SUPPRESS)
