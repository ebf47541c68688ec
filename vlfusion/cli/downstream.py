"""Detection and segmentation of fused pictures: does fusing help?

    vlfusion downstream check downstream/m3fd          # read every label, list faults, count classes
    vlfusion downstream score masks pred/ --labels DIR # score what any program found: mAP, mIoU, intervals
    vlfusion downstream train my_study.py              # fuse with each method, train a network on the pictures of each
    vlfusion downstream test my_study.py               # find things in the test pictures, score, and print the table

Each action explains itself with --help.
"""

import argparse
from importlib import import_module

#: Actions with their help lines. Each is a module `downstream_NAME`, except `train` and `test`, which share one.
ACTIONS = {
    'check': 'read every label of a set, list the faults, and count the classes',
    'score': 'score detections or masks of any program against labels, and compare several',
    'train': 'fuse with the methods of a study, and train a network on the pictures of each',
    'test': 'score what the networks of a study find in the test pictures, and print the table',
}
_MODULES = {'train': 'downstream_study', 'test': 'downstream_study'}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar='ACTION')
    for name, line in ACTIONS.items():
        module = import_module(f'vlfusion.cli.{_MODULES.get(name, f"downstream_{name}")}')
        action = actions.add_parser(name, help=line, description=module.__doc__,
                                    formatter_class=argparse.RawDescriptionHelpFormatter)
        module.add_arguments(action)
        action.set_defaults(act=module.run, action=name)


def run(args: argparse.Namespace) -> int:
    return args.act(args)
