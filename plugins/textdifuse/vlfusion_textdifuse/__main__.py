"""The command `python -m vlfusion_textdifuse masks IR/ VI/ -o masks/ --words people,car --detector MODEL`."""

import argparse
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    from vlfusion.errors import VLFusionError
    parser = argparse.ArgumentParser(prog='python -m vlfusion_textdifuse')
    masks = parser.add_subparsers(required=True).add_parser(
        'masks', help='write a mask of the things that words name, for each pair of two folders')
    masks.add_argument('source_a', help='folder or pattern of source A')
    masks.add_argument('source_b', help='folder or pattern of source B')
    masks.add_argument('-o', '--out', required=True, help='folder for the masks')
    masks.add_argument('--words', required=True, help='things to find, such as people,car,bike')
    masks.add_argument('--detector', required=True, help='folder or hub id, such as google/owlvit-base-patch32')
    masks.add_argument('--segmenter', help='folder or hub id of SAM, such as facebook/sam-vit-huge (default: none, '
                                           'which fills the boxes)')
    masks.add_argument('--device', default='auto', help='cpu, cuda or auto (default: %(default)s)')
    args = parser.parse_args(arguments)
    try:
        _masks(args)
    except VLFusionError as error:
        parser.exit(2, f'{error}\n')
    return 0


def _masks(args: argparse.Namespace) -> None:
    from pathlib import Path

    import numpy as np

    from vlfusion.console.progress import track
    from vlfusion.data import find_pairs
    from vlfusion.imaging.images import read_image, write_image
    from vlfusion_textdifuse.masks import WordMasks
    pairs = find_pairs('.', args.source_a, args.source_b)
    find = WordMasks(args.words.split(','), args.detector, args.segmenter, device=args.device)
    empty = 0
    for pair in track(pairs, 'masks'):
        mask = find(*(read_image(*source) for source in pair.sources))
        empty += not mask.any()
        write_image(Path(args.out) / f'{pair.name}.png', mask.astype(np.uint8) * 255)
    print(f'{len(pairs)} masks in {args.out}, of which {empty} are empty.')


if __name__ == '__main__':
    raise SystemExit(main())
