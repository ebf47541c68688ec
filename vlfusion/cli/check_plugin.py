"""Print what holds of an installed plugin and what does not: that it loads, that each of its names is documented and
can be built, and that it does what vlfusion and its users ask of a backbone, loss, metric, captioner, LLM or encoder.

    vlfusion check-plugin cddfuse
    vlfusion check-plugin my_fusion --only MyFusionNet --options dim=8
    vlfusion check-plugin my_fusion --size 64 96

The exit code is 1 where something fails. Not every method can be compiled, exported or run in bfloat16; that is printed
and is no failure.
"""

import argparse

from mmengine.config import DictAction

HELP = 'say what holds of a plugin and what does not'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('name', help='the plugin: its entry point, import package or distribution; see `vlfusion list`')
    parser.add_argument('--only', nargs='+', metavar='ENTRY', help='check these of its names only')
    parser.add_argument('--options', nargs='+', action=DictAction, metavar='KEY=VALUE', default={},
                        help='arguments to build the entries with, such as dim=8')
    parser.add_argument('--size', nargs=2, type=int, default=(20, 28), metavar=('HEIGHT', 'WIDTH'),
                        help='of the images for backbones that take only multiples of something (default: 20 28)')


def run(args: argparse.Namespace) -> int:
    import torch
    from rich.console import Console
    from rich.table import Table

    from vlfusion.errors import UnknownNameError, did_you_mean
    from vlfusion.testing.plugins import entries, find_plugin, required, survey_entry

    plugin = find_plugin(args.name)
    found = list(entries(plugin))
    names = [name.rpartition('.')[2] for _, name in found]
    unknown = [name for name in args.only or () if name.rpartition('.')[2] not in names]
    if unknown:
        raise UnknownNameError(f'{plugin.package} registers no {unknown[0]!r}.', did_you_mean(unknown[0], names))
    console = Console(width=None if Console().is_terminal else 160)
    console.print(f'plugin {plugin.entry.name}: {plugin.status} ({plugin.distribution}, {plugin.entry.value})',
                  highlight=False, markup=False)
    table, failed = Table('registry', 'name', 'check', '', '', box=None), 0
    for (registry, name), short in zip(found, names, strict=True):
        if args.only and short not in [one.rpartition('.')[2] for one in args.only]:
            continue
        torch.manual_seed(0)
        for row, one in enumerate(survey_entry(registry, name, args.options, tuple(args.size))):
            fails = one.holds is False and required(one)
            failed += fails
            word = {True: 'holds', None: '-', False: 'FAILS' if fails else 'no'}[one.holds]
            table.add_row(*(('', '') if row else (registry.name, short)), one.check, word, one.detail)
    console.print(table)
    print(f'{failed} checks fail.' if failed else 'Nothing fails.')
    return 1 if failed else 0
