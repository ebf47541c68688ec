"""List the names that a config or a command line can use, with a line on each.

    vlfusion list                    # all registered names by kind, and the plugins
    vlfusion list backbones          # one kind: captioners, llms, text encoders, losses, metrics, datasets ...
    vlfusion list configs mif        # configs with a word in their name or description
    vlfusion list prompts            # also protocols, tasks, plugins
    vlfusion list ssim               # entries of all kinds with a word
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_imports
    from vlfusion.cli.tables import add_json
    parser.add_argument('words', nargs='*', metavar='KIND | WORD',
                        help='a kind, such as backbones, configs or prompts; then words that an entry must have')
    parser.add_argument('--all', action='store_true', help="also MMEngine's and mmcv's own entries")
    add_imports(parser, 'more')
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from rich.table import Table

    from vlfusion import plugins
    from vlfusion.catalogue import OTHERS, find_entries
    from vlfusion.cli.options import import_modules
    from vlfusion.cli.tables import open_console, print_json
    from vlfusion.guards.cells import terminal_cell

    import_modules(args.modules)
    groups = find_entries(args.words, args.all)
    if args.json:
        print_json({kind: [entry._asdict() for entry in entries] for kind, entries in groups.items()})
        return 0
    console = open_console()
    for kind, entries in groups.items():
        console.print(f'[bold]{kind}[/bold] ({len(entries)})', highlight=False)
        table = Table(box=None, show_header=False, padding=(0, 0, 0, 2))
        table.add_column(no_wrap=True)
        for entry in entries:
            package = [terminal_cell(entry.package)] if console.width >= 120 else []
            table.add_row(*map(terminal_cell, entry[:2]), *package)
        console.print(table)
    if 'plugin' not in groups:
        for plugin in plugins.found():  # plugins that failed to load are explained
            if plugin.explain():
                console.print(f'plugin {plugin.entry.name}: {plugin.status} ({plugin.distribution}, '
                              f'{plugin.entry.value})', plugin.explain(), highlight=False, markup=False)
    if not args.words:
        others = ', '.join(f'{kind}s' for kind in OTHERS if kind != 'plugin')
        console.print(f'vlfusion list KIND shows one kind, also {others}; vlfusion list WORD shows entries with the '
                      'word.', highlight=False)
    return 0
