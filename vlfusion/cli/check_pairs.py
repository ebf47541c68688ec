"""Check whether pairs are registered: shift, rotation and scale of source B against source A, with a confidence.

    vlfusion check-pairs ir.png vi.png
    vlfusion check-pairs IR/ VI/ --out checked/
    vlfusion check-pairs MRI/ CT/ --motion rigid
    vlfusion check-pairs IR/ VI/ --fit resize --register homography --out checked/

--out gets alignment.csv and a picture of each pair, with source A in red and source B in cyan. With --register it also
gets source B on the pixels of source A, where the movement is certain. The exit code is 1 unless all pairs are aligned.
"""

import argparse
import sys

from vlfusion.errors import ConfigError, listing, printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_fit, add_reading
    from vlfusion.cli.tables import add_json
    from vlfusion.imaging.registration.alignment import MOTIONS
    parser.add_argument('source_a', help='image, folder, or pattern: the source that stays where it is')
    parser.add_argument('source_b', help='image, folder, or pattern: the source whose movement is measured')
    parser.add_argument('--names', nargs='+', metavar='NAME',
                        help='check these pairs only; or a text file with a name on each line')
    parser.add_argument('--motion', choices=MOTIONS, help='movement to look for (default: similarity; rigid for '
                                                          'images on one grid, such as slices of volumes)')
    add_fit(parser, 'look for this movement, and write source B moved onto source A; needs --out')
    add_reading(parser)
    parser.add_argument('--out', metavar='DIR', help='folder for the table and the pictures')
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from vlfusion.cli.options import reading_keys
    from vlfusion.cli.tables import open_console, print_json, print_table
    from vlfusion.console.progress import ShowProgress
    from vlfusion.inference.check_pairs import check_pairs
    if args.register and args.motion:
        raise ConfigError('--register and --motion both name a movement.', 'Leave --motion out.')
    with ShowProgress() as show:
        checks = check_pairs(args.source_a, args.source_b, args.out, names=args.names, reading=reading_keys(args),
                             motion=args.register or args.motion or 'similarity', register=bool(args.register),
                             fit=args.fit or 'refuse', show=show)
    counts = checks.verdicts
    code = 0 if counts['aligned'] == len(checks.alignments) + len(checks.failed) else 1
    if args.json:
        print_json(checks.facts())
        return code
    print_table(open_console(), ('pair', 'verdict', 'confidence', 'offset', 'shift', 'rotation', 'scale', 'uncertainty',
                                 'local shift', 'registered'),
                [(name, each.verdict, each.confidence, f'{each.offset:.1f}', '{:.1f}, {:.1f}'.format(*each.shift),
                  f'{each.rotation:.2f}', f'{each.scale:.3f}', f'{each.uncertainty:.1f}', *map(_number, each.residual))
                 for name, each in checks.alignments.items()], whole=('pair',), details=('local shift', 'registered'))
    print(f'{len(checks.alignments)} pairs: {counts["aligned"]} aligned, {counts["misaligned"]} misaligned, '
          f'{counts["unsure"]} unsure. Lengths are in pixels, rotations in degrees.')
    if checks.common_shift:
        print('The misaligned pairs share a shift of {:.1f}, {:.1f}, as those of one rig do.'.format(
            *checks.common_shift))
    if args.out:
        print(printable(f'Wrote {args.out}.'))
    if checks.failed:
        problems = [f'{error.problem} {error.remedy}' for error in checks.failed.values()]
        print(f'{len(problems)} pairs could not be compared:\n{listing(problems, len(problems))}', file=sys.stderr)
    return code


def _number(value: float) -> str:
    return '-' if value != value else f'{value:.1f}'
