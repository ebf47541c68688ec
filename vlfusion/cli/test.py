"""Fuse the test pairs of a config with a checkpoint: pictures in grey and colour, and a table of numbers per image."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_config, add_launcher, add_verbose
    from vlfusion.cli.own_data import add_own_data
    add_config(parser)
    add_own_data(parser)
    parser.add_argument('checkpoint', nargs='?', help='a checkpoint of vlfusion; convert released ones with '
                                                      'convert-weights (none where the model has no weights)')
    parser.add_argument('--out', help='folder for pictures and metrics.csv (default: WORK_DIR/test_PROTOCOL)')
    parser.add_argument('--protocol', help="how outputs become grey levels, such as 'film' or 'plain'")
    parser.add_argument('--chroma', metavar='RULE', help="where colour comes from: visible, weighted, a plugin's rule "
                                                         "(default: the config's, else the task's)")
    add_verbose(parser)
    add_launcher(parser)


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from vlfusion.cli.own_data import read_config
    from vlfusion.files import require_checkpoint
    config = read_config(args)
    if args.checkpoint:
        require_checkpoint(args.checkpoint)

    from vlfusion.engine.checkpoints import load_weightless
    from vlfusion.engine.compat import end_of_group_member
    from vlfusion.engine.runner import build_runner, evaluators
    if not args.checkpoint:
        load_weightless(config)  # raises where weights are wanted
    config.model.pop('losses', None)  # testing needs neither them nor what they need
    config.launcher = args.launcher
    config.load_from = args.checkpoint
    if args.protocol:
        config.protocol = args.protocol
    if args.chroma:
        config.chroma = args.chroma
    protocol = config.get('protocol', 'film')
    work_dir = config.get('work_dir') or f'work_dirs/{Path(args.config).stem}'
    out = Path(args.out or f'{work_dir}/test_{protocol}')
    config.work_dir = str(out / 'log')  # the training's own config and logs stay as they are
    for evaluator in evaluators(config, 'test'):
        evaluator.csv = str(out / f'metrics{"_" if evaluator.get("prefix") else ""}{evaluator.get("prefix", "")}.csv')
    config.custom_hooks = [*config.get('custom_hooks', ()), dict(
        type='SaveFusedHook', task=config.get('task'), out=str(out), protocol=protocol,
        chroma=config.get('chroma'))]

    from rich.console import Console

    from vlfusion.evaluation.rows import read_csv
    from vlfusion.evaluation.tables import summary_table
    runner = build_runner(config, 'test', args.verbose)
    runner.test()
    if runner.rank == 0:
        for path in sorted(out.glob('metrics*.csv')):
            Console().print(summary_table(read_csv(path)))
        print(f'Fused images:  {out}/grey and {out}/colour\n'
              f'Contact sheet: {out}/sheet.png\n'
              f'Per image:     {out}/metrics.csv')
    if runner.distributed:
        end_of_group_member()
    return 0
