"""Publish a model on the Hugging Face hub: weights, experiment and a model card.

    vlfusion push work_dirs/film_mif/best.pth anna/film-mri --license apache-2.0
    vlfusion fuse hf://anna/film-mri mri.png pet.png -o fused.png    # how everybody uses it

The token comes from HF_TOKEN or `hf auth login`, the server from HF_ENDPOINT.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_imports
    parser.add_argument('model', help='a checkpoint, or the name of a model with weights')
    parser.add_argument('repo', metavar='OWNER/NAME', help='repository on the hub; it is made if it does not exist')
    parser.add_argument('--private', action='store_true', default=None, help='make a new repository private')
    parser.add_argument('--license', default='', metavar='ID',
                        help='licence of the weights for a new model card, such as apache-2.0')
    parser.add_argument('-m', '--message', default='', help='commit message')
    add_imports(parser, 'the model, like custom_imports of a config')


def run(args: argparse.Namespace) -> int:
    from vlfusion.cli.options import import_modules
    from vlfusion.zoo.hub import page, parse_repo
    from vlfusion.zoo.names import require_model
    require_model(args.model)
    parse_repo(args.repo)

    from vlfusion.engine.publish import publish
    import_modules(args.modules)
    address = publish(args.model, args.repo, private=args.private, message=args.message, license=args.license)
    print(f'Pushed {args.model} to {page(address)}. Complete its model card there.\nUse it as {address}')
    return 0
