"""python -m vlfusion_textif encode|effect CONFIG ..."""

import argparse
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    from vlfusion.errors import VLFusionError
    parser = argparse.ArgumentParser(prog='python -m vlfusion_textif')
    verbs = parser.add_subparsers(required=True)
    encode = verbs.add_parser('encode', help="write the file of instructions that a config's text_source names")
    encode.add_argument('config')
    encode.add_argument('--say', metavar='SENTENCE', help='encode this sentence alone, for `vlfusion fuse --text`')
    encode.add_argument('--out', metavar='FILE.npy', help='where to write the features of --say')
    encode.set_defaults(act=_encode)
    effect = verbs.add_parser('effect', help="how far another instruction moves what a config's test pairs become")
    effect.add_argument('config')
    effect.add_argument('checkpoint', nargs='?', help='without it, the network as it is before training')
    effect.add_argument('--pairs', type=int, default=10, help='so many of the test pairs (default: %(default)s)')
    effect.add_argument('--crop', type=int, default=96, help='side of the middle window (default: %(default)s)')
    effect.set_defaults(act=_effect)
    args = parser.parse_args(arguments)
    try:
        args.act(args)
    except VLFusionError as error:
        parser.exit(2, f'{error}\n')
    return 0


def _encode(args: argparse.Namespace) -> None:
    import numpy as np

    from vlfusion.config import load_config
    from vlfusion.errors import ConfigError
    from vlfusion_textif.instructions import encode, write
    if bool(args.say) != bool(args.out):
        raise ConfigError('--say and --out go together.', 'Give both or neither.')
    source = load_config(args.config).get('text_source') or {}
    if not {'instructions', 'encoder'} <= source.keys():
        raise ConfigError(f'{args.config} does not say which file to write and with which encoder.',
                          "Set text_source=dict(instructions='data/text/it.safetensors', encoder=dict(type=...)).")
    if args.say:
        np.save(args.out, encode(source['encoder'], [args.say])[0])
    else:
        write(source['instructions'], dict(source['encoder']))
    print(f'Wrote {args.out or source["instructions"]}.')


def _effect(args: argparse.Namespace) -> None:
    import torch

    from vlfusion.config import load_config
    from vlfusion.images import luminance, read_image
    from vlfusion.runner import build_runner
    from vlfusion_textif.effect import COLUMNS, text_effect
    config = load_config(args.config)
    config.log_level = 'ERROR'
    runner = build_runner(config, 'test')
    if args.checkpoint:
        runner.load_checkpoint(args.checkpoint)
    dataset = runner.test_dataloader.dataset
    pairs = []
    for pair in dataset.pairs[:args.pairs]:
        planes = [torch.from_numpy(luminance(read_image(path)))[None] for path in (pair.path_a, pair.path_b)]
        top, left = ((length - args.crop) // 2 for length in planes[0].shape[1:])
        pairs.append(tuple(plane[:, max(top, 0):, max(left, 0):][:, :args.crop, :args.crop] for plane in planes))
    table = text_effect(runner.model.backbone.cpu().eval(), pairs, dataset.text_source)
    print('\n'.join(f'{name:<12}{meaning}' for name, meaning in COLUMNS.items()))
    print(f'\n{"degradation":<24}' + ''.join(f'{name:>12}' for name in COLUMNS))
    for kind, values in table.items():
        print(f'{kind:<24}' + ''.join(f'{value:>12.2f}' for value in values.values()))


if __name__ == '__main__':
    raise SystemExit(main())
