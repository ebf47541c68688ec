"""Recipes of words: `language` sections by name, such as `measured` or `qwen-vl`, with what each of them needs.

A recipe is a config in `configs/_base_/language/` of vlfusion or of a plugin that sets `language`. Its name is that
of the file with hyphens. Its docstring holds the title, then facts as lines `Key: value`:

    Packages:   vlfusion[language,openai]
    Download:   9 GB, estimated from 4.4 billion parameters
    Memory:     11 GB of GPU
    Server:     http://localhost:8080/v1
    Key:        OPENAI_API_KEY
    Price:      0.4 US dollars (for 1,000 images)
    Width:      384
    Source:     FILM (Zhao et al., ICML 2024)
    Not known:  the version of ChatGPT

To list recipes no code is run: facts are read from the docstring.
"""

import ast
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from vlfusion import plugins
from vlfusion.config import load_config
from vlfusion.config_names import SEPARATOR, SUFFIXES, config_folder, find_config
from vlfusion.errors import UnknownNameError, did_you_mean
from vlfusion.language.section import ENCODERS, check_section, require_section

#: Folder of the recipes in the configs of a package.
FOLDER = '_base_/language'
#: Facts that a docstring may state, in the order of a card.
FACTS = ('Packages', 'Download', 'Memory', 'Server', 'Key', 'Price', 'Width', 'Source', 'Not known')
UNKNOWN = 'not known'
#: Files of a model on the hub that hold its weights, or list the files that do.
WEIGHTS = ('model.safetensors', 'model.safetensors.index.json', 'pytorch_model.bin', 'pytorch_model.bin.index.json')


@dataclass(frozen=True)
class Recipe:
    """Recipe of words.

    Attributes:
        name: its name, such as `qwen-vl`; `package::name` if vlfusion or another plugin has the same.
        package: package whose configs hold it.
        file: the config.
        title: the first line of its docstring.
        facts: what it states of itself, by the names in `FACTS`.
        models: ids of the models on the Hugging Face hub that its parts load.
    """

    name: str
    package: str
    file: Path
    title: str
    facts: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()

    def fact(self, name: str) -> str:
        """Return one of `FACTS`; `not known` if the recipe does not state it."""
        return self.facts.get(name, UNKNOWN)

    @property
    def width(self) -> int | None:
        """Features per token; None if the recipe does not state it."""
        width = re.match(r'\d+', self.fact('Width'))
        return int(width[0]) if width else None

    @property
    def asks_a_server(self) -> bool:
        """True if a server on one of the user's machines has to run."""
        return self.fact('Server').startswith('http')

    @property
    def wants_gpu(self) -> bool:
        """True if it runs a model that is slow without a GPU."""
        memory = self.fact('Memory')
        return 'GPU' in memory and 'no GPU' not in memory

    def is_here(self) -> bool:
        """Tell whether the cache of huggingface_hub holds weights of all its models. No network is used."""
        if not self.models:
            return True
        from huggingface_hub import try_to_load_from_cache
        return all(any(isinstance(try_to_load_from_cache(model, file), str) for file in WEIGHTS)
                   for model in self.models)

    def obstacles(self) -> list[str]:
        """Say what must be done before it can run here: packages to install, a key to set. Servers are not asked."""
        packages = re.findall(r'([\w.-]+)(\[[\w,-]+\])?', self.facts.get('Packages', ''))
        steps = [f"pip install '{name}{extras}'" for name, extras in packages if _lacks(name, extras)]
        key = (self.facts.get('Key') or 'none').split()[0].strip(',;')
        return steps + ([f'set {key}'] if key != 'none' and not os.environ.get(key) else [])


@dataclass(frozen=True)
class Words:
    """Words as somebody chose them: a recipe, a config, or a `language` section.

    Attributes:
        label: name for messages.
        language: the section.
        text_source: texts that the network reads, if the choice says so.
        width: features per token; None if unknown.
        recipe: the recipe, if it is one.
    """

    label: str
    language: Mapping[str, Any]
    text_source: Mapping[str, Any] | None = None
    width: int | None = None
    recipe: Recipe | None = None


def find_recipes() -> dict[str, Recipe]:
    """Return the recipes of vlfusion and of the installed plugins, by name. vlfusion's own have the plain names."""
    recipes = [recipe for package in ['vlfusion', *(plugin.package for plugin in plugins.found())]
               for recipe in _recipes_of(package)]
    count = Counter(recipe.name for recipe in recipes if recipe.package != 'vlfusion')
    own = {recipe.name for recipe in recipes if recipe.package == 'vlfusion'}
    named = {}
    for recipe in recipes:
        clashes = recipe.package != 'vlfusion' and (recipe.name in own or count[recipe.name] > 1)
        name = f'{recipe.package}{SEPARATOR}{recipe.name}' if clashes else recipe.name
        named[name] = replace(recipe, name=name)
    return named


def find_recipe(name: str) -> Recipe | None:
    """Return the recipe of a name, with or without its package; None if there is none."""
    recipes, name = find_recipes(), name.removesuffix('.py')
    package, _, stem = name.rpartition(SEPARATOR)
    stem = stem.replace('_', '-')
    if not package:
        return recipes.get(stem)
    return next((recipe for recipe in recipes.values()
                 if recipe.package == package and recipe.name.rpartition(SEPARATOR)[2] == stem), None)


def get_recipe(name: str) -> Recipe:
    """Return the recipe of a name.

    >>> get_recipe('measured').width
    384

    Raises:
        UnknownNameError: no recipe has that name.
    """
    if recipe := find_recipe(name):
        return recipe
    raise UnknownNameError(f'There is no recipe of words {name!r}.',
                           f'{did_you_mean(name, find_recipes())} `vlfusion words` shows all.')


def find_words(words: str | os.PathLike | Mapping) -> Words:
    """Return the words that a name, a config or a section stands for.

    A name of a recipe comes before the name of a config. A file needs a suffix of configs, so a folder or another file
    in the current folder is never taken for one.

    Raises:
        UnknownNameError: neither a recipe nor a config has that name.
        ConfigError: the config is absent or invalid, or has no `language` section.
    """
    if isinstance(words, Mapping):
        check_section(words)
        return Words('the given section', words)
    path = os.fspath(words)
    recipe = None if Path(path).suffix in SUFFIXES and Path(path).is_file() else find_recipe(path)
    if not recipe and Path(path).suffix not in SUFFIXES and not find_config(path):
        raise UnknownNameError(f'{path!r} is neither a recipe of words nor a config.',
                               f'{did_you_mean(path, find_recipes())} `vlfusion words` shows what each needs.')
    config = load_config(recipe.file if recipe else path)
    language = require_section(config.get('language'), path)
    dim = config.get('model', {}).get('backbone', {}).get('text_dim')
    return Words(f'the recipe {recipe.name}' if recipe else path, language.to_dict(), config.get('text_source'),
                 recipe.width if recipe else dim if isinstance(dim, int) else None, recipe)


def combine(words: Words, own: Mapping[str, Any] | None, *, trained: bool) -> tuple[dict[str, Any], str]:
    """Return the `language` section for a model under chosen words, and a note about it for the user.

    Captioners, LLM and prompt are those of the words. A trained model keeps its own text encoder, because it can read
    only the features that it was trained on; a model yet to be trained gets that of the words. A recipe writes to the
    text store that the model's own section names, a config to its own.

    Args:
        words: the chosen words.
        own: the model's own section, or the trusted parts of it; None if it has none.
        trained: True if the model has been trained.
    """
    own, language = own or {}, dict(words.language)
    if own.get('store') and (words.recipe or 'store' not in language):
        language['store'] = own['store']
    if own.get('fixed'):
        language.setdefault('fixed', own['fixed'])
    whose = 'its'
    if trained:
        language.pop('instruction_encoder', None)
        language |= {key: own[key] for key in ENCODERS if own.get(key)}
        whose = "the model's" if own.get('encoder') else whose
    parts = [*language.get('captioners', ()), *filter(None, [language.get('llm')])]
    encoder = f'{whose} text encoder {_shown(language["encoder"])}' if 'encoder' in language else 'no text encoder'
    return language, f'Words by {words.label}: {", ".join(map(_shown, parts))}; {encoder}.'


def _recipes_of(package: str) -> list[Recipe]:
    folder = config_folder(package)
    files = sorted((folder / FOLDER).glob('*.py')) if folder else []
    return [recipe for file in files if (recipe := _read(package, file))]


def _read(package: str, file: Path) -> Recipe | None:
    """Read a recipe; None for a file that does not set `language`, such as a former name, or cannot be read."""
    try:
        tree = ast.parse(file.read_text(encoding='utf-8'))
    except (OSError, SyntaxError, ValueError):
        return None
    names = {target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets
             if isinstance(target, ast.Name)}
    if 'language' not in names:
        return None
    docstring = ast.get_docstring(tree) or ''
    models = [node.value.value for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == 'model'
              and isinstance(node.value, ast.Constant) and re.fullmatch(r'[\w.-]+/[\w.-]+', str(node.value.value))]
    return Recipe(file.stem.replace('_', '-'), package, file, docstring.partition('\n')[0], _facts(docstring),
                  tuple(dict.fromkeys(models)))


def _facts(docstring: str) -> dict[str, str]:
    """Return the lines `Key: value` of a docstring; lines that are indented go on with the value before them.

    >>> _facts('Words.\\n\\nKey:    none\\nSource: a paper,\\n        and another')
    {'Key': 'none', 'Source': 'a paper, and another'}
    """
    lines = re.findall(rf'^({"|".join(FACTS)}): +(.*(?:\n +.*)*)', docstring, re.MULTILINE)
    return {key: ' '.join(value.split()) for key, value in lines}


def _lacks(name: str, extras: str) -> bool:
    """Tell whether a distribution, or one that its extras ask for, is not installed."""
    wanted = set(re.findall(r'[\w-]+', extras))
    try:
        version(name)
        for line in (requires(name) or ()) if wanted else ():
            extra = re.search(r"""extra == ['"]([\w-]+)['"]""", line)
            if extra and extra[1] in wanted:
                version(re.match(r'[\w.-]+', line)[0])
    except PackageNotFoundError:
        return True
    return False


def _shown(part: Mapping[str, Any]) -> str:
    """Return the type of a part, and its model if it names one."""
    return ' '.join(str(part[key]) for key in ('type', 'model') if part.get(key))
