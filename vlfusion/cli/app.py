"""Open a page in the browser on which pairs, folders and volumes are fused, compared and scored.

    vlfusion app                             # the first model that is here
    vlfusion app film-guide-mif --open       # a model that reads instructions, in the browser at once
    vlfusion app laplacian --port 8000 --max-upload 1GiB
    vlfusion app work_dirs/mine/iter_500.pth --device cuda

The page is for this machine alone. Ctrl-C ends it and removes all uploads and results.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_imports, add_trust, add_words
    from vlfusion.guards.ranges import COUNT, PORT
    parser.add_argument('model', nargs='?', default='', metavar='MODEL',
                        help='model to begin with, as for `fuse` (default: the first whose weights are here); the page '
                             'offers all of them')
    parser.add_argument('--port', type=PORT, metavar='N', help='port of the page (default: the first free from 7860)')
    parser.add_argument('--open', action='store_true', help='open the page in the browser')
    parser.add_argument('--share', action='store_true',
                        help='give the page a public address: everyone who knows it can use this machine to fuse')
    parser.add_argument('--max-upload', default='256MiB', metavar='SIZE',
                        help='largest file that is taken (default: %(default)s)')
    parser.add_argument('--max-pixels', type=COUNT, default=24_000_000, metavar='N',
                        help='most pixels of a picture (default: 24 million)')
    parser.add_argument('--max-files', type=COUNT, default=1000, metavar='N',
                        help='most pictures of a folder (default: %(default)s)')
    parser.add_argument('--max-voxels', type=COUNT, default=64_000_000, metavar='N',
                        help='most voxels of a volume (default: 64 million)')
    parser.add_argument('--store', help='text store to keep (default: words of uploads are removed with them)')
    add_words(parser, keeps=True)
    add_trust(parser)
    add_imports(parser, 'the model')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 ... (default: CUDA if there is a GPU)')
    parser.add_argument('--max-memory', metavar='SIZE',
                        help='memory that a network may use, such as 2GiB (default: four fifths of the free memory)')


def run(args: argparse.Namespace) -> int:
    from vlfusion.app.limits import Limits
    from vlfusion.app.serve import open_page
    from vlfusion.cli.options import import_modules
    from vlfusion.system.memory import parse_bytes
    limits = Limits(parse_bytes(args.max_upload), args.max_pixels, args.max_files, args.max_voxels)
    import_modules(args.modules)
    options = dict(device=args.device, words=args.words, trust=args.trust_checkpoint,
                   max_memory=args.max_memory and parse_bytes(args.max_memory))
    given = {name: value for name, value in options.items() if value}
    if args.share:
        print('WARNING: --share makes the page public. Everyone who knows the address can upload files to this machine '
              'and compute on it, for up to a week, and pictures pass through a server of Gradio. Do not use it for '
              'pictures of patients.', flush=True)
    with open_page(args.model, port=args.port, share=args.share, limits=limits, browser=args.open, store=args.store,
                   modules=args.modules, **given) as opened:
        print(f'The page is open at {opened.address}' + (f', and for everyone at {opened.public}' if opened.public else
                                                         ', for this machine alone') + '. Ctrl-C ends it.', flush=True)
        opened.wait()
    return 0
