"""Fuse two images or more, or folders of images matched by name, with a checkpoint; in any size, and in colour.

    vlfusion fuse CHECKPOINT mri.png pet.png -o fused.png
    vlfusion fuse CHECKPOINT MRI/ PET/ -o fused/
    vlfusion fuse CHECKPOINT MRI/ PET/ -o fused/ --words smolvlm-local
    vlfusion fuse film-guide-mif mri.png pet.png -o fused.png --instruction "show the PET more strongly on the left"
    vlfusion fuse CHECKPOINT 'data/{name}_T.*' 'data/{name}_W.*' -o fused/
    vlfusion fuse laplacian IR/ VI/ -o fused/ --skip-existing
    vlfusion fuse film-ivf IR/ VI/ -o fused/ --ray --workers 4
    vlfusion fuse laplacian-mff plane_*.tif -o all_in_focus.tif
    vlfusion fuse laplacian-mff planes.tif -o all_in_focus.tif
    vlfusion fuse film-mef stacks/ -o fused/
    vlfusion fuse laplacian ir.mp4 vi.mp4 -o fused.mp4
    vlfusion fuse CHECKPOINT ir_12mp.png vi_12mp.png -o fused.png --max-memory 2GiB
    vlfusion fuse film-mif mri.nii.gz pet.nii.gz -o fused.nii.gz --colormap hot

Pairs of folders that cannot be fused are listed at the end. The others are fused, and the exit code is 1.
"""

import argparse
import sys
from typing import TYPE_CHECKING

from vlfusion.errors import listing, printable

if TYPE_CHECKING:
    from vlfusion.inference.folders import FusedFiles


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.fuse_video import add_video_options
    from vlfusion.cli.fuse_volumes import add_volume_options
    from vlfusion.cli.options import (
        add_describe,
        add_fit,
        add_imports,
        add_maps,
        add_ray,
        add_reading,
        add_trust,
        add_words,
    )
    from vlfusion.guards.ranges import COUNT
    parser.add_argument('checkpoint', metavar='MODEL',
                        help='a checkpoint; or the name of a model, such as film-mif or laplacian (`vlfusion models`); '
                             'or hf://owner/name; or a config of a model without weights')
    parser.add_argument('source_a', help='image, folder, or pattern: infrared, MRI, over-exposed, near-focused; '
                                         'or alone: a folder of stacks, each a folder of images, or a '
                                         'file with several pages')
    parser.add_argument('source_b', nargs='?', help='image, folder, or pattern: visible; CT, PET or SPECT; '
                                                    'under-exposed; far-focused')
    parser.add_argument('others', nargs='*', default=[], metavar='source_n',
                        help='further images, folders or patterns: with them each result is fused from a stack')
    parser.add_argument('-o', '--out', required=True, help='image to write; a folder if the sources are folders')
    parser.add_argument('--suffix', metavar='.EXT',
                        help='ending of results in a folder (default: .tif if a source is georeferenced, else .png)')
    parser.add_argument('--names', nargs='+', metavar='NAME',
                        help='fuse these pairs only; or a text file with a name on each line')
    parser.add_argument('--skip-existing', action='store_true', help='leave out pairs whose result exists')
    parser.add_argument('--grey', action='store_true', help='write luminance only')
    parser.add_argument('--task', help="ivf, mif, mef or mff (default: the checkpoint's)")
    parser.add_argument('--protocol', help="how outputs become grey levels: film, plain, truncate ... (default: the "
                                           "checkpoint's)")
    parser.add_argument('--order', choices=('tree', 'chain', 'reverse'),
                        help='order in which a model for pairs fuses a stack: tree (default: neighbours, then their '
                             'results), chain (first to last) or reverse')
    add_maps(parser, 'a model that reads them; one image if the sources are two images')
    parser.add_argument('--chroma', metavar='RULE', help="where colour comes from: visible, weighted, a plugin's rule "
                                                         "(default: the checkpoint's, else the task's)")
    text = parser.add_mutually_exclusive_group()
    text.add_argument('--text', help='token features (.npy) instead of describing the images: one file for all, or a '
                                     'folder of NAME.npy')
    text.add_argument('--no-text', action='store_true', help='fuse without a text, if the model may do without one')
    parser.add_argument('--instruction', metavar='SENTENCE',
                        help='say how to fuse, to a model that reads instructions, such as film-guide-mif')
    add_describe(parser)
    parser.add_argument('--store', help='text store (default: the one that describing has filled below this folder, '
                                        "else vlfusion's own)")
    add_words(parser, keeps=True)
    add_trust(parser)
    parser.add_argument('--modality-a', help="modality of source A for the captioner (default: the task's word)")
    parser.add_argument('--modality-b', help='modality of source B, such as PET or CT, in the words of the training '
                                             'data')
    add_reading(parser)
    add_imports(parser, 'the model, like custom_imports of a config')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 ... (default: CUDA if there is a GPU)')
    parser.add_argument('--tiles', default='auto', choices=('auto', 'whole', 'exact', 'blend'),
                        help='fuse images whole, in tiles with the exact result, or in blended windows, which is an '
                             'approximation (default: the first of these that fits into memory)')
    parser.add_argument('--tile-size', type=COUNT, metavar='N',
                        help='largest number of rows and columns fused at once (default: as memory allows)')
    parser.add_argument('--max-memory', metavar='SIZE',
                        help='memory that the network may use, such as 2GiB (default: four fifths of the free memory)')
    parser.add_argument('--batch-size', type=COUNT, metavar='N',
                        help='pairs of one size fused at once (default: 1 on the CPU, 8 elsewhere)')
    parser.add_argument('--precision', default='float32', choices=('float32', 'tf32', 'bfloat16'),
                        help='precision of the network (default: %(default)s)')
    add_fit(parser, 'move source B of misaligned pairs onto source A, and say how far; pairs where that is not certain '
                    'are refused')
    parser.add_argument('--depth', type=int, choices=(8, 16), help='bits of the result; 16 for .png and .tif '
                                                                   '(default: 8)')
    add_ray(parser, 'fuse folders of pairs')
    parser.add_argument('--workers', type=COUNT, metavar='N',
                        help='with --ray: pairs fused at once (default: one per GPU of the cluster, else per core)')
    add_volume_options(parser)
    add_video_options(parser)


def run(args: argparse.Namespace) -> int:
    from vlfusion.cli import fuse_video, fuse_volumes
    from vlfusion.cli.fuse_kinds import require_effect
    from vlfusion.cli.options import import_modules, opened_cluster, reading_keys
    from vlfusion.cli.stacks import fuse_stacks, is_stack
    from vlfusion.console.progress import ShowProgress
    from vlfusion.inference.folders import fuse
    from vlfusion.system.memory import parse_bytes

    if fuse_volumes.are_volumes(args):
        return fuse_volumes.run(args)
    if fuse_video.are_videos(args):
        return fuse_video.run(args)
    if is_stack(args):
        return fuse_stacks(args)
    require_effect(args, 'pictures')
    max_memory = args.max_memory and parse_bytes(args.max_memory)
    import_modules(args.modules)
    with opened_cluster(args) as cluster, ShowProgress() as show:
        done = fuse(args.checkpoint, args.source_a, args.source_b, args.out, names=args.names,
                    skip_existing=args.skip_existing, grey=args.grey, text=args.text, reading=reading_keys(args),
                    show=show, describe=args.describe, maps=args.maps, suffix=args.suffix, task=args.task,
                    protocol=args.protocol, chroma=args.chroma, instruction=args.instruction,
                    store=args.store, words=args.words, read_text=not args.no_text, trust=args.trust_checkpoint,
                    modality_a=args.modality_a, modality_b=args.modality_b, device=args.device,
                    tiles=args.tiles, tile_size=args.tile_size, max_memory=max_memory, batch_size=args.batch_size,
                    precision=args.precision,
                    fit=args.fit or 'refuse', register=args.register, depth=args.depth or 8, cluster=cluster)
    report(args, done)
    return 1 if done.failed else 0


def report(args: argparse.Namespace, done: 'FusedFiles') -> None:
    """Print what was written, how the sources were read, and which pairs failed."""
    from vlfusion.cli.options import reading_keys
    from vlfusion.data.words_record import RECORD
    from vlfusion.imaging.reading.rule import readings_of
    files, written, failed = [*done.written.values(), *done.kept.values()], len(done.written), done.failed
    for name, words in done.words.items():
        for about, paragraph in words.items():
            print(printable(f'{name}, {about}: {paragraph}'))
    for path in sorted({done.written[name].parent / RECORD for name in done.words}):
        print(printable(f'Wrote these words to {path}.'))
    for name, alignment in done.alignments.items():
        print(printable(f'{name}: {alignment}'))
    where = files[0] if len(files) == 1 and not failed else args.out
    print(f'Wrote {written} fused image{"" if written == 1 else "s"} to {printable(where)}.'
          + (f' {len(done.kept)} existed already.' if done.kept else ''))
    for side, rule in zip('AB', readings_of(reading_keys(args)), strict=True):
        if str(rule):
            print(f'Source {side} was read with {rule}.')
    if failed:
        problems = [f'{error.problem} {error.remedy}' for error in failed.values()]
        print(f'{len(failed)} of {written + len(failed)} pairs could not be fused:\n'
              f'{listing(problems, len(failed))}\n'
              '  -> Fix the problems above and run the command again with --skip-existing.', file=sys.stderr)
