"""Options of `vlfusion fuse` for volumes, and the road from them to `vlfusion.fuse_volumes`."""

import argparse

from vlfusion.errors import ConfigError, printable


def add_volume_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for volumes."""
    group = parser.add_argument_group('volumes', 'two NIfTI files or two folders of DICOM series (docs/howto/'
                                      'volumes.md); --out is a .nii.gz file, a new folder of DICOM files, or a .png')
    group.add_argument('--onto', choices=('a', 'b'), help='source whose grid is kept (default: a)')
    group.add_argument('--axis', choices=('axial', 'coronal', 'sagittal'),
                       help="orientation of the slices (default: the acquisition's)")
    for side in 'ab':
        group.add_argument(f'--window-{side}', metavar='RULE',
                           help=f'values of source {side.upper()} that are black and white: percentile (default), '
                                f'minmax, ct:brain, ct:bone, suv:0,10, or LEVEL,WIDTH as --window-{side}=40,80')
    group.add_argument('--colormap', metavar='NAME', help="colours of source B, such as hot: one of matplotlib's")
    group.add_argument('--mosaic', metavar='FILE.png', help='also write a picture of some slices')
    group.add_argument('--keep-patient', action='store_true', default=None,
                       help='keep patient and study of the source whose grid is kept, in DICOM files')


def are_volumes(args: argparse.Namespace) -> bool:
    """Tell whether a source is a volume; raises ConfigError if a volume is not one of two sources."""
    from vlfusion.volumes.reading import is_volume
    sources = [source for source in (args.source_a, args.source_b, *args.others) if source is not None]
    volumes = any(map(is_volume, sources))
    if volumes and len(sources) != 2:
        raise ConfigError(f'Volumes are fused in pairs, but {len(sources)} sources were given.', 'Give two volumes.')
    return volumes


def run(args: argparse.Namespace) -> int:
    """Fuse two volumes, and print what was written."""
    from vlfusion.cli.fuse_kinds import require_effect
    from vlfusion.cli.options import import_modules
    from vlfusion.console.progress import ShowProgress
    from vlfusion.inference.volumes import fuse_volumes
    from vlfusion.system.memory import parse_bytes
    require_effect(args, 'volumes')
    import_modules(args.modules)
    with ShowProgress() as show:
        done = fuse_volumes(
            args.checkpoint, args.source_a, args.source_b, args.out, onto=args.onto or 'a', axis=args.axis,
            window_a=args.window_a, window_b=args.window_b, colormap=args.colormap, mosaic=args.mosaic,
            every=None if isinstance(args.describe, bool) else args.describe, describe=bool(args.describe),
            keep_patient=bool(args.keep_patient), offline=args.offline, show=show, task=args.task,
            protocol=args.protocol, chroma=args.chroma, instruction=args.instruction, store=args.store,
            words=args.words, read_text=not args.no_text, trust=args.trust_checkpoint, modality_a=args.modality_a,
            modality_b=args.modality_b, device=args.device, tiles=args.tiles, tile_size=args.tile_size,
            max_memory=args.max_memory and parse_bytes(args.max_memory), batch_size=args.batch_size,
            precision=args.precision)
    for name, words in done.words.items():
        for about, paragraph in words.items():
            print(printable(f'{name}, {about}: {paragraph}'))
    print(printable(f'Wrote {", ".join(map(str, done.written))}.'))
    return 0
