"""List every registered name, the registry it is in, and the package that brought it; then the plugins found."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('registry', nargs='?', help="only this registry, such as 'backbone'")
    parser.add_argument('--all', action='store_true', help="also MMEngine's and mmcv's own entries")


def run(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from vlfusion import plugins
    from vlfusion.errors import UnknownNameError, did_you_mean
    from vlfusion.registry import REGISTRIES, snapshot

    if args.registry and args.registry not in REGISTRIES:
        raise UnknownNameError(f'No registry is called {args.registry!r}.', did_you_mean(args.registry, REGISTRIES))
    plugins.load_all(snapshot)
    table = Table('registry', 'name', 'from', box=None)
    for name, registry in REGISTRIES.items():
        if args.registry not in (None, name):
            continue
        entries = {key: registry.get(key) for key in registry.names()}
        if args.all and registry.parent is not None:
            entries |= registry.parent.module_dict
        for key, entry in sorted(entries.items()):
            table.add_row(name, key, plugins.origin(entry))
    console = Console(width=None if Console().is_terminal else 160)
    console.print(table)
    for plugin in plugins.found():
        console.print(f'plugin {plugin.entry.name}: {plugin.status} ({plugin.distribution}, {plugin.entry.value})',
                      plugin.explain(), highlight=False, markup=False)
    return 0
