"""The methods of a comparison: models that run here, and folders of images that another program fused."""

import glob
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import nn

import vlfusion.data.transforms
import vlfusion.imaging.images
import vlfusion.imaging.quantise
import vlfusion.imaging.reading
import vlfusion.inference.network
import vlfusion.inference.tiling
import vlfusion.models
from vlfusion.config import load_config
from vlfusion.config_names import require_config
from vlfusion.data.affixes import common_affix
from vlfusion.data.names import spellings
from vlfusion.data.pairs import Pair
from vlfusion.data.text import text_configs
from vlfusion.engine.checkpoints import build_weightless, experiment_of, load_model, read_experiment
from vlfusion.engine.digests import code_digest, key_of, modules_of
from vlfusion.engine.named import Located, locate
from vlfusion.errors import ConfigError, DownloadError, UnknownNameError, VLFusionError, did_you_mean
from vlfusion.evaluation.controls import CONTROL
from vlfusion.files import content_digest
from vlfusion.guards.arguments import fits, words_of
from vlfusion.imaging.images import SUFFIXES
from vlfusion.inference.texts import check_instruction
from vlfusion.language.section import INSTRUCTION
from vlfusion.models import text_dims
from vlfusion.registry import BACKBONES, MODELS
from vlfusion.zoo.hub import is_hub_address
from vlfusion.zoo.names import require_model
from vlfusion.zoo.places import not_here


@dataclass(frozen=True)
class Repeat:
    """A repeated run of a method: with certain weights, from a certain seed."""

    checkpoint: str | None
    seed: int

    def __str__(self) -> str:
        return f'{self.checkpoint or "no weights"}, seed {self.seed}'


@dataclass(frozen=True)
class ModelMethod:
    """A model that runs here.

    Attributes:
        name: name in tables.
        checkpoints: models as `vlfusion.engine.named.locate` takes them, such as names, or the checkpoints of several
            trainings; empty for a model without weights.
        config: config that gives the model, its text and its protocol; by default the checkpoint does.
        model: model without weights, instead of a config and checkpoints.
        overrides: keys that replace those of the experiment: `text_source`, `language`, `protocol`.
        text_policy: policy that chooses the text of a pair, see `vlfusion.data.policies`.
        datasets: names of the data sets that it fuses; empty for all.
        instruction: sentence that says how to fuse, for a model that reads instructions; empty for none.
    """

    name: str
    checkpoints: Sequence[str] = ()
    config: str | None = None
    model: Mapping | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    text_policy: str | Mapping = 'own'
    datasets: Sequence[str] = ()
    instruction: str = ''

    def check(self, refused: Mapping[str, VLFusionError] = MappingProxyType({})) -> None:
        """Raise a VLFusionError if weights are not on this machine, or a model has an unknown name.

        Args:
            refused: errors of downloads that failed, by the model's name.
        """
        if self.config:
            require_config(self.config)
        for checkpoint in self.checkpoints:
            require_model(checkpoint)
            if checkpoint in refused:
                raise refused[checkpoint]
            if missing := not_here(checkpoint):
                command = '' if is_hub_address(checkpoint) else f', or run `vlfusion models get {checkpoint}`'
                raise DownloadError(missing, f'Add --get{command}.')
        for repeat in self.repeats([0]):
            self.identity(repeat)
        if self.text_policy != 'own' and 'text_source' not in self.experiment:
            raise ConfigError(f'The method {self.name} has the text policy {self.text_policy!r}, but its model reads '
                              'no text.', 'Give it a text_source, or leave the policy out.')

    @cached_property
    def located(self) -> dict[str, Located]:
        """The file or experiment of each of `checkpoints`; nothing is downloaded."""
        return {checkpoint: locate(checkpoint, offline=True) for checkpoint in self.checkpoints}

    @cached_property
    def experiment(self) -> dict[str, Any]:
        """The model and its texts; raises a VLFusionError if the config or checkpoint does not state them."""
        if self.model:
            experiment = dict(model=self.model)
        else:
            experiment = experiment_of(load_config(self.config)) if self.config else read_experiment(
                self.located[self.checkpoints[0]])
        experiment = {**experiment, **self.overrides}
        if self.instruction:
            experiment['text_source'] = {**text_configs(experiment.get('text_source')),
                                         INSTRUCTION: dict(fixed=self.instruction)}
        return experiment

    def repeats(self, seeds: Iterable[int]) -> list[Repeat]:
        """All repeated runs of the method."""
        return [Repeat(checkpoint, seed) for checkpoint in self.checkpoints or [None] for seed in seeds]

    def load(self, repeat: Repeat) -> nn.Module:
        """Load the model, in evaluation mode; raises a VLFusionError if its weights do not fit."""
        if repeat.checkpoint is None:
            model = build_weightless(self.experiment['model'], self.config or f'the method {self.name}')
        else:
            model = load_model(self.located[repeat.checkpoint], self.experiment)[0]
        if self.instruction:
            check_instruction(self.instruction, text_dims(model.backbone))
        return model

    def identity(self, repeat: Repeat) -> str:
        """A hash of everything but the inputs that decides a result: model, weights, code, seed."""
        model = {key: value for key, value in self.experiment['model'].items() if key != 'losses'}
        code = [vlfusion.models, vlfusion.imaging.images, vlfusion.imaging.quantise, vlfusion.imaging.reading,
                vlfusion.inference.network, vlfusion.inference.tiling, vlfusion.data.transforms]
        for name in _types(model):
            code += modules_of(_registered(name))
        file = repeat.checkpoint and self.located[repeat.checkpoint].file
        return key_of(model=model, weights=file and content_digest(file), code=code_digest(*code), seed=repeat.seed)


def _registered(name: str) -> type | None:
    """The class of a name among models and backbones, after loading its plugin; None for other parts."""
    for registry in (MODELS,) if name in MODELS else (BACKBONES, MODELS):
        try:
            return registry.get(name)
        except UnknownNameError:
            continue
    return None


def _types(config: Any) -> list[str]:
    """The names of all parts of a config, at any depth."""
    if isinstance(config, Mapping):
        own = [config['type']] if isinstance(config.get('type'), str) else []
        return own + [name for value in config.values() for name in _types(value)]
    return [name for value in config for name in _types(value)] if isinstance(config, list | tuple) else []


@dataclass(frozen=True)
class FolderMethod:
    """Images that another program fused.

    Attributes:
        name: name in tables.
        folders: folder of each data set, or a pattern such as `out/{name}_fused.*`.
    """

    name: str
    folders: Mapping[str, str]

    @property
    def datasets(self) -> Sequence[str]:
        """Names of the data sets that it has images of."""
        return list(self.folders)

    def files(self, dataset: str, pairs: Iterable[Pair]) -> tuple[dict[str, Path], list[str]]:
        """Find the file of each pair's result.

        Returns:
            The files by the pair's name, and a line for each pair whose file is missing or not unique.
        """
        pairs = list(pairs)
        pattern = self.folders[dataset]
        if '{name}' not in pattern:
            head, tail = self.affix(dataset, pairs) or ('', '')
            pattern = f'{pattern.rstrip("/")}/{head}{{name}}{tail}.*'
        results, problems = {}, []
        for pair in pairs:
            expected = pattern.replace('{name}', pair.name)
            files = [file for name in spellings(pair.name) for file in _files(pattern.replace('{name}', name))]
            if len(files) == 1:
                results[pair.name] = files[0]
            else:
                problems.append(f'{self.name}: {expected} is missing' if not files else
                                f'{self.name}: {pair.name} has several files, {" and ".join(map(str, files))}')
        return results, problems

    def affix(self, dataset: str, pairs: Iterable[Pair]) -> tuple[str, str] | None:
        """The prefix and suffix that a folder adds to all names of pairs, such as `_fused`; None if it adds none."""
        folder = Path(self.folders[dataset])
        files = [path.relative_to(folder).with_suffix('').as_posix() for path in folder.rglob('*')
                 if path.suffix.lower() in SUFFIXES]
        return common_affix([pair.name for pair in pairs], files)


def _files(pattern: str) -> list[Path]:
    """The file at a path, or all image files if the path ends in `.*`."""
    stem = pattern.removesuffix('.*')
    files = [Path(pattern)] if stem == pattern else [
        Path(file) for file in sorted(glob.glob(f'{glob.escape(stem)}.*')) if file[len(stem):].lower() in SUFFIXES]
    return [file for file in files if file.is_file()]


#: Keys of a method's entry in a config, by the kind of method.
KINDS = {'a model': dict(checkpoint=str | Sequence[str], config=str, model=dict, text_source=dict | None, language=dict,
                         protocol=str, text_policy=str | dict, datasets=Sequence[str], instruction=str),
         'a folder': dict(fused=str | dict), 'rows of a paper': dict(printed=dict, source=str)}


def method_of(name: str, entry: Any, datasets: Sequence[str]) -> ModelMethod | FolderMethod:
    """Make a method from its entry in a config.

        'ifcnn-mff'                                               a model by name
        dict(checkpoint='ifcnn-mff', datasets=['Lytro'])          the same, with more keys
        dict(checkpoint='film-guide-mif', instruction='...')      the same under an instruction
        dict(checkpoint='work_dirs/ifcnn.pth')                    a model that its checkpoint describes
        dict(config='my.py', checkpoint=['a.pth', 'b.pth'])       the config's model, with the weights of two trainings
        dict(config='classical/laplacian_mif')                    a model without weights, from a config
        dict(model=dict(type='FusionModel', backbone=...))        a model without weights
        dict(fused='results/mine')                                images that another program fused
        dict(fused=dict(TNO='results/tno', RoadScene=...))        images that it fused, of several data sets

    With `datasets=['TNO']`, a model fuses these data sets only.

    Args:
        name: name in tables.
        entry: entry in the config, in one of these forms.
        datasets: names of all data sets.

    Raises:
        ConfigError: the entry has another form, or names an unknown data set.
    """
    entry = dict(checkpoint=entry) if isinstance(entry, str) else entry
    check_keys(f'The method {name}', entry, {key: hint for keys in KINDS.values() for key, hint in keys.items()})
    if name.startswith(CONTROL):
        raise ConfigError(f'The method name {name!r} begins like that of a control image.',
                          'Give it another name.')
    if 'fused' in entry:
        check_keys(f'The method {name}, which is a folder of images,', entry, KINDS['a folder'])
        fused = entry['fused']
        if not fused:
            raise ConfigError(f'The method {name} has no folder.',
                              f"Write fused='results/x' or fused=dict({datasets[0]}='results/x').")
        if not isinstance(fused, Mapping) and len(datasets) > 1:
            raise ConfigError(f'The method {name} has one folder, but there are {len(datasets)} data sets.',
                              f'Write fused=dict({datasets[0]}=..., ...).')
        folders = dict(fused) if isinstance(fused, Mapping) else {datasets[0]: fused}
        _check_datasets(name, folders, datasets)
        return FolderMethod(name, folders)
    if not {'checkpoint', 'config', 'model'} & entry.keys():
        raise ConfigError(f'The method {name} has none of checkpoint, config, model, fused and printed.',
                          "Write the name of a model, dict(checkpoint='work_dirs/x.pth') or dict(fused='results/x').")
    if 'model' in entry and {'checkpoint', 'config'} & entry.keys():
        raise ConfigError(f'The method {name} has both a model and a checkpoint or config.',
                          'Checkpoints and configs contain the model: leave `model` out.')
    checkpoints = entry.get('checkpoint', ())
    checkpoints = [checkpoints] if isinstance(checkpoints, str) else list(checkpoints)
    overrides = {key: entry[key] for key in ('text_source', 'language', 'protocol') if key in entry}
    _check_datasets(name, entry.get('datasets', ()), datasets)
    return ModelMethod(name, checkpoints, entry.get('config'), entry.get('model'), overrides,
                       entry.get('text_policy', 'own'), list(entry.get('datasets', ())), entry.get('instruction', ''))


def _check_datasets(method: str, named: Iterable[str], datasets: Sequence[str]) -> None:
    for name in named:
        if name not in datasets:
            raise ConfigError(f'The method {method} names the data set {name!r}.', did_you_mean(name, datasets))


def check_keys(what: str, entry: Any, known: Mapping[str, Any]) -> None:
    """Raise a ConfigError if an entry of a config is not a dict, or has an unknown key or a value of a wrong type.

    Args:
        what: name of the entry in messages.
        entry: entry of the config.
        known: type of each key.
    """
    if not isinstance(entry, Mapping):
        raise ConfigError(f'{what} is {entry!r}.', f'Write a dict with one of {", ".join(known)}.')
    for key in entry:
        if key not in known:
            raise ConfigError(f'{what} has no key {key!r}.', did_you_mean(key, known))
        if not fits(entry[key], known[key]):
            raise ConfigError(f'{what} has {key}={entry[key]!r}.', f'Give {words_of(known[key])}.')
