"""Models by name. Each package describes its own in a file `models.toml`, which is read without importing the package.

    [methods.IFCNN]
    backbone = "vlfusion_ifcnn.IFCNN"
    paper = "Zhang et al., IFCNN: A general image fusion framework, Information Fusion 54, 2020"
    parameters = 83587
    licence = "none stated"
    source = {repo = "uzeful/IFCNN", commit = "8fe59c2..."}

    [models.ifcnn-mff]
    task = "mff"
    arguments = {normalise = true}

    [[models.ifcnn-mff.source.files]]
    path = "Code/snapshots/IFCNN-MAX.pth"
    size = 337094
    blob = "93c6324..."
    sha256 = "6022b44..."

vlfusion's own file lies beside this module, and a plugin's in its package. Facts about models in a method's table hold
for all its models. A model without weights has no `source`. One that serves several tasks lists them
(`task = ["ivf", "mif"]`); `NAME-TASK` chooses one, and `NAME` means the first. A method whose weights nobody can fetch
has a table and no model.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints

from vlfusion import plugins
from vlfusion.errors import ConfigError, UnknownNameError, did_you_mean
from vlfusion.zoo.facts import Facts, by_name, check_facts, read_toml, stays_below, tasks_of
from vlfusion.zoo.remote import RemoteFile, is_digest

#: Form of a model's name. A name has no suffix and no folder, so no path to a checkpoint looks like one.
NAME = re.compile(r'[a-z0-9]+(-[a-z0-9]+)*')


@dataclass(frozen=True)
class Method:
    """Facts that all models of a method share.

    Attributes:
        name: name of the method as its paper writes it.
        backbone: registered name of the network.
        paper: authors, title, venue, year.
        code: address of the authors' code.
        parameters: number of parameters that fusing uses.
        text: the text that the network reads, in words; empty if it reads none.
        citation: BibTeX entry of the paper.
    """

    name: str
    backbone: str
    paper: str = ''
    code: str = ''
    parameters: int = 0
    text: str = ''
    citation: str = ''


@dataclass(frozen=True)
class Packaged:
    """Weights in a file of an installed package: a checkpoint of vlfusion, `.safetensors`."""

    path: Path

    def __str__(self) -> str:
        return 'in the package'


@dataclass(frozen=True)
class Pinned:
    """Weights in public files, each pinned to a commit, in the order in which the network's conversion takes them."""

    files: tuple[RemoteFile, ...]

    def __str__(self) -> str:
        return f'github.com/{self.files[0].repo}'


@dataclass(frozen=True)
class OnHub:
    """Weights in a repository on the Hugging Face hub, `hf://owner/name@revision`."""

    address: str

    def __str__(self) -> str:
        return self.address


@dataclass(frozen=True)
class ModelEntry:
    """A model that has a name.

    Attributes:
        name: the name, such as `ifcnn-mff`.
        package: the package that describes the model.
        method: facts about the method.
        tasks: tasks that the model serves; the first one is the default.
        source: place of the weights; None if the model has no weights.
        licence: licence of the weights; `none stated` if their authors state none; empty without weights.
        protocol: name of the conversion of outputs to grey levels.
        chroma: name of the colour rule; empty for the task's.
        arguments: arguments of the backbone.
        model: arguments of the model beside the backbone, and its `type`.
        words: recipe of words that describes images for the model, if the checkpoint does not say it.
        config: config that trains the model.
        trained: training data and schedule.
        verified: result of comparing outputs with the authors' own.
        numbers: scores with their conditions.
        notes: anything else that a user should know.
    """

    name: str
    package: str
    method: Method
    tasks: tuple[str, ...]
    source: Packaged | Pinned | OnHub | None = None
    licence: str = ''
    protocol: str = 'plain'
    chroma: str = ''
    arguments: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    words: str = ''
    config: str = ''
    trained: str = ''
    verified: str = ''
    numbers: str = ''
    notes: str = ''

    @property
    def scoped(self) -> str:
        """The name with its package, which no other model has."""
        return f'{self.package}.{self.name}'

    @property
    def experiment(self) -> dict[str, Any]:
        """Task, model and protocol, in the form that checkpoints hold."""
        model = {'type': 'FusionModel', **self.model, 'backbone': {'type': self.method.backbone, **self.arguments}}
        colour = {'chroma': self.chroma} if self.chroma else {}
        return dict(task=self.tasks[0], model=model, protocol=self.protocol, **colour)


def find_models() -> dict[str, ModelEntry]:
    """Return all models by name: first those that come with their weights, then those of vlfusion and of the plugins.

    If several packages use one name, each of their models is listed under its scoped name, `package.name`.
    """
    return by_name(sorted(FACTS.entries(), key=lambda entry: not isinstance(entry.source, Packaged)))


def find_model(name: str | os.PathLike) -> ModelEntry | None:
    """Return the model of a name, or None if no model has it.

    Args:
        name: `NAME`, `NAME-TASK` for one of several tasks, or either after the package, `package.NAME`.

    Raises:
        UnknownNameError: several packages have a model of that name.
        PluginError: `package` is a plugin whose `models.toml` cannot be read.
    """
    scope, _, plain = os.fspath(name).rpartition('.')
    if not NAME.fullmatch(plain):
        return None
    entries = FACTS.entries(scope)
    matching = [entry for entry in entries if entry.name == plain] or [
        replace(entry, tasks=(task,)) for entry in entries for task in entry.tasks
        if len(entry.tasks) > 1 and plain == f'{entry.name}-{task}']
    return FACTS.only(plain, matching)


def get_model(name: str) -> ModelEntry:
    """Return the model of a name; errors as for `find_model`.

    Raises:
        UnknownNameError: no model has the name.
    """
    if entry := find_model(name):
        return entry
    raise UnknownNameError(f'There is no model {name!r}.', advice_on(name))


def find_method(name: str) -> Method | None:
    """Return the method that has no model and this name, or None. The name of its network will do.

    Case and hyphens do not matter: `nlgfusion` is `NLG-fusion`.
    """
    plain = _letters(name)
    return next((method for method in METHODS.entries()
                 if plain in (_letters(method.name), _letters(method.backbone.rpartition('.')[2]))), None)


def advice_on(name: str) -> str:
    """Say what may be meant by a name that no model has, and which plugins could not be asked."""
    unread = (' '.join(fault.split()) for fault in FACTS.faults().values())
    if method := find_method(name):
        return '\n     '.join([f'{method.name} has no weights by a name: `vlfusion models {method.name}`.', *unread])
    provider = provider_of(name)
    near = '' if provider.startswith(f'{_spelled(name)} ') else similar_model(name)
    return '\n     '.join(filter(None, [provider, f'{near}`vlfusion models` shows all.', *unread]))


def models_of(backbone: str) -> list[ModelEntry]:
    """Return the models of a backbone, which may be named without its package."""
    return [entry for entry in FACTS.entries()
            if backbone in (entry.method.backbone, entry.method.backbone.rpartition('.')[2])]


def choose_entry(name: str, which: str | None = None) -> ModelEntry:
    """Return the model of a name, or one of a backbone's models.

    Args:
        name: as for `find_model`; or the name of a backbone.
        which: a task, such as `mif`, or another part of the model's name or of its files' names. Needed if the backbone
            has several models.

    Raises:
        UnknownNameError: there is no such model, or several fit.
    """
    if entry := find_model(name):
        return entry
    entries = models_of(name)
    if not entries:
        raise UnknownNameError(f'No released weights are known for {name}.',
                               f'{similar_model(name)}`vlfusion models` shows all models.')
    part = (which or '').lower()
    fitting = [entry for entry in entries if entry.name.partition('-')[2] == part] or [
        entry for entry in entries if part in ' '.join([entry.name, *file_names(entry)]).lower()]
    names = [entry.name for entry in fitting or entries]
    if not fitting:
        raise UnknownNameError(f'{name} has no model {which!r}.', did_you_mean(part, names))
    if len(fitting) > 1:
        raise UnknownNameError(f'{name} has several models: {", ".join(names)}.', 'Give the name of one of them.')
    return fitting[0]


def file_names(entry: ModelEntry) -> list[str]:
    """Return the names of the authors' files of a model, without folders."""
    return [Path(file.path).name for file in entry.source.files] if isinstance(entry.source, Pinned) else []


def similar_model(name: str) -> str:
    """Suggest a model for a misspelt name; empty if none is near, and for a path."""
    if '/' in name or os.sep in name:
        return ''
    names = [spelling for shown, entry in find_models().items()
             for spelling in (shown, *(f'{shown}-{task}' for task in entry.tasks if len(entry.tasks) > 1))]
    near = get_close_matches(_spelled(name), names, n=1, cutoff=0.6)
    return f'Did you mean {near[0]}? ' if near else ''


def provider_of(name: str) -> str:
    """Name the plugin that is not installed and has a model of this name or a similar one; empty for a path."""
    return '' if '/' in name or os.sep in name else plugins.model_provider(_spelled(name))


def _spelled(name: str) -> str:
    return name.lower().replace('_', '-')


def _letters(name: str) -> str:
    return re.sub(r'[^a-z0-9]', '', name.lower())


def read_models(path: Path, package: str) -> list[ModelEntry]:
    """Read a `models.toml`.

    Args:
        path: the file.
        package: the import package that it belongs to.

    Raises:
        ConfigError: the file is not TOML, or a key is unknown, missing or of the wrong type.
    """
    facts, methods = _read(path)
    return [_entry(f'{path}: models.{name}', name, model, package, methods, path.parent)
            for name, model in facts.get('models', {}).items()]


def read_methods(path: Path, package: str) -> list[Method]:
    """Read the methods of a `models.toml` that no model in it belongs to; arguments and errors as for `read_models`."""
    used = {entry.method.name for entry in read_models(path, package)}
    return [_method(name, facts) for name, facts in _read(path)[1].items() if name not in used]


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Mapping]]:
    """Return all facts of a `models.toml`, and those about its methods, after checks."""
    facts = read_toml(path)
    check_facts(f'{path}:', facts, dict(methods=dict, models=dict))
    methods = facts.get('methods', {})
    for name, method in methods.items():
        check_facts(f'{path}: methods.{name}', method, _METHOD_KEYS | _MODEL_KEYS, ('backbone',))
    return facts, methods


def _method(name: str, facts: Mapping[str, Any]) -> Method:
    return Method(name, **{key: facts[key] for key in _METHOD_KEYS if key in facts})


#: Types of the facts in the file that describe a method, and of those that describe a model.
_METHOD_KEYS = {name: hint for name, hint in get_type_hints(Method).items() if name != 'name'}
_MODEL_KEYS = {name: hint for name, hint in get_type_hints(ModelEntry).items()
               if name not in ('name', 'package', 'method', 'tasks')} | dict(task=str | Sequence[str], source=dict)


def _entry(where: str, name: str, facts: Any, package: str, methods: Mapping[str, Mapping],
           folder: Path) -> ModelEntry:
    if not NAME.fullmatch(name):
        raise ConfigError(f'{where} is no valid name.', 'Use lower-case letters, digits and single hyphens.')
    check_facts(where, facts, _METHOD_KEYS | _MODEL_KEYS | dict(method=str))
    method = facts.get('method') or (next(iter(methods)) if len(methods) == 1 else '')
    if method not in methods:
        raise ConfigError(f'{where} names the method {method!r}, which [methods] does not describe.',
                          did_you_mean(method, methods))
    shared = methods[method]
    source = _source(f'{where}.source', {**shared.get('source', {}), **facts.get('source', {})}, folder)
    facts = {**shared, **facts}
    tasks = tasks_of(where, facts.get('task'))
    if isinstance(source, Packaged | OnHub) and len(tasks) > 1:
        raise ConfigError(f'{where} has task = {facts["task"]!r}, but its checkpoint is of one task.',
                          'Name a model for each task.')
    about_model = {key: facts[key] for key in _MODEL_KEYS if key in facts and key not in ('task', 'source')}
    if source:
        about_model.setdefault('licence', 'none stated')
    return ModelEntry(name, package, _method(method, facts), tasks, source, **about_model)


def _source(where: str, facts: Mapping, folder: Path) -> Packaged | Pinned | OnHub | None:
    match facts:
        case {'file': str(file), **rest} if not rest and stays_below(file) and file.endswith('.safetensors'):
            return Packaged(folder / file)
        case {'hub': str(address), **rest} if not rest:
            return OnHub(address)
        case {'repo': str(repo), 'commit': str(commit), 'files': list(files), **rest} if not rest and files:
            hints = {key: hint for key, hint in get_type_hints(RemoteFile).items() if key not in ('repo', 'commit')}
            for file in files:
                check_facts(f'{where}.files', file, hints, ('path', 'blob'))
            for key, digest in [('commit', commit), *(('files.blob', file['blob']) for file in files)]:
                if not is_digest(digest):
                    raise ConfigError(f'{where}.{key} is {digest!r:.200}.', 'Give all 40 digits.')
            return Pinned(tuple(RemoteFile(repo, commit, **file) for file in files))
    if not facts:
        return None
    raise ConfigError(f'{where} is {facts!r:.200}.', "Give {file = 'NAME.safetensors'} for a file of the package, "
                      "{hub = 'hf://...'}, or {repo = ..., commit = ..., files = [{path, blob, ...}]}.")


FACTS = Facts('model', 'models.toml', read_models)
#: Methods without a model.
METHODS = Facts('method', 'models.toml', read_methods)
