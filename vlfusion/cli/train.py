"""Train the model of a config, with validation, checkpoints and logs in its work_dir.

    vlfusion train film/film_mif
    vlfusion train film/film_mif --words qwen-vl
    vlfusion train film-mif --source-a my/mri --source-b my/pet     # fine-tune a model that has a name
    vlfusion train --source-a my/mri --source-b my/pet --task mif   # film/film_mif_short on your own pairs
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_config, add_launcher, add_texts, add_words
    from vlfusion.cli.own_data import DEFAULT, add_own_data
    add_config(parser, 'or the name of a model to train further; without either, your own pairs are trained on with '
                       + DEFAULT.format(task='TASK'))
    add_words(parser)
    add_own_data(parser)
    add_texts(parser)
    parser.add_argument('--work-dir', help='folder for checkpoints and logs (default: work_dirs/<config name>)')
    parser.add_argument('--resume', action='store_true', help='continue from the newest checkpoint in the work_dir')
    parser.add_argument('--amp', action='store_true', help='bfloat16 autocast, on CPU or CUDA')
    parser.add_argument('--tensorboard', action='store_true', help='also log to TensorBoard (extra: tensorboard)')
    add_launcher(parser)


def run(args: argparse.Namespace) -> int:
    from vlfusion.cli.own_data import describe_for_model, read_config
    config = read_config(args, tunes=True)
    if args.source_a is not None:
        from vlfusion.data.own_folders import hold_out
        hold_out(config)
    describe_for_model(args, config)

    from vlfusion.engine.compat import end_of_group_member
    from vlfusion.engine.stages import train
    runner = train(config, work_dir=args.work_dir, resume=args.resume, amp=args.amp, tensorboard=args.tensorboard,
                   launcher=args.launcher, verbose=args.verbose)
    if runner.rank == 0:
        print(f'Checkpoints and logs are in {runner.work_dir}.')
    if runner.distributed:
        end_of_group_member()
    return 0
