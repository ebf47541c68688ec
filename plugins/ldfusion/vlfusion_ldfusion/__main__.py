"""The command `python -m vlfusion_ldfusion cut IR VI OUT`: views of pairs, to be described and trained on."""

import argparse
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    from vlfusion.errors import VLFusionError
    parser = argparse.ArgumentParser(prog='python -m vlfusion_ldfusion')
    cut = parser.add_subparsers(required=True).add_parser('cut', help='cut pairs into views, as AutoFuse trains on')
    cut.add_argument('source_a', type=Path, help='folder of the infrared images')
    cut.add_argument('source_b', type=Path, help='folder of the visible images')
    cut.add_argument('out', type=Path, help='folder for ir/ and vi/')
    cut.add_argument('--views', type=int, default=30, help='views of each pair (default: %(default)s)')
    cut.add_argument('--side', type=int, default=336, help='side of a view in pixels (default: %(default)s)')
    cut.add_argument('--seed', type=int, default=0, help='seed of the random views (default: %(default)s)')
    args = parser.parse_args(arguments)
    try:
        _cut(args)
    except VLFusionError as error:
        parser.exit(2, f'{error}\n')
    return 0


def _cut(args: argparse.Namespace) -> None:
    from vlfusion.data.dataset import numpy_seed
    from vlfusion.data.pairs import find_pairs
    from vlfusion_ldfusion.transforms import cut_views
    pairs = find_pairs(Path(), str(args.source_a.absolute()), str(args.source_b.absolute()))
    with numpy_seed(args.seed):
        written = sum(cut_views(pair, args.out, args.views, args.side) for pair in pairs)
    print(f'{written} views of {len(pairs)} pairs in {args.out}')


if __name__ == '__main__':
    raise SystemExit(main())
