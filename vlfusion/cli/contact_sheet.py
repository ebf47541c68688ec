"""Draw a figure for a paper: rows of pairs, a column for each source and method, enlarged crops in coloured frames.

    vlfusion contact-sheet --source-a MRI=PET-MRI/MRI --source-b PET=PET-MRI/PET FILM=out/film CDDFuse=out/cddfuse \\
        --names 12 25 --crop 40,60,64,64 --crop 100,20,32,32 --crop 25:80,90,64,64 --out figure.pdf figure.png

The title of a column stands before the `=`; without one, it is the name of the folder. A pair with its own crops gets
only those. Words that guided the pictures stand below their row.
"""

import argparse

from vlfusion.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_reading
    from vlfusion.guards.ranges import COUNT, POSITIVE, WHOLE
    parser.add_argument('methods', nargs='*', metavar='[TITLE=]DIR',
                        help="folder of fused images, or a pattern such as 'FILM=out/{name}_fused.*'")
    parser.add_argument('--source-a', required=True, metavar='[TITLE=]DIR', help='folder or pattern of source A')
    parser.add_argument('--source-b', required=True, metavar='[TITLE=]DIR', help='folder or pattern of source B')
    add_reading(parser)
    parser.add_argument('--names', nargs='+', metavar='NAME', help='pairs to show, in this order (default: all)')
    parser.add_argument('--crop', dest='crops', action='append', default=[], metavar='[NAME:]X,Y,WIDTH,HEIGHT',
                        help='rectangle to enlarge, in pixels, in every row or in that of a pair; up to seven')
    parser.add_argument('--inset', choices=('below', 'inside'), default='below',
                        help='place of crops: below the pictures (default) or inside, in their corners')
    parser.add_argument('--interpolation', default='nearest',
                        help='interpolation of enlarged crops: nearest (default), linear, cubic or lanczos')
    parser.add_argument('--row-labels', nargs='*', metavar='TEXT', help='write the names at the left, or these texts')
    parser.add_argument('--texts', metavar='DIR',
                        help="write the text of DIR/NAME.txt below each row; or a pattern such as 'words/{name}.md'")
    parser.add_argument('--words', type=WHOLE, default=2, metavar='LINES',
                        help='most lines of each text that guided a picture; these stand below the row if the record '
                             'fused.json beside the picture has them, see `fuse --describe`; 0 for none '
                             '(default: %(default)s)')
    parser.add_argument('--width', type=POSITIVE, default=7.16, metavar='INCHES',
                        help='width of the figure (default: %(default)s, two columns of IEEE; one column is 3.5)')
    parser.add_argument('--dpi', type=COUNT, default=300,
                        help='resolution of a PNG file, and of enlarged crops (default: %(default)s)')
    parser.add_argument('--out', nargs='+', required=True, metavar='FILE', help='files to write: .pdf, .png, .svg')


def run(args: argparse.Namespace) -> int:
    import sys
    from functools import partial

    from vlfusion.analysis.contact_sheet import (
        check_options,
        check_sheet,
        contact_sheet,
        find_rows,
        parse_crop,
        read_texts,
        write_sheet,
    )
    from vlfusion.cli.options import reading_keys
    from vlfusion.guards.outputs import check_outputs
    from vlfusion.imaging.reading.rule import readings_of
    check_options(args.inset, args.interpolation, args.width, args.dpi)
    for path in args.out:
        check_sheet(path)
    columns = _columns(args)
    rules = dict(zip(columns, readings_of(reading_keys(args)), strict=False))
    files = find_rows(columns, args.names, rules)
    texts = read_texts(args.texts, files) if args.texts else None
    check_outputs(args.out, [path for row in files.values() for path in row])
    labels = False if args.row_labels is None else args.row_labels or True
    figure = contact_sheet(columns, args.names, [parse_crop(crop) for crop in args.crops], inset=args.inset,
                           interpolation=args.interpolation, width=args.width, row_labels=labels, dpi=args.dpi,
                           readings=rules, texts=texts, words=args.words, note=partial(print, file=sys.stderr))
    for path in args.out:
        write_sheet(figure, path, args.dpi)
    width, height = figure.get_size_inches()
    print(f'Wrote {", ".join(args.out)}: {width:g} x {height:.2f} inches.')
    return 0


def _columns(args: argparse.Namespace) -> dict[str, str]:
    """The folder of each column by its title."""
    from pathlib import Path

    columns: dict[str, str] = {}
    for argument in (args.source_a, args.source_b, *args.methods):
        title, _, folder = argument.rpartition('=')
        if (title := title or Path(folder).name) in columns:
            raise ConfigError(f'Two columns have the title {title!r}.', f'Give one another title: TITLE={folder}')
        columns[title] = folder
    return columns
