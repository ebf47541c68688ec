"""Check an installed plugin: that it loads, that each of its names is documented and can be built, and that each
backbone, loss, metric, captioner, LLM or encoder meets the requirements of vlfusion.

    vlfusion check-plugin cddfuse
    vlfusion check-plugin my_fusion --options dim=8 text_dim.text_a=512
    vlfusion check-plugin my_fusion --only MyFusionNet
    vlfusion check-plugin my_fusion --size 64 96
    vlfusion check-plugin --import my_metrics

The exit code is 1 if a check fails. Some methods cannot be compiled, exported or run in bfloat16; this is printed, but
it is not a failure.
"""

import argparse

from vlfusion.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.key_values import KeyValues
    from vlfusion.cli.options import add_imports
    from vlfusion.cli.tables import add_json
    from vlfusion.guards.ranges import COUNT
    parser.add_argument('name', nargs='?', help='the plugin: its entry point, import package or distribution; see '
                                                '`vlfusion list plugins` (default: the modules of --import)')
    add_imports(parser, 'the entries to check')
    parser.add_argument('--only', nargs='+', metavar='ENTRY', help='check these entries only')
    parser.add_argument('--options', nargs='+', action=KeyValues, metavar='KEY=VALUE', default={},
                        help='arguments for entries that have them, such as dim=8')
    parser.add_argument('--size', nargs=2, type=COUNT, default=(20, 28), metavar=('HEIGHT', 'WIDTH'),
                        help='size of the test images, for networks that need certain multiples (default: 20 28)')
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from vlfusion import plugins
    if bool(args.name) == bool(args.modules):
        raise ConfigError('Expected either a plugin or --import.',
                          'Name an installed plugin, or modules of your own with --import.')
    if args.name:
        plugins.named(args.name)  # unknown names are refused before torch is imported

    from rich.table import Table

    from vlfusion.cli.options import import_modules
    from vlfusion.cli.tables import open_console, print_json
    from vlfusion.guards.cells import terminal_cell
    from vlfusion.testing.plugins import find_plugin, required, survey

    import_modules(args.modules)
    if args.name:
        plugin = find_plugin(args.name)
        packages = [plugin.package]
        title = f'plugin {plugin.entry.name}: {plugin.status} ({plugin.distribution}, {plugin.entry.value})'
    else:
        packages = list(dict.fromkeys(module.partition('.')[0] for module in args.modules))
        title = f'modules {", ".join(args.modules)}'
    entries = survey(packages, only=args.only or (), options=nested(args.options), size=tuple(args.size))
    if args.json:
        checks = [dict(registry=registry.name, name=name, check=outcome.check, holds=outcome.holds,
                       detail=outcome.detail, required=required(outcome))
                  for registry, name, outcomes in entries for outcome in outcomes]
        print_json(dict(title=title, checks=checks))
        return int(any(check['holds'] is False and check['required'] for check in checks))
    console = open_console(160)
    console.print(title, highlight=False, markup=False)
    table, failed = Table('registry', 'name', 'check', '', '', box=None), 0
    for registry, name, outcomes in entries:
        for row, outcome in enumerate(outcomes):
            fails = outcome.holds is False and required(outcome)
            failed += fails
            word = {True: 'holds', None: '-', False: 'FAILS' if fails else 'no'}[outcome.holds]
            heads = ('', '') if row else (registry.name, name.rpartition('.')[2])
            table.add_row(*heads, outcome.check, word, terminal_cell(outcome.detail))
    console.print(table)
    print(f'{failed} check{"s fail" if failed > 1 else " fails"}.' if failed else 'Nothing fails.')
    return 1 if failed else 0


def nested(options: dict) -> dict:
    """Turn options with dotted keys into dicts: `text_dim.text_a=8` becomes `text_dim=dict(text_a=8)`."""
    from mmengine.config import Config
    config = Config()
    config.merge_from_dict(options)
    return config.to_dict()
