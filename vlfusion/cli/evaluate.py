"""Score a folder of fused images from any program: a table of scores per image, and a record of the run.

    vlfusion evaluate fused/ --source-a TNO/ir --source-b TNO/vi --out scores/mine.csv
    vlfusion evaluate fused.mkv --source-a ir.mp4 --source-b vi.mp4 --out scores/video.csv
    vlfusion evaluate fused/ --source-a TNO/ir --source-b TNO/vi --out scores/mine.csv --ray
    vlfusion evaluate fused/ --stacks stacks/ --metrics Qabf MEF_SSIM --out scores/stacks.csv
    vlfusion evaluate 'out/{name}_fused.*' --source-a ir --source-b vi --metrics VIF MI:tang --controls --out mine.csv

A fused image and its sources share a name, apart from a prefix or suffix that all files of a folder have. Files are
scored as stored: neither 8-bit nor 16-bit images are stretched.
"""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from vlfusion.errors import ConfigError, listing

if TYPE_CHECKING:
    from vlfusion.evaluation.folder import FolderScores
    from vlfusion.system.ray_cluster import Cluster


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.fuse_video import add_pairing
    from vlfusion.cli.options import add_imports, add_maps, add_ray, add_reading
    from vlfusion.cli.tables import add_json
    from vlfusion.guards.ranges import COUNT
    parser.add_argument('fused', help="folder of fused images, or a pattern such as 'out/{name}_fused.*'")
    parser.add_argument('--source-a', metavar='DIR',
                        help='folder or pattern: infrared, MRI, over-exposed, near-focused')
    parser.add_argument('--source-b', metavar='DIR',
                        help='folder or pattern: visible; CT, PET or SPECT; under-exposed; far-focused')
    parser.add_argument('--stacks', nargs='+', metavar='DIR',
                        help='instead of --source-a and --source-b: a folder of stacks, or folders whose files of one '
                             'name form a stack')
    parser.add_argument('--out', required=True, metavar='FILE.csv', help='one line per image; FILE.json is the record')
    parser.add_argument('--task', help='ivf, mif, mef or mff, for messages and the record')
    parser.add_argument('--protocol', default='film',
                        help="rules for grey levels and variants of metrics: 'film' (default), 'plain' ...")
    parser.add_argument('--metrics', nargs='+', metavar='NAME',
                        help="metrics such as VIF or MI:tang; 'all' for every metric that can be computed (default: "
                             'EN SD SF AG VIF Qabf)')
    parser.add_argument('--truth', metavar='DIR', help='folder or pattern of true images, the result of a perfect '
                                                       'fusion')
    parser.add_argument('--truth-metrics', nargs='+', metavar='NAME',
                        help="metrics that compare to the true images, or 'all' (default: PSNR SSIM)")
    add_maps(parser, 'metrics that read them')
    parser.add_argument('--controls', action='store_true',
                        help='also score copies of the sources, their mean, maximum and noisy mean')
    add_reading(parser)
    add_imports(parser, 'metrics')
    group = parser.add_argument_group('sequences', 'a fused video, or numbered frames; give the options with which it '
                                      'was fused (docs/howto/video.md)')
    group.add_argument('--sequence', action='store_true',
                       help='take folders as numbered frames of videos, and score Flicker too')
    add_pairing(group)
    group.add_argument('--fit', choices=('refuse', 'resize', 'crop'),
                       help='rule for sources of different size (default: refuse)')
    parser.add_argument('--workers', type=COUNT, help='images scored at once (default: one per core)')
    add_ray(parser, 'score')
    parser.add_argument('--device', default='cpu', help='cpu, cuda, cuda:1 ...')
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from functools import partial

    from vlfusion.cli.stacks import require_sources
    from vlfusion.cli.tables import open_console, print_json
    from vlfusion.evaluation.outputs import check_output

    if args.truth_metrics and args.truth is None:
        raise ConfigError('--truth-metrics compare to true images, but there is no --truth.',
                          'Give their folder with --truth, or leave --truth-metrics out.')
    require_sources(args)
    check_output(args.out)

    from vlfusion.cli.options import import_modules, opened_cluster, refuse_given
    from vlfusion.console.progress import ShowProgress
    from vlfusion.evaluation.tables import controls_table, not_scored, summary_table
    from vlfusion.imaging.video.file import is_video
    import_modules(args.modules)
    sequence = args.sequence or any(is_video(place) for place in (args.fused, args.source_a, args.source_b) if place)
    if sequence:
        refuse_given(args, ('stacks', 'truth', 'maps', 'controls', 'ray', 'page_a', 'page_b', 'bands_a', 'bands_b'),
                     'on sequences')
    else:
        refuse_given(args, ('frame_rate', 'offset', 'fit'), 'on single images', 'Leave it out, or add --sequence.')
    score = _score_stacks if args.stacks else _score_sequence if sequence else _score_folder
    with opened_cluster(args) as cluster, ShowProgress() as show:
        scores = score(args, partial(show, 'scoring'), **({} if cluster is None else {'cluster': cluster}))
    written = scores.write(args.out)
    if args.json:
        print_json(scores.record)
        return 0
    console = open_console(160)
    console.print(summary_table(scores.rows, scores.undefined))
    if scores.controls:
        console.print(controls_table(scores.rows, scores.controls))
    if unfinite := [item for item in scores.undefined if item.value is not None]:
        many = len(unfinite) > 1
        print(f'{len(unfinite)} {"values are" if many else "value is"} not finite:\n{listing(map(str, unfinite))}')
    for line in (*scores.notes, not_scored(scores.undefined, len(scores.rows))):
        if line:
            print(line)
    print(f'Wrote {", ".join(map(str, written))}.')
    return 0


def _score_sequence(args: argparse.Namespace, progress: Callable[[int, int], None]) -> 'FolderScores':
    from vlfusion.evaluation.sequence import score_sequence
    return score_sequence(
        args.fused, args.source_a, args.source_b, metrics=args.metrics, protocol=args.protocol, task=args.task,
        frame_rate=args.frame_rate, offset=args.offset or 0., fit=args.fit or 'refuse', range_a=args.range_a,
        range_b=args.range_b, workers=args.workers, device=args.device, progress=progress)


def _score_folder(args: argparse.Namespace, progress: Callable[[int, int], None],
                  cluster: 'Cluster | None' = None) -> 'FolderScores':
    from vlfusion.cli.options import reading_keys
    from vlfusion.evaluation.folder import score_folder
    chosen = {key: value for key in ('metrics', 'truth_metrics') if (value := getattr(args, key))}
    return score_folder(
        args.fused, args.source_a, args.source_b, args.truth, **chosen, maps=args.maps, protocol=args.protocol,
        task=args.task, **reading_keys(args), controls=args.controls, workers=args.workers, device=args.device,
        progress=progress, cluster=cluster)


def _score_stacks(args: argparse.Namespace, progress: Callable[[int, int], None],
                  cluster: 'Cluster | None' = None) -> 'FolderScores':
    from vlfusion.cli.stacks import reading_of_all
    from vlfusion.evaluation.stacks import score_stacks
    return score_stacks(
        args.fused, args.stacks, args.truth, metrics=args.metrics, truth_metrics=args.truth_metrics,
        protocol=args.protocol, task=args.task, **reading_of_all(args), workers=args.workers, device=args.device,
        progress=progress, cluster=cluster)
