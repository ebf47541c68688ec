"""The command `python -m vlfusion_textif effect CONFIG [CHECKPOINT]`."""

import argparse
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    from vlfusion.errors import VLFusionError
    parser = argparse.ArgumentParser(prog='python -m vlfusion_textif')
    effect = parser.add_subparsers(required=True).add_parser(
        'effect', help='measure how much the instruction changes the fused test pairs of a config')
    effect.add_argument('config', help='config with sentences about each degradation as `instructions`')
    effect.add_argument('checkpoint', nargs='?', help='trained weights (default: the untrained network)')
    effect.add_argument('--pairs', type=int, default=10, help='number of test pairs (default: %(default)s)')
    effect.add_argument('--crop', type=int, default=96, help='side of the central crop (default: %(default)s)')
    args = parser.parse_args(arguments)
    try:
        _effect(args)
    except VLFusionError as error:
        parser.exit(2, f'{error}\n')
    return 0


def _effect(args: argparse.Namespace) -> None:
    import torch

    from vlfusion.config import load_config
    from vlfusion.data.degrading import read_instructions
    from vlfusion.engine.runner import build_runner
    from vlfusion.imaging.images import luminance, read_image
    from vlfusion_textif.degradations import DEGRADATIONS
    from vlfusion_textif.effect import COLUMNS, text_effect
    config = load_config(args.config)
    config.log_level = 'ERROR'
    features = read_instructions(config.get('language', {}), config.get('instructions', {}), DEGRADATIONS)
    runner = build_runner(config, 'test')
    if args.checkpoint:
        runner.load_checkpoint(args.checkpoint)
    pairs = []
    for pair in runner.test_dataloader.dataset.pairs[:args.pairs]:
        planes = [torch.from_numpy(luminance(read_image(*source)))[None] for source in pair.sources]
        top, left = ((length - args.crop) // 2 for length in planes[0].shape[1:])
        pairs.append(tuple(plane[:, max(top, 0):, max(left, 0):][:, :args.crop, :args.crop] for plane in planes))
    table = text_effect(runner.model.backbone.cpu().eval(), pairs, features)
    print('\n'.join(f'{name:<12}{meaning}' for name, meaning in COLUMNS.items()))
    print(f'\n{"degradation":<24}' + ''.join(f'{name:>12}' for name in COLUMNS))
    for kind, values in table.items():
        print(f'{kind:<24}' + ''.join(f'{value:>12.2f}' for value in values.values()))


if __name__ == '__main__':
    raise SystemExit(main())
