"""List public data sets, fetch them in the layout that configs expect, and check them on disk.

    vlfusion data                                      # all sets; `vlfusion data mef` those of a task
    vlfusion data RoadScene                            # the card of a set: source, licence, layout, who reads it
    vlfusion data get RoadScene TNO --root data
    vlfusion data check RoadScene --root data          # missing, misnamed, wrong, unpaired or extra files

`get` loads only what is missing, and verifies every file by its content. Other files are never replaced, unless --force
is given. Sets that lie on drives cannot be fetched; their cards say how to get them. The exit code of `check` is 1 if a
set is not complete.
"""

import argparse
import sys
from itertools import groupby

from vlfusion.errors import ConfigError, printable

#: Findings of one kind that are printed for a folder.
MOST = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.tables import add_json
    parser.add_argument('words', nargs='*', metavar='[get | check] NAME',
                        help='names of sets; before them `get` to fetch or `check` to check; nothing or a task to list')
    parser.add_argument('--root', default='data', metavar='DIR',
                        help='folder that gets ivf/, mif/, mef/ and mff/ (default: %(default)s)')
    parser.add_argument('--force', action='store_true', help='get: replace files that have another content')
    form = parser.add_mutually_exclusive_group()
    form.add_argument('--markdown', action='store_true', help='print the reference page of all sets')
    add_json(form)


def run(args: argparse.Namespace) -> int:
    from vlfusion.cli.options import refuse_given
    from vlfusion.cli.tables import print_json
    from vlfusion.imaging.tasks import TASKS
    from vlfusion.zoo.set_cards import card, facts, reference_page
    from vlfusion.zoo.sets import get_set

    if args.markdown:
        print(reference_page(), end='')
        return 0
    action, names = (args.words[0], args.words[1:]) if args.words[:1] in (['get'], ['check'], ['show']) else (
        'show', args.words)
    if args.words and not names:
        raise ConfigError(f'`vlfusion data {action}` needs the name of a set.', '`vlfusion data` lists all sets.')
    if action == 'get':
        refuse_given(args, ['json'], 'with `get`')
        return _get(names, args)
    if action == 'check':
        return _check(names, args.root, args.json)
    if {*names} <= TASKS.keys():
        return _list(names, args.root, args.json)
    if args.json:
        print_json([facts(entry.name, entry, args.root) for entry in map(get_set, names)])
        return 0
    print('\n\n'.join(card(get_set(name)) for name in names))
    return 0


def _list(tasks: list[str], root: str, as_json: bool) -> int:
    from vlfusion.cli.tables import open_console, print_json, print_table
    from vlfusion.zoo.set_cards import count_here, facts, how_large, pairs_in_words
    from vlfusion.zoo.sets import FACTS, find_sets

    sets = {name: entry for name, entry in find_sets().items() if not tasks or {*tasks} & {*entry.tasks}}
    if as_json:
        print_json([facts(name, entry, root) for name, entry in sets.items()])
        return 0
    rows, console = [], open_console()
    for name, entry in sets.items():
        here = count_here(entry, root)
        state = '' if not here else 'yes' if here == len(entry.files) else f'{here} of {len(entry.files)} files'
        rows.append((name, ' '.join(entry.tasks), pairs_in_words(entry), how_large(entry), state, entry.licence,
                     entry.title))
    print_table(console, ['set', 'task', 'pairs', 'get', f'in {root}', 'licence', 'content'], rows, whole=['set'],
                details=['content'])
    for fault in FACTS.faults().values():
        console.print(fault, highlight=False, markup=False)
    console.print('\nvlfusion data NAME shows the card of a set, vlfusion data get NAME fetches it, vlfusion data '
                  'check NAME checks it.', highlight=False)
    return 0


def _get(names: list[str], args: argparse.Namespace) -> int:
    from vlfusion.console.progress import ShowProgress
    from vlfusion.zoo.set_check import check_set
    from vlfusion.zoo.sets import fetch_set, get_set

    for entry in [get_set(name) for name in names]:  # a misspelt name is told before the first download
        with ShowProgress() as show:
            loaded = fetch_set(entry.scoped, args.root, force=args.force, show=show)
        places = ', '.join(f'{args.root}/{folder}' for folder in entry.folders)
        print(f'{entry.name}: {len(loaded)} files were loaded, {len(entry.files) - len(loaded)} were there: {places}.')
        _print([finding for finding in check_set(entry.scoped, args.root) if finding.kind == 'extra'])
    return 0


def _check(names: list[str], root: str, as_json: bool) -> int:
    from vlfusion.cli.tables import print_json
    from vlfusion.console.progress import ShowProgress
    from vlfusion.zoo.set_check import check_set, is_complete
    from vlfusion.zoo.sets import get_set, how_to_get

    checks = []
    for entry in map(get_set, names):
        with ShowProgress(quiet=not sys.stderr.isatty()) as show:
            findings = check_set(entry.scoped, root, show)
        complete = is_complete(findings)
        checks.append(dict(name=entry.name, complete=complete, findings=[each._asdict() for each in findings]))
        if as_json:
            continue
        _print(findings)
        print(f'{entry.name} under {root} is {"complete" if complete else "not complete"}.')
        if not complete:
            print(how_to_get(entry, root) if entry.files else f'`vlfusion data {entry.name}` shows the layout.')
    if as_json:
        print_json(checks)
    return 0 if all(check['complete'] for check in checks) else 1


def _print(findings: list) -> None:
    """Print findings, but only the first few of a kind in each folder."""
    groups = groupby(findings, key=lambda finding: (finding.kind, finding.place.rpartition('/')[0]))
    for (kind, folder), group in groups:
        group = list(group)
        for _, place, words in group[:MOST]:
            print(printable(f'{kind:9} {place}' + f': {words}' * bool(words), lines=False))
        if len(group) > MOST:
            print(printable(f'{kind:9} ... and {len(group) - MOST} more in {folder}', lines=False))
