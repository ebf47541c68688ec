"""Fuse two images, or two folders of images paired by name, with a checkpoint; any size, colour kept.

    vlfusion fuse CHECKPOINT mri.png pet.png -o fused.png
    vlfusion fuse CHECKPOINT MRI/ PET/ -o fused/
    vlfusion fuse CHECKPOINT 'data/{name}_T.*' 'data/{name}_W.*' -o fused/
    vlfusion fuse classical/laplacian_ivf IR/ VI/ -o fused/ --skip-existing
    vlfusion fuse CHECKPOINT ir_12mp.png vi_12mp.png -o fused.png --max-memory 2GiB

A pair of a folder that cannot be fused is listed at the end, the others are fused, and the exit code is 1.
"""

import argparse

from vlfusion.errors import ConfigError, DataError, listing, printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_imports, add_reading, add_trust
    from vlfusion.guards.ranges import COUNT
    parser.add_argument('checkpoint', help='a checkpoint of vlfusion; a config where the model has no weights')
    parser.add_argument('source_a', help='image, folder, or pattern: infrared, MRI, over-exposed, near-focused')
    parser.add_argument('source_b', help='image, folder, or pattern: visible; CT, PET or SPECT; under-exposed; '
                                         'far-focused')
    parser.add_argument('others', nargs='*', default=[], help=argparse.SUPPRESS)  # a default: not required
    parser.add_argument('-o', '--out', required=True, help='image to write; a folder where the sources are folders')
    parser.add_argument('--names', nargs='+', metavar='NAME',
                        help='fuse these pairs only; or a text file with a name on each line')
    parser.add_argument('--skip-existing', action='store_true', help='leave out pairs whose result is there')
    parser.add_argument('--grey', action='store_true', help='write luminance only')
    parser.add_argument('--task', help="ivf, mif, mef or mff (default: the checkpoint's)")
    parser.add_argument('--protocol', help="how outputs become grey levels: film, plain, truncate ... (default: the "
                                           "checkpoint's)")
    parser.add_argument('--chroma', metavar='RULE', help="where colour comes from: visible, weighted, a plugin's rule "
                                                         "(default: the checkpoint's, else the task's)")
    parser.add_argument('--text', help='token features (.npy) instead of describing the images: one file for all, or a '
                                       'folder of NAME.npy')
    parser.add_argument('--store', help='text store (default: the one that describing has filled below this folder, '
                                        "else vlfusion's own)")
    parser.add_argument('--words', metavar='CONFIG', help="describe the images as this config's language section says, "
                                                          'not as the checkpoint does')
    add_trust(parser)
    parser.add_argument('--modality-a', help="what source A is, as the captioner is told (default: the task's word)")
    parser.add_argument('--modality-b', help='what source B is, such as PET or CT; say what the training data said')
    add_reading(parser)
    add_imports(parser, 'the model, where a config would have custom_imports')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 ...')
    parser.add_argument('--tiles', default='auto', choices=('auto', 'whole', 'exact', 'blend'),
                        help='fuse images at once, in tiles that make no difference, or in windows that are blended, '
                             'which approximates (default: the first of these that fits into memory)')
    parser.add_argument('--tile-size', type=COUNT, metavar='N',
                        help='most rows and columns fused at once (default: what memory allows)')
    parser.add_argument('--max-memory', metavar='SIZE',
                        help='what the network may take, such as 2GiB (default: four fifths of what is free)')
    parser.add_argument('--batch-size', type=COUNT, metavar='N',
                        help='pairs of one size fused at once (default: 1 on the CPU, 8 elsewhere)')
    parser.add_argument('--precision', default='float32', choices=('float32', 'bfloat16'), help='of the network')


def run(args: argparse.Namespace) -> int:
    import os
    from functools import partial

    from vlfusion.cli.options import import_modules, require_model
    from vlfusion.guards.outputs import check_outputs
    from vlfusion.system.memory import parse_bytes

    max_memory = args.max_memory and parse_bytes(args.max_memory)
    output_of = _outputs(args)
    require_model(args.checkpoint)
    check_outputs([args.out, *output_of.values()] if os.path.isdir(args.out) else output_of.values(), [
        args.checkpoint, args.source_a, args.source_b, args.text, args.words,
        *(path for pair in output_of for path in (pair.path_a, pair.path_b))])
    there = {pair for pair, path in output_of.items() if args.skip_existing and path.is_file()}
    pairs = [pair for pair in output_of if pair not in there]

    from vlfusion.console.progress import ShowProgress
    from vlfusion.inference.fuser import Fuser

    import_modules(args.modules)
    show = ShowProgress()
    fuser = Fuser(args.checkpoint, task=args.task, protocol=args.protocol, chroma=args.chroma, store=args.store,
                  device=args.device, modality_a=args.modality_a, modality_b=args.modality_b, tiles=args.tiles,
                  tile_size=args.tile_size, max_memory=max_memory, batch_size=args.batch_size,
                  precision=args.precision, note=show.print, words=args.words, trust=args.trust_checkpoint)
    features = _features(args.text, fuser, pairs) if args.text else None
    failed: dict[str, DataError] = {}
    saved = []

    def save(pair, fused) -> None:
        fused.save(output_of[pair], grey=args.grey)
        saved.append(pair)
        show('fusing', len(saved) + len(failed), len(pairs))

    show.print(f'Model: {fuser.origin}.')
    with show:
        fused = fuser.fuse_many(
            pairs, features.load if features else None, save, partial(show, 'one pair', inner=True),
            lambda pair, error: failed.update({pair.name: error}), describing=show)
        show('fusing', 0, len(pairs))
        for _ in fused:
            pass
        show('fusing', len(pairs), len(pairs))
    if len(pairs) == 1 and failed:
        raise next(iter(failed.values()))
    where = next(iter(output_of.values())) if len(output_of) == 1 else args.out
    _report(args, len(pairs), len(there), failed, where)
    return 1 if failed else 0


def _features(place: str, fuser, pairs: list):
    """The text features that `--text` names, checked; raises ConfigError where the model reads no or several texts."""
    import os

    from vlfusion.data.text import FeatureFiles
    if len(fuser.text_dims) != 1:
        raise ConfigError(f'--text gives one text, but the model reads {", ".join(fuser.text_dims) or "none"}.',
                          'Leave --text out, or call vlfusion.Fuser with a dict of texts.')
    per_pair = os.path.isdir(place)
    features = FeatureFiles(place, '{name}.npy') if per_pair else FeatureFiles(*os.path.split(place))
    features.check(pairs if per_pair else pairs[:1])
    return features


def _report(args: argparse.Namespace, count: int, there: int, failed: dict, where) -> None:
    """Say what was written, how the sources were read, and which pairs failed.

    Args:
        args: of the command line.
        count: of the pairs that were to be fused.
        there: the number of results that were there before.
        failed: errors by the names of pairs.
        where: the place of the results.
    """
    import sys

    from vlfusion.cli.options import readings
    written = count - len(failed)
    print(f'Wrote {written} fused image{"" if written == 1 else "s"} to {printable(where)}.'
          + (f' {there} were there already.' if there else ''))
    for side, rule in zip('AB', readings(args), strict=True):
        if str(rule):
            print(f'Source {side} was read with {rule}.')
    if failed:
        problems = [f'{error.problem} {error.remedy}' for error in failed.values()]
        print(f'{len(failed)} of {count} pairs could not be fused:\n{listing(problems, len(failed))}\n'
              '  -> Fix what is named above and run the command again with --skip-existing.', file=sys.stderr)


def _outputs(args: argparse.Namespace) -> dict:
    """The pairs to fuse, and the file that each becomes.

    Raises:
        DataError: a source is not there, the two do not fit together, or the output has no ending of an image.
    """
    import os
    from pathlib import Path

    from vlfusion.cli.options import reading_keys, readings
    from vlfusion.imaging.reading.file import unreadable

    reading_a, reading_b = readings(args)
    if args.others:
        raise DataError(f'Expected two registered pictures (or two folders of them), but got {2 + len(args.others)}: '
                        f'{args.source_a}, {args.source_b}, {args.others[0]} ...',
                        'Of a stack, fuse the first two, then the result with the next one. Put a pattern with stars '
                        'in quotes.')
    sources, out = (Path(args.source_a), Path(args.source_b)), Path(args.out)
    files = [source.is_file() for source in sources]
    for source, is_file in zip(sources, files, strict=True):
        if not (is_file or source.is_dir() or any(sign in str(source) for sign in '{*?[')):
            raise DataError(*(os.path.lexists(source) and unreadable(source)
                              or (f'No image or folder at {source}.', 'Check the path.')))

    from vlfusion.data.names import inside
    from vlfusion.data.pairs import Pair, as_pattern, find_pairs
    from vlfusion.imaging.images import SUFFIXES, check_ending
    if all(files):
        if args.names:
            raise DataError('--names chooses among the pairs of folders, but two files were given.', 'Leave it out.')
        if sources[0].samefile(sources[1]):
            raise DataError(f'{sources[0]} and {sources[1]} are the same file.', 'Give both images of the pair.')
        if os.path.isdir(out) or args.out.endswith(('/', os.sep)):
            out = out / f'{sources[0].stem}.png'
        check_ending(out)
        return {Pair(sources[0].stem, *sources, reading_a=reading_a, reading_b=reading_b): out}
    if any(files):
        kinds = [('a folder or pattern', 'a file')[is_file] for is_file in files]
        raise DataError(f'{sources[0]} is {kinds[0]} and {sources[1]} is {kinds[1]}.',
                        'Give two files, or two folders or patterns.')
    if os.path.isfile(out) or out.suffix.lower() in SUFFIXES and not out.is_dir():
        raise DataError(f'{out} names a file, but the results of two folders go into a folder.', 'Give --out a folder.')
    names = args.names
    if names and len(names) == 1 and Path(names[0]).is_file():
        names = Path(names[0])
    pairs = find_pairs('.', *map(as_pattern, (args.source_a, args.source_b)), names, **reading_keys(args))
    return {pair: inside(out, pair.name, '.png') for pair in pairs}
