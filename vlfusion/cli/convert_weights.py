"""Convert the released weights of a method to a checkpoint of vlfusion; they are loaded strictly and safely.

    vlfusion convert-weights FILM IVF.pth work_dirs/film_ivf_released.pth --task ivf
    vlfusion convert-weights vlfusion_cddfuse.CDDFuse MIF.pth out.pth --task mif --options residual=none
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.key_values import KeyValues
    parser.add_argument('name', help="the backbone, such as FILM; see `vlfusion list backbone`")
    parser.add_argument('released', nargs='+', help="the authors' file (.pth or .safetensors), or their files in order")
    parser.add_argument('out', help='the checkpoint to write')
    parser.add_argument('--options', nargs='+', action=KeyValues, metavar='KEY=VALUE',
                        help='arguments of the backbone')
    parser.add_argument('--protocol', help="how outputs become grey levels (default: as in the authors' code)")
    parser.add_argument('--task', default='ivf', help='task of the weights: ivf, mif, mef or mff (default: ivf)')


def run(args: argparse.Namespace) -> int:
    from vlfusion.imaging.tasks import get_task
    task = get_task(args.task).name

    from vlfusion.engine.released import convert_released
    from vlfusion.imaging.protocol import get_protocol
    if args.protocol:
        get_protocol(args.protocol)  # unknown names are refused before the work
    count = convert_released(args.name, args.released, args.out, task=task, protocol=args.protocol,
                             arguments=args.options)
    print(f'{args.out}: all {count} tensors fit.')
    return 0
