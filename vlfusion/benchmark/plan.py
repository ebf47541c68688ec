"""The plan of a comparison, read from a config.

    datasets = dict(Harvard=dict(config='_base_/datasets/harvard', split='test', by_subset=True))
    methods = dict(
        IFCNN='ifcnn-mif',
        Laplacian='laplacian',
        Trained=dict(checkpoint='work_dirs/mine/best.pth'),
        Mine=dict(fused='results/mine'),
        FILM=dict(printed=dict(Harvard='film/Harvard/FILM')),
        Theirs=dict(printed=dict(Harvard=dict(EN=4.5, SD=60.1)), source='Table 3'))
    protocol = 'film'
    metrics = ['EN', 'SD', 'SF', 'AG', 'VIF', 'Qabf']
    downstream = dict(Roads='my_study.py')      # does a network find more in these models' pictures?
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from torch.utils.data import Subset

from vlfusion.analysis.leaderboard import higher
from vlfusion.analysis.published import published
from vlfusion.analysis.statistics import CORRECTIONS
from vlfusion.benchmark.methods import KINDS, FolderMethod, ModelMethod, check_keys, method_of
from vlfusion.benchmark.names import require_comparison
from vlfusion.config import load_config
from vlfusion.data.names import composed, spelled
from vlfusion.data.pairs import Pair
from vlfusion.data.text import text_configs
from vlfusion.errors import ConfigError, DataError, did_you_mean
from vlfusion.evaluation.controls import CONTROLS
from vlfusion.guards.arguments import fits
from vlfusion.guards.ranges import COUNT, FRACTION, SEED
from vlfusion.guards.redaction import without_secrets
from vlfusion.imaging.chroma import chroma_name
from vlfusion.imaging.protocol import Protocol, get_protocol
from vlfusion.imaging.tasks import Task, get_task
from vlfusion.inference.tiling import MODES
from vlfusion.language.recipes import Words, find_words
from vlfusion.metrics.columns import TRUTH, full_name, other_variants
from vlfusion.metrics.scoring import DEFAULT_METRICS, DEFAULT_TRUTH_METRICS
from vlfusion.registry import DATASETS, share_keys
from vlfusion.system.memory import parse_bytes

#: Keys of a comparison's config, and their types.
KEYS = dict(datasets=dict, methods=dict, protocol=str, metrics=Sequence[str], truth_metrics=Sequence[str],
            controls=bool | Sequence[str] | None, seeds=Sequence[int], robustness=bool, alpha=float, correction=str,
            chroma=str, tiles=str, max_memory=str | int, title=str, work_dir=str, cache=str, default_scope=str,
            custom_imports=dict, words=str, downstream=dict[str, str])
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

    Images are fused whole, as stored in their files: only the `LoadPair` of a pipeline is used.

    Attributes:
        name: name in tables.
        part: config of the data set, as `DATASETS` builds it.
        only: pattern of names, such as `CT-MRI/*`; None for all pairs.
        limit: largest number of pairs, the first by name; None for all.
        by_subset: whether to make a table of each subset as well.
        texts: patterns of text files for the report, relative to `data_root`, by heading, such as `text/{name}.txt`.
        overrides: keys that apply to every method that reads text: `text_source`, `language`. If a method reads several
            texts, a `text_source` of one text replaces all of them but the fixed ones.
    """

    name: str
    part: Mapping[str, Any]
    only: str | None = None
    limit: int | None = None
    by_subset: bool = False
    texts: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def experiment_of(self, method: ModelMethod) -> dict[str, Any]:
        """Return the experiment of a method with the keys that this data set overrides."""
        own, changes = method.experiment, dict(self.overrides)
        if 'text_source' not in own and 'language' not in changes:
            return own  # a method that reads no text
        texts, given = text_configs(own.get('text_source')), changes.get('text_source')
        if given and texts.keys() != {'text'} and text_configs(given).keys() == {'text'}:
            changes['text_source'] = {name: entry if 'fixed' in entry else given for name, entry in texts.items()}
        return {**own, **changes}

    def text_file(self, pattern: str, pair: Pair | None = None) -> Path:
        """The file of a pair's text by its pattern; without a pair, the path of the pattern."""
        root = Path(self.part.get('data_root', '.'))
        return spelled(lambda name: root / pattern.replace('{name}', name), pair.name) if pair else root / pattern

    @property
    def task(self) -> Task:
        """The row of the task table."""
        return get_task(self.part['task'])

    def build(self, **changes: Any) -> 'SetOfPairs':
        """Build the data set, with a method's own `text_source`, `language` and `text_policy`.

        Raises:
            DataError: images or texts are missing or damaged, or no pair is left.
        """
        dataset = DATASETS.build({**self.part, **changes})
        indices = [index for index, pair in enumerate(dataset.pairs)
                   if self.only is None or fnmatchcase(composed(pair.name), composed(self.only))][:self.limit]
        if not indices:
            raise DataError(f'The data set {self.name} has no pair whose name matches {self.only!r}.',
                            f'Its names are {", ".join(pair.name for pair in dataset.pairs[:5])} and so on.')
        return SetOfPairs(dataset, indices)


class SetOfPairs(Subset):
    """Some pairs of a `PairDataset`; `pairs` lists them."""

    @property
    def pairs(self) -> list[Pair]:
        return [self.dataset.pairs[index] for index in self.indices]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A comparison.

    Attributes:
        title: title of the report.
        datasets: data sets, in the order of the config.
        methods: methods that give images, in the order of the config.
        printed: rows of papers for each data set: means by metric, by the row's name.
        protocol: protocol by which the outputs of all methods become grey levels, and that chooses variants of metrics.
        metrics: columns of the tables.
        truth_metrics: columns that compare to a true image, such as `truth/PSNR`, for data sets that have one.
        controls: names in `vlfusion.evaluation.controls.CONTROLS` that are scored as well.
        seeds: seeds; a method runs once from each, and scores are means over them.
        robustness: whether to score other output policies and variants too, to see how ranks change.
        alpha: level of significance.
        correction: correction for the number of comparisons, see `vlfusion.analysis.statistics.compare`.
        out: folder of all results.
        cache: folder of cached results, which several comparisons may share.
        config: config as it was read, without secrets.
        chroma: colour rule of all results; None for the rule of each data set's task.
        tiles: mode in which models fuse large pairs, see `vlfusion.Fuser`.
        max_memory: bytes that a forward pass may use; None for four fifths of the free memory.
        words: words by which images are described for all methods that read text; None for those of each method.
        downstream: configs of downstream studies by name, in which the models take part; see
            `vlfusion.benchmark.study.load_study`.
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
    words: Words | None = None
    downstream: Mapping[str, str] = field(default_factory=dict)

    @property
    def output(self) -> Output:
        """The output policy of the protocol."""
        return Output(self.protocol.stretch, self.protocol.rounding)

    def chroma_of(self, dataset: SetPlan) -> str:
        """Name of the colour rule for a data set."""
        return self.chroma or dataset.task.chroma

    def methods_of(self, dataset: str) -> list[ModelMethod | FolderMethod]:
        """The methods that fuse a data set, by its name."""
        return [method for method in self.methods if not method.datasets or dataset in method.datasets]

    def outputs(self, method: ModelMethod) -> dict[str, Output]:
        """The output policies under which a method is scored, by their names in tables; the protocol's is first.

        The policy `none` is left out: it gives the same images as `clip` if the output lies in [0, 1].
        """
        outputs = {'protocol': self.output}
        if self.robustness:
            own = get_protocol(method.experiment.get('protocol', self.protocol.name))
            outputs |= {stretch: Output(stretch, self.protocol.rounding) for stretch in ('clip', 'min-max')}
            outputs['own'] = Output(own.stretch, own.rounding)
        return outputs

    def columns(self, truth: bool) -> list[str]:
        """Full names of the tables' metrics, for pairs with or without a true image."""
        return [*self.metrics, *(self.truth_metrics if truth else ())]

    def variants(self, truth: bool) -> dict[str, list[str]]:
        """Full names of the other variants of each column's metric; empty without robustness."""
        if not self.robustness:
            return {}
        return {column: other_variants(column, self.protocol.code) for column in self.columns(truth)}


def load_plan(path: str, cfg_options: dict | None = None, *, out: str | None = None,
              cache: str | None = None) -> Plan:
    """Read the config of a comparison.

        plan = vlfusion.load_plan('mif', {'seeds': [0, 1, 2]}, out='results/mif')

    Args:
        path: config file, or the name of a config that ships: `mif` for `benchmark/mif`.
        cfg_options: new values by dotted key, as `load_config` takes them.
        out: folder for all results; by default the config's `work_dir`, or `work_dirs/benchmark/NAME`.
        cache: folder of cached results, which comparisons may share; by default `OUT/cache`.

    Raises:
        ConfigError: the config has an unknown key or a wrong value, or lacks data sets or methods.
        UnknownNameError: a metric, variant or protocol does not exist.
    """
    config = load_config(require_comparison(path), cfg_options, KEYS)
    check_keys(f'The comparison {path}', {key: value for key, value in config.items() if not key.startswith('_')}, KEYS)
    for key in ('datasets', 'methods'):
        if not config.get(key):
            raise ConfigError(f'{path} has no {key}.', 'Write methods=dict(NAME=dict(...)) and '
                              "datasets=dict(NAME=dict(config='_base_/datasets/...')).")
    protocol = get_protocol(config.get('protocol', 'film'))
    datasets = [_set_plan(name, entry) for name, entry in config.datasets.items()]
    names = [set_plan.name for set_plan in datasets]
    methods, printed = [], {name: {} for name in names}
    for name, entry in config.methods.items():
        if not isinstance(entry, Mapping) or 'printed' not in entry:
            methods.append(method_of(name, entry, names))
            continue
        check_keys(f'The method {name}, which is a row of a paper,', entry, KINDS['rows of a paper'])
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
    for column in metrics:
        higher(column, protocol.code)  # raises if neither side is better
    controls = config.get('controls', True)
    controls = list(CONTROLS) if controls is True else list(controls or ())
    for control in controls:
        if control not in CONTROLS:
            raise ConfigError(f'Unknown control {control!r}.', did_you_mean(control, CONTROLS))
    folder = Path(out or config.get('work_dir') or f'work_dirs/benchmark/{Path(path).stem}')
    return Plan(title=config.get('title', Path(path).stem), datasets=datasets, methods=methods, printed=printed,
                protocol=protocol, metrics=metrics, truth_metrics=truth_metrics, controls=controls,
                robustness=config.get('robustness', True), out=folder, config=without_secrets(config.to_dict()),
                cache=Path(cache or config.get('cache') or folder / 'cache'), **statistics_of(config),
                **making_of(config), downstream=dict(config.get('downstream', {})))


def statistics_of(config: Config) -> dict[str, Any]:
    """Read the keys `seeds`, `alpha` and `correction` of a comparison or a study; a wrong value is a ConfigError."""
    correction = config.get('correction', 'holm')
    if correction not in CORRECTIONS:
        raise ConfigError(f'Unknown correction {correction!r}.', did_you_mean(correction, CORRECTIONS))
    seeds, alpha = _list(config, 'seeds', [0]), config.get('alpha', 0.05)
    FRACTION.check('alpha', alpha)
    for index, seed in enumerate(seeds):
        SEED.check(f'seeds[{index}]', seed)
    if not seeds:
        raise ConfigError('seeds is empty.', 'Write seeds=[0], or leave the key out.')
    return dict(seeds=seeds, alpha=alpha, correction=correction)


def making_of(config: Config) -> dict[str, Any]:
    """Read the keys that say how pictures are made: `chroma`, `tiles`, `max_memory` and `words`.

    A wrong value is a ConfigError.
    """
    tiles, max_memory = config.get('tiles', 'auto'), config.get('max_memory')
    if tiles not in MODES:
        raise ConfigError(f'Unknown way to tile {tiles!r}.', did_you_mean(tiles, MODES))
    return dict(chroma=config.get('chroma') and chroma_name(config.chroma), tiles=tiles,
                max_memory=None if max_memory is None else parse_bytes(str(max_memory)),
                words=find_words(config.words) if config.get('words') else None)


def _list(config: Config, key: str, default: Sequence) -> list:
    return list(config.get(key, default))


def _printed(row: str | Mapping[str, float], protocol: Protocol) -> tuple[str, dict[str, float]]:
    """Source and means of a row of a paper: a dict of means, or the name of a known row, `film/Harvard/FILM`."""
    if not isinstance(row, str):
        return 'printed', dict(row)
    if row.count('/') != 2:
        raise ConfigError(f'{row!r} is not the name of a row of a paper.', "Write 'PAPER/DATASET/METHOD', such as "
                          "'film/Harvard/FILM' (`vlfusion reproduce --list`), or a dict of the means.")
    paper = published(*row.split('/'))[0]
    other = f', by protocol {paper.paper}' if paper.paper != protocol.name else ''
    pairs = f'{paper.pairs} pairs' if paper.pairs else 'pairs not stated'
    return f'{paper.paper}, {paper.table}, {pairs}{other}', {metric: paper.value(metric) for metric in paper.printed}


def _set_plan(name: str, entry: Any) -> SetPlan:
    own = isinstance(entry, Mapping) and 'type' in entry
    set_keys = {key: value for key, value in entry.items() if key in SET_KEYS} if own else entry
    check_keys(f'The data set {name}', set_keys, SET_KEYS)
    if entry.get('limit') is not None:
        COUNT.check(f'datasets.{name}.limit', entry['limit'])
    if own:  # the entry is the data set itself, with some of SET_KEYS
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
