"""Plan of a comparison, as a config says it.

    datasets = dict(Harvard=dict(config='_base_/datasets/harvard', split='test', by_subset=True))
    methods = dict(
        IFCNN=dict(checkpoint='work_dirs/released/ifcnn_mif.pth'),
        Laplacian=dict(model=dict(type='FusionModel', backbone=dict(type='vlfusion_classical.LaplacianPyramid'))),
        Mine=dict(fused='results/mine'),
        FILM=dict(printed=dict(Harvard='film/Harvard/FILM')),
        Theirs=dict(printed=dict(Harvard=dict(EN=4.5, SD=60.1)), source='Table 3'))
    protocol = 'film'
    metrics = ['EN', 'SD', 'SF', 'AG', 'VIF', 'Qabf']
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from torch.utils.data import Subset

from vlfusion.analysis.published import published
from vlfusion.analysis.statistics import CORRECTIONS
from vlfusion.benchmark.methods import KINDS, FolderMethod, ModelMethod, check_keys, method_of
from vlfusion.config import load_config
from vlfusion.data.names import composed, spelled
from vlfusion.data.pairs import Pair
from vlfusion.errors import ConfigError, DataError, did_you_mean
from vlfusion.evaluation.controls import CONTROLS
from vlfusion.guards.arguments import fits
from vlfusion.guards.ranges import COUNT, FRACTION, SEED
from vlfusion.guards.redaction import without_secrets
from vlfusion.imaging.chroma import chroma_name
from vlfusion.imaging.protocol import Protocol, get_protocol
from vlfusion.imaging.tasks import Task, get_task
from vlfusion.inference.tiling import MODES
from vlfusion.metrics.columns import TRUTH, full_name, other_variants
from vlfusion.metrics.scoring import DEFAULT_METRICS, DEFAULT_TRUTH_METRICS
from vlfusion.registry import DATASETS, share_keys
from vlfusion.system.memory import parse_bytes

#: What a comparison's config may set.
KEYS = dict(datasets=dict, methods=dict, protocol=str, metrics=Sequence[str], truth_metrics=Sequence[str],
            controls=bool | Sequence[str] | None, seeds=Sequence[int], robustness=bool, alpha=float, correction=str,
            chroma=str, tiles=str, max_memory=str | int, title=str, work_dir=str, cache=str, default_scope=str,
            custom_imports=dict)
SET_KEYS = dict(config=str, split=str, only=str | None, limit=int | None, by_subset=bool, texts=dict, data_root=str,
                text_source=dict | None, language=dict)


class Output(NamedTuple):
    """Rule by which a network's output becomes grey levels; see `vlfusion.imaging.quantise.quantise`."""

    stretch: str
    rounding: str

    def __str__(self) -> str:
        return f'{self.stretch}, {self.rounding}'


@dataclass(frozen=True)
class SetPlan:
    """A data set of a comparison.

    Images are fused whole, as their files are: of a pipeline only its `LoadPair` counts.

    Attributes:
        name: what tables call it.
        part: the config of the data set, as `DATASETS` builds it.
        only: a pattern of names, such as `CT-MRI/*`; None for all pairs.
        limit: how many of them at most, the first by name; None for all.
        by_subset: whether to make a table of each subset as well.
        texts: for the report, by heading, patterns of text files under `data_root`, such as `text/{name}.txt`.
        overrides: what counts for every method that reads text: `text_source`, `language`.
    """

    name: str
    part: Mapping[str, Any]
    only: str | None = None
    limit: int | None = None
    by_subset: bool = False
    texts: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def text_file(self, pattern: str, pair: Pair | None = None) -> Path:
        """The file of a pair's text by its pattern; without a pair the pattern itself."""
        root = Path(self.part.get('data_root', '.'))
        return spelled(lambda name: root / pattern.replace('{name}', name), pair.name) if pair else root / pattern

    @property
    def task(self) -> Task:
        """The row of the task table."""
        return get_task(self.part['task'])

    def build(self, **changes: Any) -> 'SetOfPairs':
        """The data set, with what a method wants otherwise: `text_source`, `language`, `text_policy`.

        Raises:
            DataError: images or texts are missing or damaged, or no pair is left.
        """
        dataset = DATASETS.build({**self.part, **changes})
        indices = [index for index, pair in enumerate(dataset.pairs)
                   if self.only is None or fnmatchcase(composed(pair.name), composed(self.only))][:self.limit]
        if not indices:
            raise DataError(f'The data set {self.name} has no pair that is called {self.only!r}.',
                            f'It has {", ".join(pair.name for pair in dataset.pairs[:5])} and so on.')
        return SetOfPairs(dataset, indices)


class SetOfPairs(Subset):
    """Some pairs of a `PairDataset`; `pairs` has those alone."""

    @property
    def pairs(self) -> list[Pair]:
        return [self.dataset.pairs[index] for index in self.indices]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A comparison.

    Attributes:
        title: what the report is headed by.
        datasets: in the order of the config.
        methods: those that give images, likewise.
        printed: for each data set the rows of papers: means by metric, by the row's name.
        protocol: how outputs become grey levels, and whose variants of the metrics are meant, for all methods alike.
        metrics: the columns of the tables.
        truth_metrics: likewise `truth/PSNR` and the like, for data sets with true images.
        controls: which of `vlfusion.evaluation.controls.CONTROLS` are scored as well.
        seeds: a method runs once from each; scores are means over them.
        robustness: whether to score the other output policies and variants too, and see which ranks stay.
        alpha: level of significance.
        correction: for the number of comparisons, see `vlfusion.analysis.statistics.compare`.
        out: the folder of all that is written.
        cache: the folder of results by content, which several comparisons may share.
        config: what was read, without secrets.
        chroma: the rule by which every result gets its colour; None for the rule of each data set's task.
        tiles: how a model fuses a pair, as `vlfusion.Fuser` has it.
        max_memory: bytes that a forward pass may take; None for four fifths of what is free.
    """

    title: str
    datasets: Sequence[SetPlan]
    methods: Sequence[ModelMethod | FolderMethod]
    printed: Mapping[str, Mapping[str, Mapping[str, float]]]
    protocol: Protocol
    metrics: Sequence[str]
    truth_metrics: Sequence[str]
    controls: Sequence[str]
    seeds: Sequence[int]
    robustness: bool
    alpha: float
    correction: str
    out: Path
    cache: Path
    config: Mapping[str, Any]
    chroma: str | None = None
    tiles: str = 'auto'
    max_memory: int | None = None

    @property
    def output(self) -> Output:
        """The protocol's own."""
        return Output(self.protocol.stretch, self.protocol.rounding)

    def chroma_of(self, dataset: SetPlan) -> str:
        """Name of the rule that colours the results of a data set."""
        return self.chroma or dataset.task.chroma

    def methods_of(self, dataset: str) -> list[ModelMethod | FolderMethod]:
        """The methods that fuse a data set, by its name."""
        return [method for method in self.methods if not method.datasets or dataset in method.datasets]

    def outputs(self, method: ModelMethod) -> dict[str, Output]:
        """The output policies under which a method is scored, by what tables call them; the protocol's is first.

        Of the policies `none` and `clip` every image is the same, as long as the output lies in [0, 1]."""
        found = {'protocol': self.output}
        if self.robustness:
            own = get_protocol(method.experiment.get('protocol', self.protocol.name))
            found |= {stretch: Output(stretch, self.protocol.rounding) for stretch in ('clip', 'min-max')}
            found['own'] = Output(own.stretch, own.rounding)
        return found

    def columns(self, truth: bool) -> list[str]:
        """The full names of the tables' metrics, for pairs with a true image or without."""
        return [*self.metrics, *(self.truth_metrics if truth else ())]

    def variants(self, truth: bool) -> dict[str, list[str]]:
        """Full names of the other variants of each column's metric; empty without robustness."""
        if not self.robustness:
            return {}
        return {column: other_variants(column, self.protocol.code) for column in self.columns(truth)}


def load_plan(path: str, cfg_options: dict | None = None, *, out: str | None = None,
              cache: str | None = None) -> Plan:
    """Read the config of a comparison.

        plan = vlfusion.load_plan('benchmark/mif', {'seeds': [0, 1, 2]}, out='results/mif')

    Args:
        path: the config, or the name of one that ships.
        cfg_options: dotted keys to new values, as `load_config` takes them.
        out: the folder to write to; by default the config's `work_dir`, else `work_dirs/benchmark/NAME`.
        cache: the folder of results by content, which comparisons may share; by default `OUT/cache`.

    Raises:
        ConfigError: it has keys that it cannot have, or lacks data sets or methods.
        UnknownNameError: a metric, variant or protocol does not exist.
    """
    config = load_config(path, cfg_options, KEYS)
    check_keys(f'The comparison {path}', {key: value for key, value in config.items() if not key.startswith('_')}, KEYS)
    for key in ('datasets', 'methods'):
        if not config.get(key):
            raise ConfigError(f'{path} has no {key}.', 'Write methods=dict(NAME=dict(...)) and '
                              "datasets=dict(NAME=dict(config='_base_/datasets/...')).")
    protocol = get_protocol(config.get('protocol', 'film'))
    datasets = [_set_plan(name, entry) for name, entry in config.datasets.items()]
    names = [one.name for one in datasets]
    methods, printed = [], {name: {} for name in names}
    for name, entry in config.methods.items():
        if not isinstance(entry, Mapping) or 'printed' not in entry:
            methods.append(method_of(name, entry, names))
            continue
        check_keys(f'The method {name}, whose rows are printed,', entry, KINDS['rows of a paper'])
        for dataset, row in entry['printed'].items():
            if not fits(row, str | dict[str, float]):
                raise ConfigError(f'The method {name} has the row {row!r}.', 'Give its means by metric, or its name.')
            if dataset not in printed:
                raise ConfigError(f'The method {name} has a row for {dataset!r}.', did_you_mean(dataset, names))
            source, row = _printed(row, protocol)
            row = {full_name(column, protocol.code): value for column, value in row.items()}
            printed[dataset][f'{name} ({entry.get("source", source)})'] = row
    metrics = _list(config, 'metrics', DEFAULT_METRICS)
    truth_metrics = [TRUTH + name for name in _list(config, 'truth_metrics', DEFAULT_TRUTH_METRICS)]
    if not metrics:
        raise ConfigError(f'{path} has no metric.', "Write metrics=['EN', 'SD'], or leave the key out.")
    metrics, truth_metrics = ([full_name(column, protocol.code) for column in columns]
                              for columns in (metrics, truth_metrics))
    controls = config.get('controls', True)
    controls = list(CONTROLS) if controls is True else list(controls or ())
    for control in controls:
        if control not in CONTROLS:
            raise ConfigError(f'There is no control {control!r}.', did_you_mean(control, CONTROLS))
    correction = config.get('correction', 'holm')
    if correction not in CORRECTIONS:
        raise ConfigError(f'There is no correction {correction!r}.', did_you_mean(correction, CORRECTIONS))
    tiles, max_memory = config.get('tiles', 'auto'), config.get('max_memory')
    if tiles not in MODES:
        raise ConfigError(f'Unknown way to tile {tiles!r}.', did_you_mean(tiles, MODES))
    seeds, alpha = _list(config, 'seeds', [0]), config.get('alpha', 0.05)
    FRACTION.check('alpha', alpha)
    for index, seed in enumerate(seeds):
        SEED.check(f'seeds[{index}]', seed)
    if not seeds:
        raise ConfigError('seeds is empty.', 'Write seeds=[0], or leave the key out.')
    folder = Path(out or config.get('work_dir') or f'work_dirs/benchmark/{Path(path).stem}')
    return Plan(title=config.get('title', Path(path).stem), datasets=datasets, methods=methods, printed=printed,
                protocol=protocol, metrics=metrics, truth_metrics=truth_metrics, controls=controls, seeds=seeds,
                robustness=config.get('robustness', True), alpha=alpha, correction=correction, out=folder,
                cache=Path(cache or config.get('cache') or folder / 'cache'), config=without_secrets(config.to_dict()),
                chroma=config.get('chroma') and chroma_name(config.chroma), tiles=tiles,
                max_memory=None if max_memory is None else parse_bytes(str(max_memory)))


def _list(config: Config, key: str, default: Sequence) -> list:
    return list(config.get(key, default))


def _printed(row: str | Mapping[str, float], protocol: Protocol) -> tuple[str, dict[str, float]]:
    """Source of a row of a paper, and its means: given, or known as
    `film/Harvard/FILM`."""
    if not isinstance(row, str):
        return 'printed', dict(row)
    if row.count('/') != 2:
        raise ConfigError(f'{row!r} names no row of a paper.', "Write 'PAPER/DATASET/METHOD', such as "
                          "'film/Harvard/FILM' (`vlfusion reproduce --list`), or a dict of the means.")
    found = published(*row.split('/'))[0]
    other = f', by protocol {found.paper}' if found.paper != protocol.name else ''
    pairs = f'{found.pairs} pairs' if found.pairs else 'pairs not stated'
    return f'{found.paper}, {found.table}, {pairs}{other}', {metric: found.value(metric) for metric in found.printed}


def _set_plan(name: str, entry: Any) -> SetPlan:
    own = isinstance(entry, Mapping) and 'type' in entry
    said = {key: value for key, value in entry.items() if key in SET_KEYS} if own else entry
    check_keys(f'The data set {name}', said, SET_KEYS)
    if entry.get('limit') is not None:
        COUNT.check(f'datasets.{name}.limit', entry['limit'])
    if own:  # a data set as such, beside what is said of it here
        part = {key: value for key, value in entry.items() if key not in SET_KEYS or key == 'data_root'}
    else:
        if 'config' not in entry:
            raise ConfigError(f'The data set {name} has no config.',
                              "Write dict(config='_base_/datasets/...', split='test'), or "
                              "dict(type='PairDataset', task=..., data_root=..., source_a=..., source_b=...).")
        config = load_config(entry['config'])
        loader = f'{entry.get("split", "test")}_dataloader'
        if not config.get(loader):
            raise ConfigError(f'{entry["config"]} has no {loader}.', 'Choose another split.')
        part = config[loader].dataset
        if 'data_root' in entry:
            part.data_root = entry['data_root']
        share_keys(Config({key: config[key] for key in ('task', 'data_root') if key in config}), part, DATASETS)
        part = part.to_dict()
    part.pop('text_source', None)
    load = next((step for step in part.get('pipeline', ()) if step['type'] == 'LoadPair'), dict(type='LoadPair'))
    part['pipeline'] = [load, dict(type='PackPair')]
    if 'task' not in part:
        raise ConfigError(f'The data set {name} has no task.', "Write task='ivf', 'mif', 'mef' or 'mff'.")
    overrides = {key: entry[key] for key in ('text_source', 'language') if key in entry}
    return SetPlan(name, part, entry.get('only'), entry.get('limit'), entry.get('by_subset', False),
                   dict(entry.get('texts', {})), overrides)
