"""Let a shell complete verbs, options, and names of models, configs, recipes and data sets on the Tab key.

    eval "$(vlfusion completion bash)"      # in ~/.bashrc
    eval "$(vlfusion completion zsh)"       # in ~/.zshrc, after compinit
    vlfusion completion fish | source       # in ~/.config/fish/config.fish

It is argcomplete's completion, so `activate-global-python-argcomplete` works too.
"""

import argparse
from collections.abc import Callable, Iterable, Sequence

#: Line to add, by shell.
LINES = {'bash': '~/.bashrc: eval "$(vlfusion completion bash)"', 'zsh': '~/.zshrc: eval "$(vlfusion completion zsh)"',
         'fish': '~/.config/fish/config.fish: vlfusion completion fish | source'}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('shell', choices=LINES, help='the shell that completes')


def run(args: argparse.Namespace) -> int:
    import argcomplete
    print(f'# Add to {LINES[args.shell]}')
    print(argcomplete.shellcode(['vlfusion'], shell=args.shell))
    return 0


def add_completers(parser: argparse.ArgumentParser, verb: str = '') -> None:
    """Let arguments that take a name complete it. Nothing that needs torch is imported.

    Args:
        parser: the parser of all verbs.
        verb: the verb, if `parser` is that of one.
    """
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                add_completers(inner, verb or word)
        elif lists := NAMES.get(f'{verb} {action.dest}') or NAMES.get((action.option_strings or [action.dest])[-1]):
            action.completer = _completer(lists, files=action.dest in ('checkpoint', 'config', 'model'))


def _completer(lists: Sequence[Callable[[], Iterable[str]]], files: bool) -> Callable[..., list[str]]:
    """Complete the names of these lists, and paths if there may be a file in place of a name."""
    def complete(prefix: str, **_) -> list[str]:
        from argcomplete.completers import FilesCompleter
        names = [name for names in lists for name in names() if name.startswith(prefix)]
        return names + (list(FilesCompleter()(prefix)) if files else [])
    return complete


def _models() -> Iterable[str]:
    from vlfusion.zoo.entries import find_models
    return find_models()


def _configs() -> Iterable[str]:
    from vlfusion.config_names import shipped
    return (name for name in shipped() if '_base_' not in name.split('/'))


def _recipes() -> Iterable[str]:
    from vlfusion.language.recipes import find_recipes
    return find_recipes()


def _sets() -> Iterable[str]:
    from vlfusion.zoo.sets import find_sets
    return find_sets()


def _plugins() -> Iterable[str]:
    from vlfusion.plugins import found
    return (plugin.entry.name for plugin in found())


#: Lists of names that an argument takes: by its option or its destination, or by verb and destination.
NAMES: dict[str, tuple[Callable[[], Iterable[str]], ...]] = {
    'checkpoint': (_models,), 'model': (_models,), 'config': (_configs, _models), '--words': (_recipes,),
    '--against': (_models,), '--set': (_configs,), 'models words': (_models,),
    'data words': (_sets, lambda: ('get', 'check')),
    'words name': (_recipes,), 'check-plugin name': (_plugins,)}
