# PYTHON_ARGCOMPLETE_OK
"""The command line: `vlfusion VERB ...`, and `tools/VERB.py ...`, which runs the same code.

A verb is a module with `add_arguments(parser)` and `run(args) -> exit code`; its docstring is its help. It parses and
prints. The work is a function that Python can call too (docs/reference/python.md). Only the module of the given verb is
imported. torch and other slow packages are imported inside `run`, so that help and errors come at once.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from typing import NoReturn

from vlfusion.cli.ending import run_to_the_end, traced
from vlfusion.system.threads import bound_spinning

#: The verbs with their help lines, in the order of the help. `ablate-text` is the module `ablate_text`.
VERBS = {
    'prepare-data': 'make simulated sample pairs, write a data set as one file, or convert released weights',
    'data': 'list, fetch and check public data sets',
    'describe': 'describe images with captioners and an LLM, and encode the descriptions',
    'words': 'list the recipes of words, explain one, or start a local server for them',
    'text': 'show, audit, export or import descriptions and their features',
    'train': 'train a model',
    'test': 'test a checkpoint: fused pictures and a table of numbers',
    'fuse': 'fuse two images or two folders',
    'check-pairs': 'check whether the images of pairs are registered',
    'models': 'list the models that have a name, or show the card of one',
    'app': 'open a page in the browser that fuses, compares and scores',
    'push': 'publish a model on the Hugging Face hub',
    'export': 'write a model as ONNX, an exported program or TorchScript',
    'evaluate': 'score a folder of fused images',
    'metrics': 'list the metrics, or explain one with its variants',
    'benchmark': 'compare methods on data sets: leaderboards, costs, report',
    'leaderboard': 'compare methods by their scores, with tests of significance',
    'downstream': 'detect and segment in fused pictures: check labels, score predictions, compare methods',
    'ablate-text': 'compare fusions under own, empty, fixed, swapped, shuffled and noisy texts',
    'reproduce': "compare a folder with a paper's numbers, and explain gaps",
    'compare': 'compare two folders of pictures in grey levels',
    'contact-sheet': 'draw pairs, methods and enlarged crops as a figure',
    'convert-weights': "turn a method's released weights into a checkpoint of vlfusion",
    'list': 'list the names that a config can use, with a line on each',
    'new-plugin': 'write a new plugin to fill with your own method',
    'check-plugin': 'check what a plugin provides',
    'env': 'print versions, devices, extras, plugins and settings, for a report of an error',
    'completion': 'print what makes a shell complete verbs, options and names',
}


#: Variables that forbid downloads: vlfusion's own, and that of huggingface_hub and transformers.
OFFLINE = {'VLFUSION_OFFLINE': '1', 'HF_HUB_OFFLINE': '1'}
#: Variables that turn off progress bars of other libraries.
QUIET = {'TQDM_DISABLE': '1', 'HF_HUB_DISABLE_PROGRESS_BARS': '1'}
#: Options of all verbs, by their name in the namespace. They may stand anywhere, also after `prepare-data weights`.
COMMON = {
    'offline': (('--offline',), 'download nothing: no weights, no data, nothing from a model hub'),
    'quiet': (('-q', '--quiet'), 'print neither progress nor notes, only results, warnings and errors'),
    'verbose': (('-v', '--verbose'), 'print more: the log of a training or test with environment and config, and '
                                     'where in the code an error was raised'),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `vlfusion VERB ...`. An error of the user is printed with its remedy, and the exit code is 2."""
    bound_spinning()
    if not sys.stderr.isatty():
        os.environ.setdefault('TQDM_MININTERVAL', '30')  # progress bars of other libraries print few lines too

    def command() -> int | None:
        args = parse(sys.argv[1:] if argv is None else argv)
        from vlfusion.console.verbosity import Verbosity, verbosity
        chosen = {**(OFFLINE if args.offline else {}), **(QUIET if args.quiet else {})}
        with variables(chosen), verbosity(Verbosity(1 + args.verbose - args.quiet)), traced(args.verbose):
            return args.run(args)
    if '_ARGCOMPLETE' in os.environ:
        complete()
    return run_to_the_end(command)


def complete() -> None:
    """Answer a shell that asks how to complete a line; ends the process."""
    import argcomplete

    from vlfusion.cli.completion import add_completers
    line = os.environ['COMP_LINE'].split()
    parser = make_parser(next((word for word in line[1:] if not word.startswith('-')), None))
    add_completers(parser)
    argcomplete.autocomplete(parser)


@contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables inside the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


class Parser(argparse.ArgumentParser):
    """A parser that suggests a choice for a misspelt one."""

    def error(self, message: str) -> NoReturn:
        if match := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message):
            near = get_close_matches(match[1], re.findall(r'[\w-]+', match[2]), n=1, cutoff=0.5)
            message += f'\nDid you mean {near[0]}?' if near else ''
        super().error(message)


def make_parser(chosen: str | None) -> Parser:
    """Return the parser of all verbs. Only the chosen one has its arguments, because they need imports."""
    from vlfusion import __version__
    parser = Parser(prog='vlfusion', description='Vision-language guided image fusion.')
    parser.add_argument('--version', action='version', version=f'vlfusion {__version__}')
    verbs = parser.add_subparsers(dest='verb', required=True, metavar='VERB')
    for verb, line in VERBS.items():
        verb_parser = verbs.add_parser(verb, help=line, formatter_class=argparse.RawDescriptionHelpFormatter)
        if verb == chosen:
            module = import_module(f'vlfusion.cli.{verb.replace("-", "_")}')
            verb_parser.description = module.__doc__
            module.add_arguments(verb_parser)
            for flags, meaning in COMMON.values():
                verb_parser.add_argument(*flags, action='store_true', help=meaning)
            verb_parser.set_defaults(run=module.run)
    return parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of the command line, with the function `run` of their verb."""
    names = {flag: name for name, (flags, _) in COMMON.items() for flag in flags}
    words = [word for word in argv if word not in names]
    parser = make_parser(next((word for word in words if not word.startswith('-')), None))
    args = parser.parse_args(words)
    for word in argv:
        if word in names:
            setattr(args, names[word], True)
    if args.quiet and args.verbose:
        parser.error('-q asks for less and -v for more: give one of the two.')
    if any('~' in word for word in argv):
        from vlfusion.config import expand_home
        args = argparse.Namespace(**expand_home(vars(args)))
    return args


def script(path: str) -> None:
    """Run the verb of a script `tools/<verb>.py`, and exit with its code."""
    from pathlib import Path
    sys.exit(main([Path(path).stem.replace('_', '-'), *sys.argv[1:]]))
