"""Fuse two images, or two folders of images paired by name, with a checkpoint; any size, colour kept.

    vlfusion fuse CHECKPOINT mri.png pet.png -o fused.png
    vlfusion fuse CHECKPOINT MRI/ PET/ -o fused/
    vlfusion fuse plugins/classical/configs/laplacian_ivf.py IR/ VI/ -o fused/
    vlfusion fuse CHECKPOINT ir_12mp.png vi_12mp.png -o fused.png --max-memory 2GiB
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_trust
    from vlfusion.numbers import COUNT
    parser.add_argument('checkpoint', help='a checkpoint of vlfusion; a config where the model has no weights')
    parser.add_argument('source_a', help='image or folder: infrared, MRI, over-exposed, near-focused')
    parser.add_argument('source_b', help='image or folder: visible; CT, PET or SPECT; under-exposed; far-focused')
    parser.add_argument('-o', '--out', required=True, help='image to write; a folder where the sources are folders')
    parser.add_argument('--grey', action='store_true', help='write luminance only')
    parser.add_argument('--task', help="ivf, mif, mef or mff (default: the checkpoint's)")
    parser.add_argument('--protocol', help="how outputs become grey levels: film, plain, truncate ... (default: the "
                                           "checkpoint's)")
    parser.add_argument('--text', help='token features (.npy) instead of describing the images: one file for all, or a '
                                       'folder of NAME.npy')
    parser.add_argument('--store', help='text store (default: the one that describing has filled below this folder, '
                                        "else vlfusion's own)")
    parser.add_argument('--words', metavar='CONFIG', help="describe the images as this config's language section says, "
                                                          'not as the checkpoint does')
    add_trust(parser)
    parser.add_argument('--modality-a', help="what source A is, as the captioner is told (default: the task's word)")
    parser.add_argument('--modality-b', help='what source B is, such as PET or CT; say what the training data said')
    parser.add_argument('--import', dest='modules', nargs='+', default=[], metavar='MODULE',
                        help='modules on the path that register the model, where a config would have custom_imports')
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
    import glob
    import importlib
    import os
    from functools import partial
    from pathlib import Path

    from vlfusion.errors import ConfigError, DataError
    source_a, source_b, out = Path(args.source_a), Path(args.source_b), Path(args.out)
    for source in (source_a, source_b):
        if not source.exists():
            raise DataError(f'No image or folder at {source}.', 'Check the path.')
    if source_a.is_dir() != source_b.is_dir():
        raise DataError(f'{source_a} and {source_b} are a folder and a file.', 'Give two files or two folders.')

    from vlfusion.data.pairs import Pair, find_pairs
    from vlfusion.data.text import FeatureFiles
    from vlfusion.inference import Fuser
    from vlfusion.memory import parse_bytes
    from vlfusion.progress import ShowProgress
    for module in args.modules:
        importlib.import_module(module)
    show = ShowProgress()
    fuser = Fuser(args.checkpoint, args.task, args.protocol, args.store, args.device, args.modality_a, args.modality_b,
                  args.tiles, args.tile_size, args.max_memory and parse_bytes(args.max_memory), args.batch_size,
                  args.precision, note=show.print, words=args.words, trust=args.trust_checkpoint)
    modalities = dict(modality_a=fuser.modality_a, modality_b=fuser.modality_b)
    if source_a.is_dir():
        pairs = find_pairs('.', glob.escape(str(source_a)), glob.escape(str(source_b)), **modalities)
        outputs = [out / f'{pair.name}.png' for pair in pairs]
    else:
        pairs = [Pair(source_a.stem, source_a, source_b, **modalities)]
        outputs = [out]
    features = None
    if args.text and len(fuser.text_dims) != 1:
        raise ConfigError(f'--text gives one text, but the model reads {", ".join(fuser.text_dims) or "none"}.',
                          'Leave --text out, or call vlfusion.Fuser with a dict of texts.')
    if args.text:
        per_pair = Path(args.text).is_dir()
        features = FeatureFiles(args.text, '{name}.npy') if per_pair else FeatureFiles(*os.path.split(args.text))
        features.check(pairs if per_pair else pairs[:1])
    output_of = dict(zip(pairs, outputs, strict=True))
    fused = fuser.fuse_many(pairs, features.load if features else None, progress=partial(show, 'one pair', inner=True),
                            finish=lambda pair, fused: fused.save(output_of[pair], grey=args.grey))
    with show:
        show('fusing', 0, len(pairs))
        for done, _ in enumerate(fused, 1):
            show('fusing', done, len(pairs))
    print(f'Wrote {len(pairs)} fused image{"s" if len(pairs) > 1 else ""} to {out}.')
    return 0
