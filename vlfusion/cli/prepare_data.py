"""Make files for training and testing: sample pairs, packed data sets, converted weights.

    vlfusion prepare-data sample
    vlfusion prepare-data hdf5 film/film_ivf --split train --out data/MSRS_train.h5
    vlfusion prepare-data pack film/film_ivf --split train --out data/MSRS_train.safetensors
    vlfusion prepare-data pack data/MSRS_train.h5 --task ivf --out data/MSRS_train.safetensors
    vlfusion prepare-data weights ifcnn-ivf --out work_dirs/ifcnn.pth
"""

import argparse

from vlfusion.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_config
    from vlfusion.config import SPLITS
    from vlfusion.guards.ranges import COUNT
    kinds = parser.add_subparsers(required=True, metavar='KIND')

    sample = kinds.add_parser('sample', help='simulated pairs for every task; needs no download')
    sample.add_argument('--out', default='data/sample', help='folder to make (default: %(default)s)')
    sample.add_argument('--count', type=COUNT, default=12,
                        help='training pairs of each task, plus a third as many for testing (default: %(default)s)')
    sample.add_argument('--size', type=COUNT, default=128, help='height and width in pixels (default: %(default)s)')
    sample.set_defaults(prepare=_sample)

    hdf5 = kinds.add_parser('hdf5', help="a config's data set, text included, in the layout that FILM trains on")
    add_config(hdf5)
    hdf5.add_argument('--split', choices=SPLITS, default='train',
                      help="split of the config's data; its pipeline runs once for each pair, so random crops and "
                           'flips are stored as drawn (default: %(default)s)')
    hdf5.add_argument('--out', required=True, metavar='FILE.h5', help='file to write')
    hdf5.set_defaults(prepare=_hdf5)

    pack = kinds.add_parser('pack', help="a config's data set, or an HDF5 file in FILM's layout given as CONFIG, as "
                                         'one small file that is quick to read')
    add_config(pack)
    pack.add_argument('--split', choices=SPLITS, default='train',
                      help="split of the config's data; images are stored as LoadPair reads them, and the rest of the "
                           'pipeline runs when the file is read (default: %(default)s)')
    pack.add_argument('--task', help='task of an HDF5 file, which does not state it: ivf, mif, mef or mff')
    pack.add_argument('--no-text', action='store_true', help='read no text from an HDF5 file; needed if it has none')
    pack.add_argument('--out', required=True, metavar='FILE.safetensors', help='file to write')
    pack.set_defaults(prepare=_pack)

    weights = kinds.add_parser('weights', help="the authors' weights of a named model as a checkpoint; the other "
                                               'verbs take the name itself')
    weights.add_argument('name', help='the model, such as ifcnn-ivf, see `vlfusion models`; or its backbone, such as '
                                      'vlfusion_ifcnn.IFCNN')
    weights.add_argument('--which', help='task or another part of the name, if a backbone has several models')
    weights.add_argument('--from', dest='folder', metavar='FOLDER',
                         help="folder with the authors' files, at any depth (default: they are downloaded)")
    weights.add_argument('--out', required=True, metavar='FILE.pth', help='checkpoint to write')
    weights.set_defaults(prepare=_weights)


def run(args: argparse.Namespace) -> int:
    return args.prepare(args)


def _sample(args: argparse.Namespace) -> int:
    from vlfusion.data.sample import make_sample
    if make_sample(args.out, args.count, args.size):
        print(f'Simulated pairs for every task are in {args.out}; its README.md describes them.')
    else:
        print(f'{args.out} already contains these pairs.')
    return 0


def _hdf5(args: argparse.Namespace) -> int:
    from functools import partial

    from vlfusion.config import load_config
    from vlfusion.guards.outputs import check_outputs
    check_outputs([args.out], [args.config])
    config = load_config(args.config, args.cfg_options)

    from vlfusion.console.progress import track
    from vlfusion.data.preparing import write_config_hdf5
    count = write_config_hdf5(config, args.split, args.out, show=partial(track, step='writing'))
    print(f'{count} pairs are in {args.out}.')
    return 0


def _pack(args: argparse.Namespace) -> int:
    from functools import partial
    from pathlib import Path

    from mmengine.config import Config

    from vlfusion.config import load_config
    from vlfusion.config_names import is_config
    from vlfusion.guards.outputs import check_outputs
    check_outputs([args.out], [args.config])
    from_config = is_config(args.config)
    if from_config and (args.task or args.no_text):
        raise ConfigError('--task and --no-text are for HDF5 files; a config states both itself.', 'Leave them out.')
    if not from_config and not args.task:
        raise ConfigError(f'{args.config} does not state the task of its pairs.', 'Add --task ivf, mif, mef or mff.')
    source = load_config(args.config, args.cfg_options) if from_config else args.config

    from vlfusion.console.progress import track
    from vlfusion.data.preparing import pack
    dataset, stored, reader = pack(source, args.out, split=args.split, task=args.task, read_text=not args.no_text,
                                   show=partial(track, step='packing'))
    print(f'{len(dataset)} pairs are in {args.out}, {Path(args.out).stat().st_size / 1e6:.1f} MB: '
          f'{", ".join(f"{key} in {dtypes}" for key, dtypes in stored.items())}.\nTo read them, write in a config:\n')
    print(Config({f'{args.split}_dataloader': dict(dataset=dict(_delete_=True, **reader))}).pretty_text)
    return 0


def _weights(args: argparse.Namespace) -> int:
    from vlfusion.zoo.entries import choose_entry
    entry = choose_entry(args.name, args.which)

    from vlfusion.engine.named import convert, download
    from vlfusion.engine.released import find_released
    files = find_released(entry, args.folder) if args.folder else download(entry)
    print(f'{args.out}: all {convert(entry, files, args.out)} tensors fit. Licence of the weights: {entry.licence}.')
    return 0
