"""Fuse the test pairs of a config with a checkpoint: pictures in grey and colour, and a table of numbers per image."""

import argparse

HELP = 'test a checkpoint: fused pictures and a table of numbers'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_config, add_launcher
    add_config(parser)
    parser.add_argument('checkpoint', help='a checkpoint of vlfusion; convert released ones with convert-weights')
    parser.add_argument('--out', help='folder for grey/, colour/, sheet.png and metrics.csv (default: WORK_DIR/test)')
    parser.add_argument('--protocol', help="how outputs become grey levels, such as 'film' or 'plain'")
    add_launcher(parser)


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from vlfusion.config import load_config
    config = load_config(args.config, args.cfg_options)
    config.launcher = args.launcher
    config.load_from = args.checkpoint
    if args.protocol:
        config.protocol = args.protocol
    work_dir = config.get('work_dir') or f'work_dirs/{Path(args.config).stem}'
    out = Path(args.out or f'{work_dir}/test')
    protocol = config.get('protocol', 'film')
    config.test_evaluator.update(protocol=protocol, csv=str(out / 'metrics.csv'))
    config.setdefault('custom_hooks', []).append(
        dict(type='SaveFusedHook', task=config.task, out=str(out), protocol=protocol))

    from rich.console import Console

    from vlfusion.evaluation.scores import read_csv, summary_table
    from vlfusion.runner import build_runner
    runner = build_runner(config, 'test')
    runner.test()
    if runner.rank == 0:
        Console().print(summary_table(read_csv(out / 'metrics.csv')))
        print(f'Fused images:  {out}/grey and {out}/colour\n'
              f'Contact sheet: {out}/sheet.png\n'
              f'Per image:     {out}/metrics.csv')
    return 0
