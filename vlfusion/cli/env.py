"""Print what a report of an error needs: versions, devices, extras, plugins, cache and settings.

    vlfusion env
    vlfusion env --verbose      # also compilers and torch's build, as MMEngine sees them
    vlfusion env --json

Keys, passwords and tokens are left out, and the home folder is written as ~. Read it before you post it all the same.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.tables import add_json
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from vlfusion.cli.tables import print_json
    from vlfusion.environment import collect_environment, environment_lines
    from vlfusion.errors import printable
    facts = collect_environment(build=args.verbose)
    if args.json:
        print_json(facts)
    else:
        print(printable('\n'.join(environment_lines(facts))))
    return 0
