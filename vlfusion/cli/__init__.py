"""The command line: `vlfusion VERB ...`, and `tools/VERB.py ...`, which is the same code.

A verb is a module with `HELP` (one line), `add_arguments(parser)` and `run(args) -> exit code`. Its imports of torch
and the like are inside `run`, so that help is quick.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from vlfusion.errors import VLFusionError

#: Verb to module, in the order of the help.
VERBS = {
    'prepare-data': 'prepare_data',
    'describe': 'describe',
    'text': 'text',
    'train': 'train',
    'test': 'test',
    'fuse': 'fuse',
    'export': 'export',
    'evaluate': 'evaluate',
    'metrics': 'metrics',
    'benchmark': 'benchmark',
    'leaderboard': 'leaderboard',
    'ablate-text': 'ablate_text',
    'reproduce': 'reproduce',
    'compare': 'compare',
    'contact-sheet': 'contact_sheet',
    'convert-weights': 'convert_weights',
    'list': 'list',
    'new-plugin': 'new_plugin',
    'check-plugin': 'check_plugin',
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `vlfusion VERB ...`; a user's error is printed with its remedy and gives exit code 2."""
    from vlfusion import __version__
    parser = argparse.ArgumentParser(prog='vlfusion', description='Vision-language guided image fusion.')
    parser.add_argument('--version', action='version', version=f'vlfusion {__version__}')
    verbs = parser.add_subparsers(dest='verb', required=True, metavar='VERB')
    for verb, module_name in VERBS.items():
        module = import_module(f'vlfusion.cli.{module_name}')
        verb_parser = verbs.add_parser(verb, help=module.HELP, description=module.__doc__,
                                       formatter_class=argparse.RawDescriptionHelpFormatter)
        module.add_arguments(verb_parser)
        verb_parser.set_defaults(run=module.run)
    args = parser.parse_args(argv)
    try:
        code = args.run(args) or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        import os
        import select
        ours = select.poll()
        ours.register(sys.stdout, 0)
        if not ours.poll(0):
            raise  # another pipe, such as that of a data loader's worker
        # What reads the output, such as `head`, has enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as a shell says it
    except VLFusionError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2


def script(path: str) -> None:
    """What each `tools/<verb>.py` calls with its own path."""
    from pathlib import Path
    sys.exit(main([Path(path).stem.replace('_', '-'), *sys.argv[1:]]))
