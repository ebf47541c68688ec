"""Write a small plugin that works, with a test, ready to install and to fill with your own code.

    vlfusion new-plugin my_fusion                   # a network, a loss and a config
    vlfusion new-plugin my_words --kind captioner
    pip install --editable ./my_fusion
    vlfusion check-plugin my_fusion
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.scaffold.skeleton import KINDS
    parser.add_argument('name', help='of the plugin, such as my_fusion: letters, digits, underscores')
    parser.add_argument('--kind', choices=KINDS, default='method', help='kind of plugin (default: method)')
    parser.add_argument('--out', help='folder to make (default: the name)')


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from vlfusion.scaffold.skeleton import write_plugin
    out = Path(args.out or args.name.removeprefix('vlfusion_'))
    plugin = write_plugin(args.name, out, args.kind)
    print(f'{out} contains {len(plugin.files)} files. Next:\n'
          f'    pip install --editable {out if out.is_absolute() else f"./{out}"}\n'
          f'    vlfusion check-plugin {plugin.name}')
    if args.kind == 'method':
        print(f'    vlfusion prepare-data sample\n'
              f'    vlfusion train {plugin.name}/{plugin.name}_mif_sample')
    return 0
