"""Score detections or masks that any program made, against labels; several folders are compared.

    vlfusion downstream score detections runs/predict/labels --set downstream/m3fd --out scores/mine.csv
    vlfusion downstream score detections FILM=film.json IR=ir.json --labels annotations.json --classes M3FD
    vlfusion downstream score masks pred/film pred/cddfuse --labels MSRS/test/Segmentation_labels --classes MSRS

Detections are COCO's results (.json), or a folder of YOLO's text files with a confidence at the end of each line. Masks
are index PNG files. A prediction has the name of its image. An image without a text file has no detections, as
ultralytics writes none for it; a note names such images.

Scores are those of the whole set, with bootstrap intervals over the images. Methods are compared by a permutation test
over the images. `vlfusion leaderboard` compares the scores of single images, which --out writes.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vlfusion.errors import ConfigError

if TYPE_CHECKING:
    from vlfusion.downstream.interfaces import Labels
    from vlfusion.downstream.scoring.files import PredictionScores
    from vlfusion.downstream.sets import LabelledSet

#: Formats of labels, with the endings of their files.
FORMATS = {'yolo': ('YOLOLabels', '.txt'), 'voc': ('VOCLabels', '.xml'), 'coco': ('COCOLabels', '.json'),
           'masks': ('IndexMasks', '.png')}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.key_values import KeyValues
    from vlfusion.cli.tables import add_json
    from vlfusion.guards.ranges import COUNT, FRACTION
    parser.add_argument('kind', choices=('detections', 'masks'), help='what was predicted')
    parser.add_argument('predictions', nargs='+', metavar='[NAME=]PLACE',
                        help='folder or pattern of .txt or .png files, or a .json file; one for each method')
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument('--set', metavar='CONFIG', help='config of a labelled set, such as downstream/m3fd')
    where.add_argument('--labels', metavar='PLACE', help='folder or pattern of label files, or a .json file of COCO')
    parser.add_argument('--cfg-options', nargs='+', action=KeyValues, metavar='KEY=VALUE',
                        help='override the config of --set, such as data_root=data/mine')
    parser.add_argument('--split', default='test', help='split of --set (default: %(default)s)')
    parser.add_argument('--classes', metavar='TABLE', help='class table of --labels: M3FD, LLVIP, MSRS, FMB, COCO ..., '
                                                           'or names in the order of their numbers: person,car')
    parser.add_argument('--void', metavar='NAME', help='class of pixels without a label, if --classes are names')
    parser.add_argument('--ignore', type=int, metavar='N',
                        help='number of further pixels without a label in the masks of --labels, such as 255')
    parser.add_argument('--format', choices=FORMATS, help='format of --labels, if its folder holds several')
    parser.add_argument('--images', metavar='DIR', help='folder of the images, whose sizes YOLO labels need')
    parser.add_argument('--names', metavar='FILE', help='names of the images to score, one on each line (default: all '
                                                        'that have a label)')
    parser.add_argument('--ids', nargs='+', type=int, metavar='N',
                        help='number of each class in the predictions, such as 0 2 (default: from 0; in .json files '
                             'the ids of the labels)')
    parser.add_argument('--missing', choices=('empty', 'error'), default='empty',
                        help='meaning of an image without a text file: no detections (default), or an error')
    parser.add_argument('--leave-out-others', action='store_true',
                        help='leave out boxes of other classes than those of the table')
    parser.add_argument('--resize', action='store_true', help='resize masks of another size by nearest neighbours')
    parser.add_argument('--variant', default='', help='definition of mIoU: mrfs, rtfnet, bubbliiiing, sea, sea13, '
                                                      'ignore (docs/explain/miou.md); of AP: voc07, voc10')
    parser.add_argument('--per-class', action='store_true', help='print the scores of each class too')
    parser.add_argument('--alpha', type=FRACTION, default=0.05, help='level of significance (default: %(default)s)')
    parser.add_argument('--resamples', type=COUNT, default=1000,
                        help='drawn sets for an interval, and swaps for a comparison (default: %(default)s)')
    parser.add_argument('--out', metavar='FILE.csv', help='one line per image; FILE.json is the record. For several '
                                                          'methods, a folder')
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from functools import partial

    from vlfusion.cli.options import refuse_given
    from vlfusion.cli.tables import print_json
    from vlfusion.console.progress import ShowProgress
    from vlfusion.downstream.scoring.comparing import board_of_sets
    from vlfusion.downstream.scoring.files import score_predictions
    from vlfusion.evaluation.outputs import check_output

    places = _places(args.predictions)
    files = _outputs(args.out, places)
    for file in files.values():
        check_output(file)
    refuse_given(args, ('ids', 'leave_out_others') if args.kind == 'masks' else ('resize', 'ignore'),
                 f'on {args.kind}')
    labels = _labels(args)
    results = {name: score_predictions(
        place, labels, names=args.names, images=args.images, variant=args.variant, ids=args.ids, missing=args.missing,
        others='leave out' if args.leave_out_others else 'error', resize=args.resize)
        for name, place in places.items()}
    with ShowProgress() as show:
        board = board_of_sets({name: result.scores for name, result in results.items()}, alpha=args.alpha,
                              resamples=args.resamples, progress=partial(show, 'drawing sets'))
    written = [path for name, file in files.items() for path in results[name].write(file)]
    if len(places) > 1 and args.out:
        written += [Path(args.out, f'board.{ending}') for ending in ('md', 'tex', 'json')]
        for path in written[-3:]:
            board.write(path)
    if args.json:
        print_json({'board': board.facts(), 'methods': {name: result.record for name, result in results.items()}})
        return 0
    _print(results, board, args.per_class)
    for path in written:
        print(f'Wrote {path}')
    return 0


def _places(words: list[str]) -> dict[str, str]:
    """Places of predictions by the name of their method."""
    places: dict[str, str] = {}
    for word in words:
        name, place = _named(word)
        name = name or (Path(place).name if Path(place).is_dir() else Path(place).stem)
        if name in places:
            raise ConfigError(f'Two methods have the name {name!r}.', f'Give one another name: NAME={place}')
        places[name] = place
    return places


def _named(word: str) -> tuple[str, str]:
    """Split `NAME=PLACE`; the name is empty if the word is a place, such as `runs/lr=0.1/labels`."""
    from glob import glob
    name, equals, place = word.partition('=')
    named = equals and '/' not in name and not Path(word).exists() and not glob(word)
    return (name, place) if named else ('', word)


def _outputs(out: str | None, places: dict[str, str]) -> dict[str, Path]:
    """The table of each method."""
    if out is None:
        return {}
    if len(places) == 1:
        return dict.fromkeys(places, Path(out))
    if Path(out).suffix == '.csv':
        raise ConfigError(f'{out} is one file, but there are {len(places)} methods.', 'Give a folder with --out.')
    from vlfusion.data.names import file_names
    return {name: Path(out, f'{file}.csv') for name, file in file_names(list(places)).items()}


def _labels(args: argparse.Namespace) -> 'Labels | LabelledSet':
    from vlfusion.cli.options import refuse_given
    from vlfusion.downstream.classes import get_classes
    from vlfusion.errors import UnknownNameError, did_you_mean
    if args.set is not None:
        refuse_given(args, ('classes', 'void', 'ignore', 'format'), 'with --set', 'The config of the set says it.')
        from vlfusion.benchmark.study import KEYS  # a study is a set with more keys
        from vlfusion.config import load_config
        from vlfusion.downstream.sets import load_labelled
        sets = load_labelled(load_config(args.set, args.cfg_options, known=KEYS))
        if args.split not in sets:
            raise UnknownNameError(f'{args.set} has no split {args.split!r}.', did_you_mean(args.split, sets))
        split = sets[args.split]
        if (split.labels.kind == 'masks') != (args.kind == 'masks'):
            raise ConfigError(f'The labels of {args.set} are {split.labels.kind}, but {args.kind} are to be scored.',
                              'Give a set with labels of the same kind.')
        return split
    refuse_given(args, ('cfg_options',), 'with --labels', 'Give the config of a set with --set.')
    if args.classes is None:
        raise ConfigError('--labels need a class table, because numbers mean nothing without it.',
                          'Give --classes M3FD, or names in the order of their numbers: --classes person,car.')
    names = [name.strip() for name in args.classes.split(',') if name.strip()]
    classes = get_classes(names if ',' in args.classes else args.classes)
    if args.void is not None:
        from dataclasses import replace
        if (void := classes.number_of(args.void)) is None:
            raise UnknownNameError(f'No class is called {args.void!r}.', did_you_mean(args.void, classes.names))
        classes = replace(classes, void=void)
    from vlfusion.registry import LABELS
    kind, _ = FORMATS[args.format or _format(Path(args.labels), args.kind)]
    labels = LABELS.get(kind)(args.labels, classes, **({} if args.ignore is None else dict(ignore=args.ignore)))
    if (labels.kind == 'masks') != (args.kind == 'masks'):
        raise ConfigError(f'--format {args.format} does not fit {args.kind}.', 'Leave it out.')
    return labels


def _format(place: Path, kind: str) -> str:
    """Format of labels, by the endings of the files."""
    if kind == 'masks':
        return 'masks'
    endings = {place.suffix} if not place.is_dir() else {path.suffix.lower() for path in place.iterdir()}
    fitting = [name for name, (_, ending) in FORMATS.items() if ending in endings and name != 'masks']
    if len(fitting) != 1:
        held = (f'holds labels of the formats {" and ".join(fitting)}' if fitting else
                'holds no .txt, .xml or .json file')
        raise ConfigError(f'{place} {held}.', 'Say which to read: --format yolo, voc or coco.')
    if fitting[0] == 'coco' and place.is_dir():
        raise ConfigError(f'{place} is a folder with COCO files.', 'Give the .json file itself.')
    return fitting[0]


def _print(results: 'dict[str, PredictionScores]', board, per_class: bool) -> None:
    from rich.console import Console

    from vlfusion.analysis.leaderboard import print_board
    from vlfusion.analysis.numbers import numeral
    from vlfusion.cli.tables import open_console, print_table

    console = open_console()
    if len(results) > 1:
        print_board(board, Console())
        print()
    level = f'{100 * (1 - board.alpha):g} % interval'
    print_table(console, ['method', 'score', 'set', level, 'mean of images'], [
        (name, column, numeral(one.means[name], '.4f'), ' to '.join(numeral(end, '.4f') for end in one.intervals[name]),
         _mean(results[name], column))
        for name in results for column, one in board.comparisons.items() if name in one.means], whole=['score', level])
    if per_class:
        print()
        first = next(iter(results.values())).scores
        columns = list(next(iter(first.per_class.values())))
        print_table(console, ['method', 'class', *columns], [
            (name, kind, *(numeral(value, '.4f') if isinstance(value, float) else str(value)
                           for value in facts.values()))
            for name, result in results.items() for kind, facts in result.scores.per_class.items()])
    print()
    print(f'{board.images} image{"s" * (board.images != 1)}, {_definition(next(iter(results.values())))}.')
    if board.warning:
        print(f'Note: {board.warning}')
    methods: dict[str, list[str]] = {}
    for name, result in results.items():
        for note in result.notes:
            methods.setdefault(note, []).append(name)
    for note, names in methods.items():
        print('Note: ' + f'{", ".join(names)}: ' * (len(names) < len(results)) + note)


def _definition(result: 'PredictionScores') -> str:
    kind = 'AP' if result.record['kind'] == 'detections' else 'mIoU'
    return f'{kind} as {result.record["definition"]}'


def _mean(result: 'PredictionScores', column: str) -> str:
    from vlfusion.analysis.numbers import numeral
    from vlfusion.evaluation.rows import computed
    rows = result.scores.rows
    return numeral(float(computed(rows, column).mean()), '.4f') if rows else ''
