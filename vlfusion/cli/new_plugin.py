"""Write a plugin that works: a network, a loss, a config and a test, ready to install and to fill with your method.

    vlfusion new-plugin my_fusion
    pip install --editable ./my_fusion
    vlfusion check-plugin my_fusion
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('name', help='of the method, such as my_fusion: letters, digits, underscores')
    parser.add_argument('--out', help='folder to make (default: the name)')


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from vlfusion.scaffold.skeleton import write_plugin
    out = Path(args.out or args.name.removeprefix('vlfusion_'))
    plugin = write_plugin(args.name, out)
    print(f'{out} holds {len(plugin.files)} files. Next:\n'
          f'    pip install --editable {out if out.is_absolute() else f"./{out}"}\n'
          f'    vlfusion check-plugin {plugin.name}\n'
          f'    vlfusion prepare-data sample\n'
          f'    vlfusion train {plugin.name}/{plugin.name}_mif_sample')
    return 0
