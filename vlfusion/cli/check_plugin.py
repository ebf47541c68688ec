"""Print what holds of an installed plugin and what does not: that it loads, that each of its names is documented and
can be built, and that it does what vlfusion and its users ask of a backbone, loss, metric, captioner, LLM or encoder.

    vlfusion check-plugin cddfuse
    vlfusion check-plugin my_fusion --options dim=8 text_dim.text_a=512
    vlfusion check-plugin my_fusion --only MyFusionNet
    vlfusion check-plugin my_fusion --size 64 96
    vlfusion check-plugin --import my_metrics

The exit code is 1 where something fails. Not every method can be compiled, exported or run in bfloat16; that is printed
and is no failure.
"""

import argparse

from vlfusion.errors import ConfigError, PluginError, UnknownNameError, did_you_mean


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.key_values import KeyValues
    from vlfusion.cli.options import add_imports
    from vlfusion.guards.ranges import COUNT
    parser.add_argument('name', nargs='?', help='the plugin: its entry point, import package or distribution; see '
                                                '`vlfusion list plugins` (default: what --import brings)')
    add_imports(parser, 'what is to be checked')
    parser.add_argument('--only', nargs='+', metavar='ENTRY', help='check these of its names only')
    parser.add_argument('--options', nargs='+', action=KeyValues, metavar='KEY=VALUE', default={},
                        help='arguments to build those entries with that have them, such as dim=8')
    parser.add_argument('--size', nargs=2, type=COUNT, default=(20, 28), metavar=('HEIGHT', 'WIDTH'),
                        help='of the images for networks that take only multiples of something (default: 20 28)')


def run(args: argparse.Namespace) -> int:
    from vlfusion import plugins
    if bool(args.name) == bool(args.modules):
        raise ConfigError('Expected either a plugin or --import.',
                          'Name an installed plugin, or modules of your own with --import.')
    if args.name:
        plugins.named(args.name)  # an unknown name comes to light before torch is imported

    import torch
    from rich.console import Console
    from rich.table import Table

    from vlfusion.cli.options import import_modules
    from vlfusion.guards.cells import terminal_cell
    from vlfusion.testing.plugins import accepted, entries, find_plugin, required, survey_entry

    import_modules(args.modules)
    if args.name:
        plugin = find_plugin(args.name)
        packages = [plugin.package]
        title = f'plugin {plugin.entry.name}: {plugin.status} ({plugin.distribution}, {plugin.entry.value})'
    else:
        packages = list(dict.fromkeys(module.partition('.')[0] for module in args.modules))
        title = f'modules {", ".join(args.modules)}'
    found = [entry for package in packages for entry in entries(package)]
    if not found:
        raise PluginError(f'{" and ".join(packages)} registers nothing.',
                          'Decorate its classes in the module that is imported.')
    options = nested(args.options)
    names = [name.rpartition('.')[2] for _, name in found]
    unknown = [name for name in args.only or () if name.rpartition('.')[2] not in names]
    if unknown:
        raise UnknownNameError(f'{packages[0]} registers no {unknown[0]!r}.', did_you_mean(unknown[0], names))
    chosen = [(registry, name) for (registry, name), short in zip(found, names, strict=True)
              if not args.only or short in [one.rpartition('.')[2] for one in args.only]]
    known = set().union(*(accepted(registry, name) for registry, name in chosen))
    if strange := options.keys() - known:
        raise ConfigError(f'None of {", ".join(name for _, name in chosen)} has an argument {min(strange)!r}.',
                          did_you_mean(min(strange), known))
    console = Console(width=None if Console().is_terminal else 160)
    console.print(title, highlight=False, markup=False)
    table, failed = Table('registry', 'name', 'check', '', '', box=None), 0
    for registry, name in chosen:
        torch.manual_seed(0)
        own = {key: value for key, value in options.items() if key in accepted(registry, name)}
        for row, one in enumerate(survey_entry(registry, name, own, tuple(args.size))):
            fails = one.holds is False and required(one)
            failed += fails
            word = {True: 'holds', None: '-', False: 'FAILS' if fails else 'no'}[one.holds]
            heads = ('', '') if row else (registry.name, name.rpartition('.')[2])
            table.add_row(*heads, one.check, word, terminal_cell(one.detail))
    console.print(table)
    print(f'{failed} checks fail.' if failed else 'Nothing fails.')
    return 1 if failed else 0


def nested(options: dict) -> dict:
    """Options with dotted keys as dicts: `text_dim.text_a=8` is `text_dim=dict(text_a=8)`."""
    from mmengine.config import Config
    config = Config()
    config.merge_from_dict(options)
    return config.to_dict()
