"""Compare a folder of fused images with the numbers of a paper, and look for conventions that explain a gap.

    vlfusion reproduce film --dataset Lytro --fused out/film
    vlfusion reproduce cddfuse --dataset TNO --fused out/cddfuse --source-a TNO/ir --source-b TNO/vi
    vlfusion reproduce CDDFuse_MIF --dataset MRI-CT --fused out/ct --source-a MRI --source-b CT --out ct.json
    vlfusion reproduce --list

The images are scored under the protocol of the paper. Scores outside the tolerance are computed again under other
conventions: each variant of the metric, files stretched, luminance not rounded, colour channels averaged.
"""

import argparse

from vlfusion.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_reading
    from vlfusion.cli.tables import add_json
    parser.add_argument('method', nargs='?', help='film, cddfuse, or any other row of a published table')
    parser.add_argument('--dataset', metavar='NAME', help="the paper's name of the data set, such as Lytro or MRI-CT")
    parser.add_argument('--fused', metavar='DIR', help="folder of fused images, or a pattern such as 'out/{name}.*'")
    parser.add_argument('--source-a', metavar='DIR', help='folder or pattern of source A '
                        '(default: the test pairs of the config _base_/datasets/NAME)')
    parser.add_argument('--source-b', metavar='DIR', help='folder or pattern of source B (same default)')
    add_reading(parser)
    parser.add_argument('--data-root', metavar='DIR', help="folder of that config's data")
    parser.add_argument('--names', nargs='+', metavar='NAME', help='use these pairs only, such as PET-MRI/25015')
    parser.add_argument('--method', dest='row', metavar='ROW', help="another row of that paper: 'film --method SDN'")
    parser.add_argument('--paper', help="paper with the tables, if several have the method: 'film' or 'cddfuse'")
    parser.add_argument('--published', metavar='FILE.csv', help='other published numbers: '
                        'paper,table,dataset,method,metric,value')
    parser.add_argument('--protocol', help='protocol of the scores (default: the protocol named like the paper)')
    parser.add_argument('--out', metavar='FILE.json', help='file to write all results to')
    parser.add_argument('--list', action='store_true', help='list the published tables, and do nothing else')
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from functools import partial

    from vlfusion.analysis.published import published, read_published
    from vlfusion.cli.tables import open_console, print_json
    from vlfusion.guards.outputs import check_outputs

    console = open_console(160)
    if args.list:
        rows = read_published(args.published)
        print_json(_tables(rows)) if args.json else console.print(_overview(rows))
        return 0
    if lacking := [name for name in ('method', 'dataset', 'fused') if not getattr(args, name)]:
        raise ConfigError(f'There is no {" and no ".join(lacking)}.', 'Write for example: vlfusion reproduce film '
                          '--dataset Lytro --fused out/film. --list shows the published tables.')
    if args.out and not args.out.endswith('.json'):
        raise ConfigError(f'Expected a file that ends in .json, but got {args.out}.', 'Choose another file.')
    check_outputs([args.out] if args.out else [], [args.fused, args.published])
    paper, method = (args.paper or args.method, args.row) if args.row else (args.paper, args.method)
    rows = published(paper, args.dataset, method, args.published)

    from vlfusion.analysis.reproduce import compare_folder
    from vlfusion.cli.options import reading_keys
    from vlfusion.console.progress import ShowProgress
    with ShowProgress() as show:
        reproduction = compare_folder(rows, args.fused, source_a=args.source_a, source_b=args.source_b,
                                      reading=reading_keys(args), data_root=args.data_root, names=args.names,
                                      protocol=args.protocol, progress=partial(show, 'scoring'))
    if args.out:
        reproduction.write(args.out)
    if args.json:
        print_json(reproduction.record())
        return 0
    for table in reproduction.tables():
        console.print(table)
    for remark in reproduction.remarks():
        print(remark)
    if args.out:
        print(f'Wrote {args.out}.')
    return 0


def _tables(rows):
    from vlfusion.analysis.published import PAIRS, overview
    return [dict(paper=paper, table=where, dataset=dataset, pairs=PAIRS.get((paper, dataset)), methods=methods)
            for paper, where, dataset, methods in overview(rows)]


def _overview(rows):
    from rich.table import Table

    table = Table('paper', 'table', 'data set', 'pairs', 'methods', box=None)
    for row in _tables(rows):
        table.add_row(row['paper'], row['table'], row['dataset'], str(row['pairs'] or 'not stated'),
                      ', '.join(row['methods']))
    return table
