"""Survey of an installed plugin: `vlfusion check-plugin NAME`."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import nn

from vlfusion import plugins
from vlfusion.errors import ConfigError, PluginError, UnknownNameError, VLFusionError, did_you_mean
from vlfusion.imaging.protocol import get_protocol
from vlfusion.metrics import metric
from vlfusion.models.fusion_model import wanted
from vlfusion.plugins import Plugin
from vlfusion.registry import BACKBONES, REGISTRIES, Registry, snapshot
from vlfusion.testing.backbones import EXTRAS, NotApplicable, Outcome, outcome, survey_backbone
from vlfusion.testing.language import check_captioner, check_llm, check_text_encoder
from vlfusion.testing.losses import check_loss
from vlfusion.testing.metrics import check_metric
from vlfusion.zoo.entries import FACTS, ModelEntry, OnHub, Packaged, Pinned, find_models, models_of, read_models
from vlfusion.zoo.facts import data_file

#: Check of metrics that may fail: some metrics treat source A and source B differently on purpose.
SYMMETRY = 'symmetric'
#: Check of a built entry, by the name of its registry.
CHECKERS = {'loss': check_loss, 'captioner': check_captioner, 'llm': check_llm, 'text encoder': check_text_encoder}


def find_plugin(name: str) -> Plugin:
    """Find an installed plugin by its entry point, import package or distribution, and load it.

    Raises:
        UnknownNameError: no plugin has that name.
        PluginError: it is disabled, or failed to load.
    """
    plugin = plugins.named(name)
    plugins.load_for(f'{plugin.package}.*', snapshot)
    return plugin


def entries(package: str) -> Iterator[tuple[Registry, str]]:
    """Yield the registry and the name of each entry of an imported package or module."""
    for registry in REGISTRIES.values():
        for name in registry.names():
            if name.startswith(f'{package}.'):
                yield registry, name


def survey(packages: Sequence[str], *, only: Sequence[str] = (), options: Mapping | None = None,
           size: tuple[int, int] = (20, 28)) -> Iterator[tuple[Registry, str, list[Outcome]]]:
    """Check the entries that imported packages register, each from the same seed.

    Args:
        packages: names of import packages or modules.
        only: names of entries, with or without their package; empty for all.
        options: arguments, given to the entries that have them.
        size: height and width of the images for a backbone.

    Returns:
        For each entry its registry, its name and the outcomes of its checks; and for each `models.toml` the outcome for
        each model, under the name `PACKAGE.models`.

    Raises:
        PluginError: the packages register nothing and name no models.
        UnknownNameError: the packages register no entry of a name in `only`.
        ConfigError: no entry has an argument that `options` names.
    """
    registered = [entry for package in packages for entry in entries(package)]
    describing = [package for package in packages if not only and data_file(package, FACTS.file)]
    if not registered and not any(entry.package in packages for entry in find_models().values()):
        raise PluginError(f'{" and ".join(packages)} registers nothing.',
                          'Decorate its classes in the module that is imported.')
    names = {name.rpartition('.')[2] for _, name in registered}
    short_names = [name.rpartition('.')[2] for name in only]
    for name, short in zip(only, short_names, strict=True):
        if short not in names:
            raise UnknownNameError(f'{packages[0]} registers no {name!r}.', did_you_mean(name, names))
    chosen = [(registry, name) for registry, name in registered
              if not only or name.rpartition('.')[2] in short_names]
    options = dict(options or {})
    accepted_names = set().union(*(accepted(registry, name) for registry, name in chosen))
    if unknown := options.keys() - accepted_names:
        raise ConfigError(f'None of {", ".join(name for _, name in chosen)} has an argument {min(unknown)!r}.',
                          did_you_mean(min(unknown), accepted_names))

    def outcomes() -> Iterator[tuple[Registry, str, list[Outcome]]]:
        for registry, name in chosen:
            torch.manual_seed(0)
            arguments = {key: value for key, value in options.items() if key in accepted(registry, name)}
            yield registry, name, survey_entry(registry, name, arguments, size)
        for package in describing:
            yield BACKBONES, f'{package}.models', survey_models(package)
    return outcomes()


def survey_models(package: str) -> list[Outcome]:
    """Check that the `models.toml` of a package can be read, and that its models are those of registered networks."""
    models = []
    outcomes = [outcome('readable', lambda: models.extend(read_models(data_file(package, FACTS.file), package)))]
    return outcomes + [outcome(model.name, _check_model, model) for model in models]


def survey_entry(registry: Registry, name: str, arguments: Mapping | None = None,
                 size: tuple[int, int] = (20, 28)) -> list[Outcome]:
    """Check that one entry is documented, builds, and behaves as its registry requires.

    Args:
        registry: registry of the entry.
        name: name of the entry.
        arguments: arguments to build the entry with; a required `text_dim` of a backbone is 8 by default.
        size: height and width of the images for a backbone; a loss gets at least 48x56 pixels.
    """
    entry, arguments = registry.get(name), dict(arguments or {})
    outcomes = [outcome('documented', _check_documented, entry)]
    if registry.name == 'fusion metric':
        variants = ['', *(f':{variant}' for variant in entry.variants)]
        for variant in variants:
            function = metric(name + variant)
            outcomes += [outcome(f'metric{variant}', check_metric, function, False),
                         outcome(f'{SYMMETRY}{variant}', check_metric, function)]
        return outcomes
    if registry.name not in ('backbone', *CHECKERS):
        return outcomes
    if registry.name == 'backbone':
        outcomes.append(outcome('released', _check_released, name, entry))
        if 'text_dim' in _required(entry):
            arguments.setdefault('text_dim', 8)
    built = []
    outcomes.append(outcome('builds', lambda: built.append(_build(registry, name, arguments))))
    if not built:
        return outcomes
    if registry.name == 'backbone':
        return outcomes + survey_backbone(built[0], size=size)
    if registry.name == 'loss':
        return [*outcomes, outcome('interface', _check_loss, built[0], (max(48, size[0]), max(56, size[1])))]
    return [*outcomes, outcome('interface', CHECKERS[registry.name], built[0])]


def required(result: Outcome) -> bool:
    """Tell whether a plugin is faulty if this outcome does not hold."""
    return result.check not in EXTRAS and not result.check.startswith(SYMMETRY)


def accepted(registry: Registry, name: str) -> set[str]:
    """Names of the arguments that an entry can be built with."""
    return set(inspect.signature(registry.get(name)).parameters)


def _required(entry: Callable) -> list[str]:
    return [parameter.name for parameter in inspect.signature(entry).parameters.values()
            if parameter.default is parameter.empty
            and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)]


def _build(registry: Registry, name: str, arguments: Mapping):
    lacking = [key for key in _required(registry.get(name)) if key not in arguments]
    if lacking:
        raise NotApplicable(f'needs {", ".join(lacking)}: give --options {lacking[0]}=...')
    try:
        return registry.build(dict(type=name, **arguments))
    except VLFusionError as error:  # such as weights out of reach; the error itself says what to do
        raise NotApplicable(error.problem) from error


def _check_loss(loss: nn.Module, size: tuple[int, int]) -> None:
    more = [key for key, insists in wanted(loss).items() if insists and key != 'truth']
    if more:
        raise NotApplicable(f'needs {", ".join(more)}: call vlfusion.testing.check_loss(loss, extra=...) in a test')
    check_loss(loss, size)


def _check_documented(entry: Callable) -> None:
    assert (entry.__doc__ or '').strip(), f'{entry.__name__} has no docstring. Say what it is, and from which paper.'


def _check_released(name: str, entry: Callable) -> str:
    models = [model.name for model in models_of(name) if isinstance(model.source, Pinned)]
    if not models:
        raise NotApplicable(f'{FACTS.file} names no released weights')
    assert callable(getattr(entry, 'convert_released', None)), 'released weights, but no method convert_released.'
    return ', '.join(models)


def _check_model(model: ModelEntry) -> str:
    get_protocol(model.protocol)
    BACKBONES.get(model.method.backbone)
    if isinstance(model.source, Packaged):
        assert model.source.path.is_file(), f'{model.source.path} is missing.'
    elif not isinstance(model.source, OnHub):  # otherwise the checkpoint states the arguments
        network = BACKBONES.build(dict(type=model.method.backbone, **model.arguments))
        count = sum(parameter.numel() for parameter in network.parameters())
        assert model.method.parameters == count, f'parameters = {model.method.parameters}, but the network has {count}.'
    return f'{model.method.name}, {", ".join(model.tasks)}'
