"""List the metrics, or explain some: formula, direction, range, source, and variants of other published code.

    vlfusion metrics
    vlfusion metrics VIF MI:film
    vlfusion metrics Brightness --import my_metrics
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_imports
    from vlfusion.cli.tables import add_json
    add_imports(parser, 'metrics')
    parser.add_argument('names', nargs='*', metavar='NAME', help='metrics to explain, such as VIF or MI:film')
    form = parser.add_mutually_exclusive_group()
    form.add_argument('--markdown', action='store_true', help='print the reference page of all metrics')
    add_json(form)


def run(args: argparse.Namespace) -> int:
    from rich.table import Table

    from vlfusion.cli.options import import_modules
    from vlfusion.cli.tables import open_console, print_json
    from vlfusion.metrics.reference import every_metric, explain, facts, find_metric, reference_page, shown_name

    import_modules(args.modules)
    if args.markdown:
        print(reference_page(), end='')
        return 0
    if args.json:
        print_json([*map(facts, map(find_metric, args.names) if args.names else every_metric())])
        return 0
    if args.names:
        print('\n\n'.join(map(explain, args.names)))
        return 0
    table = Table('metric', 'better', 'over sources', 'unit', 'title', 'equals', 'variants', box=None)
    for info in (function.info for function in every_metric()):
        table.add_row(shown_name(info), info.direction, info.over, info.unit, info.title, ' '.join(info.agrees),
                      ' '.join(info.variants))
    console = open_console(200)
    console.print(table)
    console.print('\n"equals": published code that computes the same as the default. NAME:VARIANT computes the same as '
                  'other code.\nvlfusion metrics NAME explains a metric.', highlight=False)
    return 0
