"""Write a trained model as a file that fuses pairs of any height and width without vlfusion.

    vlfusion export work_dirs/ifcnn/best.pth --format onnx --out ifcnn.onnx
    vlfusion export film-ivf --format exported-program --out film.pt2
    vlfusion export work_dirs/film_ivf/best.pth --format onnx --out film.onnx --text street.npy
    vlfusion export film-guide-mif --format onnx --out left.onnx --instruction "show the PET more strongly on the left"

Before the file is written, it is loaded and compared with the model at several sizes.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_imports, add_trust
    from vlfusion.guards.ranges import POSITIVE
    parser.add_argument('checkpoint', metavar='MODEL',
                        help='a checkpoint, the name of a model such as film-mif, or a config of a model without '
                             'weights')
    parser.add_argument('--format', required=True, help='onnx, exported-program or torchscript')
    parser.add_argument('-o', '--out', required=True, help='file to write: .onnx, .pt2 or .pt')
    parser.add_argument('--text', help='token features (.npy) to store in the file, which then does not take them')
    instruction = parser.add_mutually_exclusive_group()
    instruction.add_argument('--instruction', metavar='SENTENCE',
                             help='instruction to store in the file (default: the file takes the features of one, if '
                                  'the model reads instructions)')
    instruction.add_argument('--no-instruction', action='store_true', help='write a file that takes no instruction')
    parser.add_argument('--tolerance', type=POSITIVE, default=1e-4,
                        help='largest allowed difference of the output, on a scale of 0 to 1 (default: %(default)s)')
    add_trust(parser)
    add_imports(parser, 'the model, like custom_imports of a config')


def run(args: argparse.Namespace) -> int:
    from vlfusion.cli.options import import_modules
    from vlfusion.zoo.names import require_model
    require_model(args.checkpoint)

    from vlfusion.inference.export import export_model

    import_modules(args.modules)
    exported = export_model(args.checkpoint, args.out, args.format, text=args.text,
                            instruction=not args.no_instruction if args.instruction is None else args.instruction,
                            tolerance=args.tolerance, trust=args.trust_checkpoint)
    batch = 'any number of pairs' if exported.any_batch else 'one pair at a time'
    inputs, size = ', '.join(exported.inputs), exported.path.stat().st_size
    print(f'Wrote {exported.path} ({size / 1e6:.1f} MB): {inputs} -> fused; {batch}.')
    sizes = ', '.join(f'{h}x{w}' for _, h, w in exported.differences)
    print(f'Largest difference from the model: {exported.difference:.2g} (height x width {sizes}).')
    return 0
