"""Make the files that training and testing read.

    vlfusion prepare-data sample
    vlfusion prepare-data hdf5 configs/film/film_ivf.py --split train --out data/MSRS_train.h5
    vlfusion prepare-data weights vlfusion_ifcnn.IFCNN --which ivf --out work_dirs/ifcnn.pth
"""

import argparse

HELP = 'make simulated sample pairs, write a data set as one HDF5 file, or convert released weights'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_config
    kinds = parser.add_subparsers(required=True, metavar='KIND')

    sample = kinds.add_parser('sample', help='simulated pairs for every task; needs no download')
    sample.add_argument('--out', default='data/sample', help='folder to make (default: %(default)s)')
    sample.add_argument('--count', type=int, default=12,
                        help='training pairs of each task; a third as many are for testing (default: %(default)s)')
    sample.add_argument('--size', type=int, default=128, help='height and width in pixels (default: %(default)s)')
    sample.set_defaults(prepare=_sample)

    hdf5 = kinds.add_parser('hdf5', help="a config's data set, text included, in the layout that FILM trains on")
    add_config(hdf5)
    hdf5.add_argument('--split', choices=('train', 'val', 'test'), default='train',
                      help="which of the config's data sets; its pipeline runs once for each pair, so random crops and "
                           'flips are drawn once and then stay (default: %(default)s)')
    hdf5.add_argument('--out', required=True, metavar='FILE.h5', help='file to write')
    hdf5.set_defaults(prepare=_hdf5)

    weights = kinds.add_parser('weights', help="check the authors' weights of a method and make a checkpoint of them")
    weights.add_argument('name', help='the backbone, such as vlfusion_ifcnn.IFCNN; see `vlfusion list backbone`')
    weights.add_argument('--which', help='which of several released weights')
    weights.add_argument('--from', dest='folder', default='data/weights',
                         help="folder that holds the authors' files (default: %(default)s)")
    weights.add_argument('--out', required=True, metavar='FILE.pth', help='checkpoint to write')
    weights.set_defaults(prepare=_weights)


def run(args: argparse.Namespace) -> int:
    return args.prepare(args)


def _sample(args: argparse.Namespace) -> int:
    from vlfusion.data.sample import make_sample
    if make_sample(args.out, args.count, args.size):
        print(f'Simulated pairs for every task are in {args.out}; its README.md says what they are.')
    else:
        print(f'{args.out} already holds these pairs.')
    return 0


def _hdf5(args: argparse.Namespace) -> int:
    from vlfusion.config import load_config
    from vlfusion.data.hdf5 import write_hdf5
    from vlfusion.data.sampler import Draw
    from vlfusion.errors import ConfigError
    from vlfusion.registry import DATASETS
    from vlfusion.runner import share_keys
    config = load_config(args.config, args.cfg_options)
    loader = config.get(f'{args.split}_dataloader')
    if not loader:
        raise ConfigError(f'{args.config} has no {args.split}_dataloader.', 'Choose another --split, or add one.')
    share_keys(config, loader.dataset, DATASETS)
    dataset = DATASETS.build(loader.dataset)
    write_hdf5(args.out, (dataset[Draw(index, seed=index)] for index in range(len(dataset))))
    print(f'{len(dataset)} pairs are in {args.out}.')
    return 0


def _weights(args: argparse.Namespace) -> int:
    from vlfusion.checkpoints import convert_released, find_released
    weights, files = find_released(args.name, args.which, args.folder)
    count = convert_released(args.name, files, args.out, weights.task, weights.protocol, weights.arguments)
    print(f'{args.out}: {count} tensors, each in its place. Licence of the weights: {weights.licence}.')
    return 0
