"""The work of a comparison: methods x data sets x metrics, without what is in the cache."""

import hashlib
import random
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import default_collate

import vlfusion.evaluation.controls
import vlfusion.imaging.chroma
import vlfusion.imaging.images
import vlfusion.imaging.reading
import vlfusion.metrics
from vlfusion.benchmark.cache import Cache, image_digest
from vlfusion.benchmark.costs import count_macs, measure
from vlfusion.benchmark.methods import FolderMethod, ModelMethod, Repeat
from vlfusion.benchmark.plan import Output, Plan, SetOfPairs, SetPlan
from vlfusion.console.notes import new_run, note
from vlfusion.data.affixes import affix_in_words
from vlfusion.data.pairs import Pair
from vlfusion.data.policies import fixed_text
from vlfusion.data.text import text_configs
from vlfusion.engine.digests import code_digest, key_of, modules_of
from vlfusion.engine.trust import believed_language, believed_parts
from vlfusion.errors import DataError, VLFusionError, listing, printable
from vlfusion.evaluation.controls import CONTROL, control_images
from vlfusion.files import content_digest
from vlfusion.guards.foreign import is_end, reason
from vlfusion.imaging.chroma import add_chroma
from vlfusion.imaging.images import read_image
from vlfusion.imaging.picture import to_grey
from vlfusion.imaging.protocol import Planes, grey_levels
from vlfusion.inference.flow import named
from vlfusion.inference.network import SOURCES, Network
from vlfusion.inference.texts import make_words
from vlfusion.language.fixed import encode_fixed
from vlfusion.language.recipes import combine
from vlfusion.language.section import section_of
from vlfusion.metrics.columns import metric_of
from vlfusion.metrics.scoring import score_planes
from vlfusion.models import map_inputs, text_dims
from vlfusion.registry import CHROMA_RULES
from vlfusion.system.devices import device_of
from vlfusion.system.workers import one_thread_each

#: Called with a step, the items done and the items in total.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A picture to score: a method's result for a pair under an output policy, or a control image.

    Attributes:
        dataset: data set of the pair.
        method: name of the method, or `control: mean`.
        pair: pair of sources.
        key: key of its scores.
        columns: full names of the metrics to compute.
        repeat: run of the method; empty for a method with a single run.
        output: name of the output policy, as in `Plan.outputs`.
        picture: file of the grey picture; None for a control image, which is made from the sources.
        colour: file of the picture in colour; None if it is neither shown nor scored.
        record: record of a model's forward pass.
    """

    dataset: SetPlan
    method: str
    pair: Pair
    key: str
    columns: tuple[str, ...]
    repeat: str = ''
    output: str = 'protocol'
    picture: Path | None = None
    colour: Path | None = None
    record: Mapping[str, Any] | None = None


@dataclass
class Run:
    """A run of a comparison. This process does every `world`-th pair.

    Attributes:
        plan: plan of the comparison.
        rank, world: index of this process, and number of processes; they share the cache only.
        progress: called at every step.
        refused: errors of models whose weights could not be downloaded, by name.
        describe: whether images may be described with parts that need a network, a key or files of a hub; parts that
            need nothing from outside are always used.
        counts: numbers of pairs `fused` and pictures `scored`, and of results in the cache.
        failures: reasons why methods have no result, by data set and method.
    """

    plan: Plan
    rank: int = 0
    world: int = 1
    progress: Progress = lambda *_: None
    describe: bool = False
    refused: Mapping[str, VLFusionError] = field(default_factory=dict)
    counts: Counter = field(default_factory=Counter)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)

    def __post_init__(self):
        self.cache = Cache(self.plan.cache)
        self.device = device_of()
        self._codes: dict[str, str] = {}
        self._scores: dict[str, dict[str, Any]] = {}
        self._pairs = {set_plan.name: set_plan.build().pairs for set_plan in self.plan.datasets}

    def check(self) -> None:
        """Find problems before any work is done.

        A folder that lacks a picture is an error. A model that cannot be loaded becomes a failure; the others go on.

        Raises:
            DataError: pictures are missing or would be overwritten by the results; all are named.
        """
        problems, inputs = [], [path for pairs in self._pairs.values() for pair in pairs
                                for path, _ in pair.images]
        for method in self.plan.methods:
            sets = [set_plan for set_plan in self.plan.datasets if method in self.plan.methods_of(set_plan.name)]
            if isinstance(method, FolderMethod):
                for set_plan in sets:
                    pairs = self._pairs[set_plan.name]
                    if affix := method.affix(set_plan.name, pairs):
                        folder = f'{method.name} ({method.folders[set_plan.name]})'
                        print(affix_in_words(folder, affix), file=sys.stderr)
                    files, missing = method.files(set_plan.name, pairs)
                    inputs += files.values()
                    problems += missing
                continue
            try:
                method.check(self.refused)
            except BaseException as error:
                if is_end(error):
                    raise
                for set_plan in sets:
                    self._failed(set_plan, method.name, error)
        for set_plan in self.plan.datasets:
            for heading, pattern in set_plan.texts.items():
                if not any(set_plan.text_file(pattern, pair).is_file() for pair in self._pairs[set_plan.name]):
                    raise DataError(f'{set_plan.name} has no text {heading} for any pair: '
                                    f'{set_plan.text_file(pattern)}.',
                                    'Correct the pattern in `texts`, which is relative to data_root, or leave it out.')
        results = (self.plan.out / 'fused').resolve()  # files of an earlier run are replaced or removed there
        if within := [str(path) for path in inputs if results in path.resolve().parents]:
            raise DataError(f'{len(within)} pictures are in the folder to which this comparison writes its results:\n'
                            f'{listing(within)}', 'Move them elsewhere, or choose another --out.')
        if problems:
            raise DataError(f'{len(problems)} fused pictures are missing:\n{listing(problems, len(problems))}',
                            "Fuse them, correct the folder (a pattern says where the name is: 'out/{name}_fused.*'), "
                            'or use `only` or `limit` of the data set.')

    def fuse(self) -> list[Unit]:
        """Fuse the pairs of this process with every model, unless the results are in the cache.

        Returns:
            The pictures of this process's pairs, including those of folders and the control images.
        """
        new_run()
        return self._collect(range(self.rank, sys.maxsize, self.world), work=True)

    def score(self, units: Sequence[Unit]) -> None:
        """Score the pictures whose scores are not in the cache, each in one thread; `units` as `fuse` returns them."""
        jobs: dict[str, tuple[Unit, list[str]]] = {}
        for unit in units:
            known = self.scores(unit)
            missing = [column for column in unit.columns if column not in known]
            self.counts['known scores'] += not missing
            if missing:  # two policies may give one picture
                _, columns = jobs.setdefault(unit.key, (unit, []))
                columns += [column for column in missing if column not in columns]
        # Pictures of one pair follow each other, so that its sources are read once.
        ordered = sorted(jobs.values(), key=lambda job: (job[0].dataset.name, job[0].pair.name))
        workers = max(torch.get_num_threads(), 1)
        read_planes = lru_cache(maxsize=2 * workers)(self._source_planes)
        with one_thread_each(), ThreadPoolExecutor(workers) as pool:
            try:
                self.progress('scoring', 0, len(jobs))
                results = pool.map(lambda job: self._try_to_score(*job, read_planes), ordered)
                for done, ((unit, _), error) in enumerate(zip(ordered, results, strict=True), 1):
                    if error:
                        self._failed(unit.dataset, unit.method, error)
                    self.counts['scored'] += not error
                    self.progress('scoring', done, len(jobs))
            except BaseException:  # also Ctrl-C: scores that have not begun are dropped
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def units(self) -> list[Unit]:
        """The pictures of all pairs, from all processes; a method that failed has none."""
        self._scores.clear()  # other processes may have added some
        return self._collect(range(sys.maxsize), work=False)

    def _collect(self, indices: range, work: bool) -> list[Unit]:
        """The pictures of the pairs with these indices; with `work`, missing pictures are made."""
        units = []
        for set_plan in self.plan.datasets:
            for method in self.plan.methods_of(set_plan.name):
                if (set_plan.name, method.name) in self.failures:
                    continue
                try:
                    units += (self._folder(set_plan, method, indices) if isinstance(method, FolderMethod)
                              else list(self._fused(set_plan, method, indices, work)))
                except BaseException as error:  # a method that fails becomes a row with its error
                    if is_end(error):
                        raise
                    self._failed(set_plan, method.name, error)
            units += self._controls(set_plan, indices)
        return units

    def scores(self, unit: Unit) -> dict[str, float]:
        """The scores of a picture that are in the cache, by the full name of the metric."""
        record = self._known(unit.key)
        return {column: record[f'{column}@{self._code(column)}'][0] for column in unit.columns
                if f'{column}@{self._code(column)}' in record}

    def reasons(self, unit: Unit, column: str) -> str:
        """Reasons why a score is not finite."""
        return self._known(unit.key)[f'{column}@{self._code(column)}'][1]

    def _known(self, key: str) -> dict[str, Any]:
        """The record of all scores of a picture; it is read once."""
        if key not in self._scores:
            self._scores[key] = self.cache.read_all('scores', key)
        return self._scores[key]

    def pairs(self, dataset: str) -> list[Pair]:
        """The pairs of a data set, by its name."""
        return self._pairs[dataset]

    # Fusing

    def _fused(self, set_plan: SetPlan, method: ModelMethod, indices: range, work: bool) -> Iterator[Unit]:
        """The pictures of a model, from the cache or made now."""
        outputs = self.plan.outputs(method)
        columns = self._columns(set_plan, outputs)
        dataset = self._with_text(set_plan, method)
        repeats = method.repeats(self.plan.seeds)
        for repeat in repeats:
            identity, about = method.identity(repeat), f'{set_plan.name}: {method.name}'
            network, warm = None, False
            if work:
                self.progress(about, 0, len(dataset.pairs))
            for index, pair in enumerate(dataset.pairs):
                if index not in indices:
                    continue
                key = self._fuse_key(identity, set_plan, dataset, pair)
                record = self.cache.read('fused', key) or {}
                pictures = record.get('pictures', {})
                lacks = not all(str(output) in pictures and self.cache.has_picture(pictures[str(output)])
                                for output in columns)
                if lacks and not work:
                    raise DataError(f'{pair.name} was not fused.', 'See the messages of the other processes.')
                if lacks:
                    network = network or self._network(method, repeat, about)
                    new = self._forward(network, identity, dataset[index], pair, list(columns), repeat, warm)
                    warm = True
                    pictures = pictures | new['pictures']  # a method with the same model may have other outputs
                    record |= new | {'pictures': pictures}
                    self.cache.write('fused', key, record)
                if work and record.get('tiles') == 'blend':
                    note(f'blended {about}', f'{about}: large pairs were fused in blended windows, which is an '
                                             'approximation: the model is not local.')
                if work:
                    self.counts['fused' if lacks else 'known pairs'] += 1
                    self.progress(about, index + 1, len(dataset.pairs))
                for name, output in outputs.items():
                    grey, colour = pictures[str(output)], None
                    if output == self.plan.output or self.plan.protocol.colour == 'channels':
                        colour = self._coloured(grey, pair, self.plan.chroma_of(set_plan),
                                                record.get('colour_strength', 1.))
                    scored = colour if self.plan.protocol.colour == 'channels' else grey
                    key = self._score_key(scored, pair)  # the name of a kept picture is its digest
                    yield Unit(dataset=set_plan, method=method.name, repeat=str(repeat) if len(repeats) > 1 else '',
                               output=name, pair=pair, picture=self.cache.picture(grey),
                               colour=colour and self.cache.picture(colour), key=key, columns=columns[output],
                               record=record)

    def _coloured(self, digest: str, pair: Pair, chroma: str, strength: float) -> str:
        """The digest of the colour version of a grey picture, with the sources' chroma put back."""
        code = code_digest(vlfusion.imaging.chroma, vlfusion.imaging.images, vlfusion.imaging.reading,
                           *modules_of(CHROMA_RULES.get(chroma)))
        key = key_of(grey=digest, **_digests(pair), chroma=chroma, strength=strength, code=code)
        record = self.cache.read('colours', key)
        if not record or not self.cache.has_picture(record['picture']):
            sources = (read_image(*source) for source in pair.sources)
            colour = add_chroma(read_image(self.cache.picture(digest)), *sources, chroma, strength)
            record = {'picture': self.cache.keep_picture(colour) if colour.ndim == 3 else digest}
            self.cache.write('colours', key, record)
        return record['picture']

    def _columns(self, set_plan: SetPlan, outputs: Mapping[str, Output]) -> dict[Output, tuple[str, ...]]:
        """The columns for each different output policy; the protocol's policy has the variants as well."""
        truth = self._truth(set_plan)
        columns = tuple(self.plan.columns(truth))
        others = [other for of in self.plan.variants(truth).values() for other in of]
        return {output: tuple(dict.fromkeys([*columns, *others])) if output == self.plan.output else columns
                for output in dict.fromkeys(outputs.values())}

    def _truth(self, set_plan: SetPlan) -> bool:
        return all(pair.path_truth for pair in self._pairs[set_plan.name])

    def _with_text(self, set_plan: SetPlan, method: ModelMethod) -> SetOfPairs:
        """The data set with the texts that the model reads, if any."""
        experiment = set_plan.experiment_of(method)
        if 'text_source' not in experiment:
            return set_plan.build(check=False)
        language = experiment.get('language')
        if self.plan.words:
            language, words = combine(self.plan.words, believed_parts(experiment), trained=True)
            note(f'words of {method.name}', f'{method.name}: {words}')
        changes = dict(text_source=experiment['text_source'], language=language or experiment.get('readable_language'),
                       text_policy=method.text_policy)
        if not language:
            return self._with_stored_text(set_plan, changes, experiment.get('language_error'))
        if (text := fixed_text(method.text_policy)) is not None:
            for name in text_configs(experiment['text_source']):
                encode_fixed(section_of(name, language), [text])
            return set_plan.build(check=False, **changes)
        sources = text_configs(experiment['text_source'])
        in_words = any('files' not in source for source in sources.values())
        allowed = self.describe or self.plan.words or believed_language(language) is not None
        if allowed and (report := make_words(
                language, sources, set_plan.build(check=False).dataset.pairs,
                progress=lambda stage, *counts: self.progress(f'{set_plan.name}: {stage}', *counts),
                root=set_plan.part.get('data_root', '.'))):
            report.raise_if_failed()
        try:
            return set_plan.build(check=False, **changes)
        except DataError as error:
            if allowed or not in_words:
                raise
            raise DataError(error.problem, 'Add --describe to describe images with the parts that the language section '
                            'names, which may need a network, a key or files of a hub.') from error

    @staticmethod
    def _with_stored_text(set_plan: SetPlan, changes: Mapping[str, Any], refused: VLFusionError | None) -> SetOfPairs:
        """The data set with stored texts; if texts are missing, raises the error `refused`, as they may not be made."""
        try:
            return set_plan.build(check=False, **changes)
        except VLFusionError as error:
            if refused is None or all('files' in source for source in text_configs(changes['text_source']).values()):
                raise
            raise refused from error

    def _fuse_key(self, identity: str, set_plan: SetPlan, dataset: SetOfPairs, pair: Pair) -> str:
        whole = dataset.dataset
        # The pipeline contains only `LoadPair` and `PackPair`, see `SetPlan`.
        texts = {key: [hashlib.sha256(source.load(pair).tobytes()).hexdigest(), whole.text_lengths[key]]
                 for key, source in whole.text_sources.items()}
        return key_of(identity=identity, **_digests(pair), texts=texts, device=self.device.type, name=pair.name,
                      pipeline=set_plan.part['pipeline'], tiles=self.plan.tiles, max_memory=self.plan.max_memory)

    def _network(self, method: ModelMethod, repeat: Repeat, about: str) -> Network:
        """The model as in a `Fuser`: pairs that do not fit into memory are fused in tiles."""
        return Network(method.load(repeat), device=str(self.device), tiles=self.plan.tiles,
                       max_memory=self.plan.max_memory, note=lambda text: note(f'memory {about}', f'{about}: {text}'))

    def _forward(self, network: Network, identity: str, sample: dict, pair: Pair, outputs: Sequence[Output],
                 repeat: Repeat, warm: bool) -> dict[str, Any]:
        """Fuse a pair, keep the grey pictures, and return the record.

        Args:
            warm: whether the model ran since it was loaded; time and memory of its first pass are not typical.
        """
        batch = default_collate([sample])
        texts = [key for name in text_dims(network.model.backbone) for key in (name, f'{name}_mask')]
        maps = map_inputs(network.model.backbone)
        inputs = {key: batch[key] for key in (*SOURCES, *maps, *texts) if key in batch}
        size = tuple(inputs['source_a'].shape[-2:])
        plans = [network.plan(inputs)]  # before the seed is set, because planning may run the model
        _seed(repeat.seed, pair.name)
        measured = measure(partial(network.fuse, inputs, chosen=plans[0], trying=plans.append), self.device)
        plan = plans[-1]
        macs_key = key_of(identity=identity, size=size)
        counted = self.cache.read('macs', macs_key)
        if counted is None:
            counted = {'macs': count_macs(partial(network, inputs), network.model, compute=plan.mode == 'whole')}
            self.cache.write('macs', macs_key, counted)
        fused = measured.fused
        if fused.shape[-2:] != size:
            raise DataError(f'{pair.name}: the result is {tuple(fused.shape[-2:])}, but the sources are {size} '
                            '(height, width).', 'A backbone must return images of the size of its sources.')
        try:
            pictures = {str(output): self.cache.keep_picture(to_grey(fused, *output)) for output in outputs}
        except DataError as error:
            raise named(error, pair) from error
        low, high = fused.aminmax()
        return dict(pictures=pictures, height=size[0], width=size[1], seconds=measured.seconds,
                    memory=measured.memory, macs=counted['macs'], warm=warm,
                    low=low.item(), high=high.item(), device=self.device.type,
                    colour_strength=network.colour_strength(inputs),
                    parameters=sum(parameter.numel() for parameter in network.model.parameters()),
                    tiles=plan.mode if plan.tile != size else 'whole')

    # Pictures of other programs, and controls

    def _folder(self, set_plan: SetPlan, method: FolderMethod, indices: range) -> list[Unit]:
        """The pictures of a folder; 8-bit files are scored unchanged under every output policy."""
        files, _ = method.files(set_plan.name, self._pairs[set_plan.name])
        [columns] = self._columns(set_plan, {'protocol': self.plan.output}).values()
        return [Unit(dataset=set_plan, method=method.name, pair=pair, picture=files[pair.name], colour=files[pair.name],
                     key=self._score_key(content_digest(files[pair.name]), pair), columns=columns)
                for index, pair in enumerate(self._pairs[set_plan.name]) if index in indices]

    def _controls(self, set_plan: SetPlan, indices: range) -> list[Unit]:
        [columns] = self._columns(set_plan, {'protocol': self.plan.output}).values()
        # The key contains the pair's name, because a control's noise is seeded by it.
        return [Unit(dataset=set_plan, method=CONTROL + control, pair=pair,
                     key=self._score_key(f'{control} {pair.name}', pair), columns=columns)
                for control in self.plan.controls
                for index, pair in enumerate(self._pairs[set_plan.name]) if index in indices]

    def _failed(self, set_plan: SetPlan, method: str, error: BaseException) -> None:
        self.failures[set_plan.name, method] = reason(error)
        print(printable(f'{set_plan.name}: {method} failed: {reason(error)}'), file=sys.stderr)

    # Scoring

    def _score_key(self, fused: str, pair: Pair) -> str:
        """The key of a picture's scores, from its digest (or the name of a control image) and its sources."""
        return key_of(fused=fused, **_digests(pair), truth=pair.path_truth and content_digest(pair.path_truth),
                      protocol=self.plan.protocol.label)

    def _try_to_score(self, unit: Unit, columns: Sequence[str], read_planes: Callable) -> BaseException | None:
        try:
            self._score(unit, columns, read_planes)
        except BaseException as error:
            if is_end(error):
                raise
            return error

    def _source_planes(self, pair: Pair, colour: bool) -> dict[str, Planes]:
        """Source A, source B, perhaps the truth, and maps, in grey levels."""
        keys = ('source_a', 'source_b', *(['truth'] if pair.path_truth else []), *dict(pair.maps))
        return {key: grey_levels(read_image(*image), self.plan.protocol, colour)
                for key, image in zip(keys, pair.images, strict=True)}

    def _score(self, unit: Unit, columns: Sequence[str], read_planes: Callable) -> None:
        in_colour = self.plan.protocol.colour == 'channels'
        if unit.picture:
            fused = read_image(unit.colour if in_colour else unit.picture)
            in_colour = self.plan.protocol.by_channel(fused)
            shown = grey_levels(fused, self.plan.protocol, in_colour)
        planes = read_planes(unit.pair, in_colour)
        if not unit.picture:
            sources = planes['source_a'], planes['source_b']
            shown = control_images(unit.pair.name, *sources)[unit.method.removeprefix(CONTROL)]
        if shown.shape != planes['source_a'].shape:
            (high, wide), (height, width) = shown.shape[-2:], planes['source_a'].shape[-2:]
            raise DataError(f'{unit.picture} is {wide}x{high}, but its sources are {width}x{height} (width x height).',
                            'Fuse the pair again at the size of its sources.')
        values, unfinite = score_planes(unit.pair.name, dict(fused=shown, **planes), columns)
        reasons = {item.metric: ', '.join(item.reasons) for item in unfinite}
        scores = {f'{column}@{self._code(column)}': [value, reasons.get(column, '')]
                  for column, value in values.items()}
        self.cache.add('scores', unit.key, scores)
        self._scores[unit.key] = self._known(unit.key) | scores

    def _code(self, column: str) -> str:
        """A hash of the code behind a score; after a change of the code, the score is computed again."""
        if column not in self._codes:
            self._codes[column] = code_digest(vlfusion.metrics, vlfusion.imaging.images, vlfusion.imaging.reading,
                                              vlfusion.evaluation.controls, *modules_of(metric_of(column)))[:12]
        return self._codes[column]


def _digests(pair: Pair) -> dict[str, str]:
    """Digests of the sources and maps of a pair, for a key."""
    sources = dict(zip('ab', (image_digest(*source) for source in pair.sources), strict=True))
    return sources | {f'map {name}': content_digest(path) for name, path in pair.maps}


def _seed(seed: int, name: str) -> None:
    """Seed all random generators by seed and pair, so that a result does not depend on other pairs of the run."""
    seed = zlib.crc32(f'{seed} {name}'.encode())
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
