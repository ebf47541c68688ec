"""List the models that have a name, show the card of one, or put files of released weights in place.

    vlfusion models                      # all
    vlfusion models mif                  # those of a task
    vlfusion models infrared MIT         # those with these words in their card
    vlfusion models ifcnn-mff            # the card: paper, training data, verification, licence, citation
    vlfusion models NLG-fusion           # the card of a method without weights
    vlfusion models get ifcnn-mff ...    # download now, for later use without a network
    vlfusion models add ifcnn-mff IFCNN-MAX.pth    # take the authors' file, fetched by hand

A name works wherever a checkpoint does: vlfusion fuse ifcnn-mff near.png far.png -o fused.png
"""

import argparse

from vlfusion.errors import CheckpointError, ConfigError, DownloadError, listing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.tables import add_json
    parser.add_argument('words', nargs='*', metavar='WORD | NAME | get NAME ... | add NAME FILE ...',
                        help='words of the card; a name; or `get` or `add`')
    form = parser.add_mutually_exclusive_group()
    form.add_argument('--markdown', action='store_true', help='print the reference page of all models')
    add_json(form)


def run(args: argparse.Namespace) -> int:
    from vlfusion.cli.options import refuse_given
    from vlfusion.cli.tables import print_json
    from vlfusion.zoo.cards import card, facts, method_card, method_facts, reference_page, search
    from vlfusion.zoo.entries import find_method, find_model
    first, *others = args.words or ['']
    if first in ('get', 'add'):
        refuse_given(args, ['json'], f'with `{first}`')
    if args.markdown:
        print(reference_page(), end='')
    elif first == 'get':
        _get(others)
    elif first == 'add':
        _add(others)
    elif not others and (entry := find_model(first)):
        print_json([facts(first, entry)]) if args.json else print(card(entry))
    elif not others and first and (method := find_method(first)):
        print_json([method_facts(method)]) if args.json else print(method_card(method))
    elif args.json:
        print_json([facts(name, entry) for name, entry in search(args.words).items()])
    else:
        _table(search(args.words))
    return 0


def _table(entries: dict) -> None:
    from vlfusion.cli.tables import open_console, print_table
    from vlfusion.zoo.cards import row
    from vlfusion.zoo.entries import FACTS
    rows, console = [row(name, entry) for name, entry in entries.items()], open_console()
    print_table(console, [*rows[0]], (cells.values() for cells in rows), whole=['name'],
                details=['parameters', 'text', 'weights'])
    console.print('\nvlfusion models NAME shows the card of a model.', highlight=False)
    for fault in FACTS.faults().values():
        console.print(fault, highlight=False, markup=False)


def _get(names: list[str]) -> None:
    from vlfusion.zoo.entries import get_model
    entries = [get_model(name) for name in names]
    if not entries:
        raise ConfigError('`vlfusion models get` needs the name of a model.', '`vlfusion models` shows all.')

    from vlfusion.console.progress import ShowProgress
    from vlfusion.engine.named import obtain
    failures = []
    for entry in entries:
        try:
            with ShowProgress() as show:
                place = obtain(entry, show=show)
        except DownloadError as error:  # the others may be there
            failures.append(error)
        else:
            print(f'{entry.name}: {place or "needs no weights"}', flush=True)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise DownloadError(f'{len(failures)} of {len(entries)} models cannot be loaded:\n'
                            + listing(error.problem for error in failures),
                            'Fetch the files on another machine, then run `vlfusion models add NAME FILE ...`.')


def _add(words: list[str]) -> None:
    from pathlib import Path

    from vlfusion.zoo.entries import get_model
    if len(words) < 2:
        raise ConfigError('`vlfusion models add` needs the name of a model and its files.',
                          'Write `vlfusion models add ifcnn-mff IFCNN-MAX.pth`.')
    entry, files = get_model(words[0]), [Path(file).expanduser() for file in words[1:]]
    if absent := next((file for file in files if not file.is_file()), None):
        raise CheckpointError(f'There is no file {absent}.', f'Give the files of {entry.name} that you have fetched.')

    from vlfusion.engine.named import add
    print(f'{entry.name}: the files are those of {entry.source}. Checkpoint: {add(entry, files)}')
