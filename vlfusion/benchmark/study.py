"""The plan of a downstream study, read from a config: does a network find more in fused pictures than in a source?

    _base_ = 'vlfusion::downstream/msrs'          # task, data_root, classes, labels, and the pairs of train and test
    methods = dict(
        Average='average',
        FILM='film-ivf',
        Mine=dict(fused=dict(train='results/mine/train', test='results/mine/test')))
    network = dict(type='TransformersSegmenter', model='nvidia/mit-b1', new_head=True, size=(480, 640))
    training = dict(max_iters=20_000, batch_size=8, size=(480, 640))

Each method fuses both splits. One network for each method and seed learns the training pictures, all by the same plan,
and is scored on the test pictures; so is one for each source alone. Without `training`, the network is used as it is.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config

from vlfusion.benchmark.methods import FolderMethod, ModelMethod, check_keys, method_of
from vlfusion.benchmark.plan import Plan, SetPlan, making_of, statistics_of
from vlfusion.config import SPLITS as ALL_SPLITS
from vlfusion.config import load_config
from vlfusion.config_names import require_config
from vlfusion.data.names import file_names
from vlfusion.downstream.scoring.comparing import RESAMPLES
from vlfusion.downstream.scoring.variants import check_average_precision, mean_iou_of
from vlfusion.downstream.sets import KEYS as SET_KEYS
from vlfusion.downstream.sets import LabelledSet, load_labelled
from vlfusion.downstream.training import TrainingPlan
from vlfusion.errors import ConfigError
from vlfusion.guards.arguments import check_arguments, fits
from vlfusion.guards.ranges import COUNT
from vlfusion.guards.redaction import without_secrets
from vlfusion.imaging.protocol import get_protocol
from vlfusion.imaging.tasks import get_task
from vlfusion.registry import DETECTORS, SEGMENTERS

#: Splits that a study uses.
SPLITS = ('train', 'test')
#: Ending of the row of a source alone, after its modality.
ALONE = ' alone'
#: Keys of a study's config, and their types.
KEYS = dict(task=str, data_root=str, classes=str | Sequence[str] | dict, labels=dict, compared_labels=dict,
            lists_from=str, train=dict, val=dict, test=dict, methods=dict, sources=bool, network=dict,
            training=dict | None, seeds=Sequence[int], variant=str, protocol=str, chroma=str, tiles=str,
            max_memory=str | int, words=str, alpha=float, correction=str, resamples=int, title=str, work_dir=str,
            cache=str, default_scope=str, custom_imports=dict)


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """A downstream study.

    Attributes:
        title: title of the table.
        sets: labelled pairs of each split, by its name.
        fusing: plan by which the methods fuse the splits; its data sets have the names of the splits.
        network: config of the detector or segmenter.
        training: how a network is trained; None if it is used as it is.
        seeds: seeds of the trainings; a single one if there is no training.
        sources: whether each source alone is a row too.
        variant: definition of mIoU or of average precision, see `vlfusion.downstream.scoring.variants`.
        alpha: level of significance.
        correction: correction for the number of comparisons, see `vlfusion.analysis.statistics.compare`.
        resamples: drawn sets for each interval and swaps for each comparison, see `compare_sets`.
        out: folder of all results.
        config: config as it was read, without secrets.
    """

    title: str
    sets: Mapping[str, LabelledSet]
    fusing: Plan
    network: Mapping[str, Any]
    training: TrainingPlan | None
    seeds: Sequence[int]
    sources: bool
    variant: str
    alpha: float
    correction: str
    resamples: int
    out: Path
    config: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """Kind of the labels: `boxes` or `masks`."""
        return self.sets['test'].labels.kind

    @property
    def names(self) -> list[str]:
        """Names of the rows: methods, then sources."""
        return [*(method.name for method in self.fusing.methods), *(self.alone if self.sources else ())]

    @property
    def alone(self) -> tuple[str, str]:
        """Names of the rows of source A and source B."""
        task = self.fusing.datasets[0].task
        return f'{task.modality_a}{ALONE}', f'{task.modality_b}{ALONE}'


def load_study(path: str, cfg_options: dict | None = None, *, out: str | os.PathLike | None = None,
               cache: str | os.PathLike | None = None, models: Sequence[ModelMethod] = ()) -> StudyPlan:
    """Read the config of a downstream study.

        study = vlfusion.load_study('my_study.py', {'seeds': [0, 1, 2]})

    Args:
        path: config file, or the name of a config that ships.
        cfg_options: new values by dotted key, as `load_config` takes them.
        out: folder for all results; by default the config's `work_dir`, or `work_dirs/downstream/NAME`.
        cache: folder of fused pictures, which studies and comparisons may share; by default `OUT/cache`.
        models: further methods, such as those of a comparison; the config's own of the same name replace them.

    Raises:
        ConfigError: the config has an unknown key or a wrong value, or lacks methods, a network or a test split.
        DataError: pairs or labels are missing.
    """
    config = load_config(require_config(path), cfg_options, KEYS)
    check_keys(f'The study {path}', {key: value for key, value in config.items() if not key.startswith('_')}, KEYS)
    if not config.get('network'):
        raise ConfigError(f'{path} has no network.',
                          "Write network=dict(type=...): `vlfusion list detector segmenter` names them.")
    training = None if config.get('training') is None else _training(config.training)
    splits = [split for split in SPLITS if split == 'test' or training]
    if lacking := [split for split in splits if not config.get(split)]:
        raise ConfigError(f'{path} has no pairs to {lacking[0]} on.',
                          f"Write {lacking[0]}=dict(source_a='ir', source_b='vi', names='{lacking[0]}.txt').")
    if not config.get('methods') and not models and not config.get('sources', True):
        raise ConfigError(f'{path} has no methods and no sources, so there is nothing to compare.',
                          "Write methods=dict(NAME='film-ivf').")
    sets = load_labelled({key: value for key, value in config.to_dict().items()
                          if key in splits or key in SET_KEYS and key not in ALL_SPLITS})
    _check_network(config.network, sets['test'].labels.kind)
    _check_variant(config.get('variant', ''), sets['test'])
    COUNT.check('resamples', config.get('resamples', RESAMPLES))
    statistics = statistics_of(config)
    if not training:
        statistics['seeds'] = statistics['seeds'][:1]  # nothing is drawn
    folder = Path(out or config.get('work_dir') or f'work_dirs/downstream/{Path(path).stem}')
    fusing = _fusing(config, splits, folder, cache, models)
    plan = StudyPlan(title=config.get('title', Path(path).stem), sets=sets, fusing=fusing,
                     network=config.network.to_dict(), training=training, sources=config.get('sources', True),
                     variant=config.get('variant', ''), resamples=config.get('resamples', RESAMPLES), out=folder,
                     **statistics, config=without_secrets(config.to_dict()))
    if taken := [method.name for method in fusing.methods if method.name in plan.alone]:
        raise ConfigError(f'The method name {taken[0]!r} is that of a source alone.', 'Give it another name.')
    return plan


def _training(entry: Mapping) -> TrainingPlan:
    check_arguments(TrainingPlan, entry, 'training')
    return TrainingPlan(**entry)


def load_studies(plan: Plan) -> dict[str, StudyPlan]:
    """Read the studies of a comparison, by name: those of its `downstream`, with its models as further methods."""
    folders = file_names(list(plan.downstream))
    models = [method for method in plan.methods if isinstance(method, ModelMethod)]
    return {name: load_study(path, {'title': name}, out=plan.out / 'downstream' / folders[name], cache=plan.cache,
                             models=models) for name, path in plan.downstream.items()}


def _check_network(network: Mapping[str, Any], kind: str) -> None:
    """Refuse a segmenter for boxes and a detector for masks."""
    fitting, other = (DETECTORS, SEGMENTERS) if kind == 'boxes' else (SEGMENTERS, DETECTORS)
    name = network.get('type')
    if isinstance(name, str) and name not in fitting and name in other:
        raise ConfigError(f'The labels are {kind}, but {name} is a {other.name}.',
                          f'Choose a {fitting.name}: {", ".join(fitting.names())}.')


def _check_variant(variant: str, labelled: LabelledSet) -> None:
    if labelled.labels.kind == 'masks':
        mean_iou_of(variant).evaluated(labelled.classes)
    else:
        check_average_precision(variant)


def _fusing(config: Config, splits: Sequence[str], folder: Path, cache: str | os.PathLike | None,
            models: Sequence[ModelMethod]) -> Plan:
    """The plan by which the methods fuse the splits; nothing is scored."""
    task = get_task(config.get('task', 'ivf')).name
    datasets = [SetPlan(split, dict(type='PairDataset', task=task, data_root=config.get('data_root', '.'),
                                    pipeline=[dict(type='LoadPair'), dict(type='PackPair')],
                                    **{key: value for key, value in config[split].items() if key != 'labels'}))
                for split in splits]
    methods = [method_of(name, _of_one_split(name, entry, splits), splits)
               for name, entry in config.get('methods', {}).items()]
    methods += [replace(model, datasets=()) for model in models if model.name not in {own.name for own in methods}]
    methods = [part for method in methods for part in _single(method)]
    return Plan(title='', datasets=datasets, methods=methods, printed={}, metrics=[], truth_metrics=[], controls=[],
                protocol=get_protocol(config.get('protocol', 'film')), seeds=[0], robustness=False, alpha=0.05,
                correction='holm', out=folder, cache=Path(cache or config.get('cache') or folder / 'cache'), config={},
                **making_of(config))


def _single(method: ModelMethod | FolderMethod) -> list[ModelMethod | FolderMethod]:
    """A method for each of its checkpoints, as each gives pictures of its own."""
    if isinstance(method, FolderMethod) or len(method.checkpoints) < 2:
        return [method]
    return [replace(method, name=f'{method.name} {index}', checkpoints=[checkpoint])
            for index, checkpoint in enumerate(method.checkpoints, 1)]


def _of_one_split(name: str, entry: Any, splits: Sequence[str]) -> Any:
    """Refuse rows of papers, and leave out the folders of splits that are not used."""
    if not isinstance(entry, Mapping):
        return entry
    if 'printed' in entry:
        raise ConfigError(f'The method {name} is a row of a paper, which has no pictures.', 'Leave it out.')
    if not fits(fused := entry.get('fused'), dict[str, str] | None):
        return entry
    if fused and (lacking := [split for split in splits if split not in fused]):
        raise ConfigError(f'The method {name} has no folder for the split {lacking[0]!r}.',
                          f"Write fused=dict({', '.join(f'{split}=...' for split in splits)}).")
    return {**entry, 'fused': {split: fused[split] for split in splits}} if fused else entry
