"""Options and report of `vlfusion fuse` for videos."""

import argparse
import os
from typing import TYPE_CHECKING

from vlfusion.errors import ConfigError, printable

if TYPE_CHECKING:
    from vlfusion.inference.video import FusedVideo


def add_video_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for videos and folders of numbered frames."""
    group = parser.add_argument_group('videos', 'two videos, or folders of numbered frames (docs/howto/video.md); '
                                      '--out is a .mp4, .mov, .mkv or .webm file, or a new folder of frames')
    add_pairing(group)
    group.add_argument('--codec', metavar='NAME',
                       help='h264 (default), vp9 (default for .webm), or ffv1, which loses nothing (.mkv, .mp4)')
    group.add_argument('--no-audio', action='store_true', help='leave the sound of the sources out')


def add_pairing(parser: argparse._ActionsContainer) -> None:
    """Add the options that say which frames belong together."""
    from vlfusion.guards.ranges import FINITE
    parser.add_argument('--frame-rate', metavar='N', help='frames a second of folders, such as 25 or 30000/1001; makes '
                                                          'pictures in folders frames')
    parser.add_argument('--offset', type=FINITE, metavar='SECONDS',
                        help='time at which source B began after source A (default: 0)')


def are_videos(args: argparse.Namespace) -> bool:
    """Tell whether frames are fused: a video is read or written, or folders have a frame rate.

    Raises ConfigError if there are not two sources.
    """
    from vlfusion.inference.video import wants_video
    sources = [source for source in (args.source_a, args.source_b, *args.others) if source is not None]
    videos = wants_video(sources, args.out)
    framed = not videos and bool(args.frame_rate) and not any(map(os.path.isfile, sources))
    given = f'{len(sources)} source{"s were" if len(sources) > 1 else " was"} given'
    if framed and len(sources) != 2:
        raise ConfigError(f'--frame-rate makes the pictures of two folders the frames of two videos, but {given}.',
                          'Give two folders; or leave --frame-rate out to fuse a stack.')
    if videos and len(sources) != 2:
        raise ConfigError(f'Videos are fused in pairs, but {given}.', 'Give two videos.')
    return videos or framed


def run(args: argparse.Namespace) -> int:
    """Fuse two videos, or folders of frames, into a video, and print what was written."""
    from vlfusion.cli.fuse_kinds import require_effect
    from vlfusion.cli.options import import_modules, reading_keys
    from vlfusion.console.progress import ShowProgress
    from vlfusion.inference.video import fuse_video
    from vlfusion.system.memory import parse_bytes
    require_effect(args, 'videos')
    import_modules(args.modules)
    with ShowProgress() as show:
        done = fuse_video(
            args.checkpoint, args.source_a, args.source_b, args.out, frame_rate=args.frame_rate,
            offset=args.offset or 0., fit=args.fit or 'refuse', codec=args.codec or '', audio=not args.no_audio,
            describe='scene' if isinstance(args.describe, bool) else args.describe, grey=args.grey,
            suffix=args.suffix, depth=args.depth or 8, reading=reading_keys(args), show=show, task=args.task,
            protocol=args.protocol, chroma=args.chroma,
            instruction=args.instruction, store=args.store, words=args.words, read_text=not args.no_text,
            trust=args.trust_checkpoint, modality_a=args.modality_a, modality_b=args.modality_b, device=args.device,
            tiles=args.tiles, tile_size=args.tile_size, max_memory=args.max_memory and parse_bytes(args.max_memory),
            batch_size=args.batch_size, precision=args.precision)
    _report(args, done)
    return 0


def _report(args: argparse.Namespace, done: 'FusedVideo') -> None:
    if args.describe:
        for number, words in done.words.items():
            for about, paragraph in words.items():
                print(printable(f'frame {number}, {about}: {paragraph}'))
    sound = f', with the sound of {done.sound}' if done.sound else ''
    length = f'{float(done.rate):.6g} a second' if done.path.is_dir() else f'{done.seconds:.2f} s'
    print(printable(f'Wrote {done.frames} frames ({length}) to {done.path}{sound}: '
                    f'{done.speed:.3g} frames/s.'))
    for side, source, numbers in (('A', args.source_a, done.unpaired_a), ('B', args.source_b, done.unpaired_b)):
        if numbers:
            print(printable(f'{len(numbers)} frames of source {side} ({source}) have no partner and were left out: '
                            f'{_spans(numbers)}.'))


def _spans(numbers: list[int], most: int = 6) -> str:
    """Write rising numbers, runs of them as spans: the first ones and the last.

    >>> _spans([1, 2, 3, 7, 9, 10]), _spans([1, 3, 5, 7, 9], most=3)
    ('1-3, 7, 9-10', '1, 3 ... 9')
    """
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    shown = [f'{first}-{last}' if last > first else f'{first}' for first, last in spans]
    return ', '.join(shown) if len(shown) <= most else f'{", ".join(shown[:most - 1])} ... {shown[-1]}'
