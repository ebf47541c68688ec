"""Measure obedience: fuse pairs under held-out instructions, and see what changes."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from mmengine.config import Config
from torch import Tensor, nn
from torch.utils.data import default_collate

from vlfusion import __version__
from vlfusion.analysis.asked_quantities import LEAST_REGION, changes, judge, kind_of, measure, wanted
from vlfusion.analysis.obedience import Obedience, spell_directions
from vlfusion.analysis.obedience_figure import ROWS, Figure, choose_shown
from vlfusion.analysis.text_variants import load_guided
from vlfusion.config import as_config
from vlfusion.data.regions import region_weight
from vlfusion.engine.checkpoints import load_model
from vlfusion.engine.named import locate
from vlfusion.errors import ConfigError
from vlfusion.evaluation.evaluator import FusionEvaluator
from vlfusion.files import file_digest
from vlfusion.guards.redaction import without_secrets
from vlfusion.imaging.asked import asked_picture
from vlfusion.imaging.chroma import mean_chroma
from vlfusion.imaging.images import read_image
from vlfusion.language.instructions import Instruction, Vocabulary
from vlfusion.language.section import INSTRUCTION, section_of
from vlfusion.metrics import Locality
from vlfusion.metrics.scoring import DEFAULT_METRICS
from vlfusion.metrics.weighted import weighted_mean
from vlfusion.models import needed_texts, text_dims
from vlfusion.registry import DATASETS, TEXT_ENCODERS, share_keys
from vlfusion.system.devices import device_of

#: Pixels that are fused at once, of pictures that share the expensive part of the network; FILM takes 1 GB for them.
PIXELS = 4_000_000
Image = Float[Tensor, 'batch 1 h w']


def measure_obedience(config: str | os.PathLike | Config, checkpoint: str | os.PathLike | None = None, *,
                      vocabulary: str | os.PathLike | Vocabulary = 'fusion.v2',
                      against: str | os.PathLike | None = None, per_case: int = 4, per_region: int = 1,
                      metrics: Sequence[str] = DEFAULT_METRICS,
                      protocol: str | None = None, alpha: float = 0.05, limit: int | None = None, seed: int = 0,
                      figure: bool = True, out: str | os.PathLike | None = None,
                      inputs: Mapping[str, object] | None = None,
                      show: Callable[[Iterable[int]], Iterable[int]] = iter) -> Obedience:
    """Measure whether a model obeys instructions that it never saw in training, and write the results.

        config = vlfusion.use_folders(vlfusion.config_of('film-guide-mif'), 'my/mri', 'my/pet')
        vlfusion.describe(config)
        print(vlfusion.measure_obedience(config, 'film-guide-mif', limit=20).sentence)

    Each pair is fused without an instruction, and under held-out sentences of every intent, degree and region. Every
    pair gets other sentences. Intents about colour are left out if the network has no `colour_strength`, and for pairs
    of two grey images.

    Args:
        config: config of the experiment, as a file or as `load_config` returns it; its test data are fused.
        checkpoint: the weights, as for `ablate_text`.
        vocabulary: name or file of the vocabulary, or one that was read.
        against: another model; its pictures are scored beside those without an instruction.
        per_case: number of sentences for each intent and degree of the whole picture.
        per_region: the same for each region; 0 leaves regions out.
        metrics: names in `FUSION_METRICS`, by which the pictures without an instruction are scored.
        protocol: protocol of these scores; by default the config's, or `film`.
        alpha: level of significance, and of the intervals.
        limit: number of pairs, spread evenly over the data set; None for all.
        seed: seed of the choice of sentences.
        figure: draw a figure of the first pairs too.
        out: folder of the results; by default `WORK_DIR/obedience`.
        inputs: more facts for the record, such as overrides of the config; secrets are removed.
        show: function that wraps the loop over the pairs' indices, to show progress.

    Raises:
        ConfigError: the config has no test data or no text encoder, or the model reads no text, or several texts of
            which none is `instruction`.
        DataError: images or texts are missing.
        CheckpointError: the weights do not fit the model.
    """
    config = as_config(config)
    words = vocabulary if isinstance(vocabulary, Vocabulary) else Vocabulary.read(vocabulary)
    weights = locate(checkpoint) if checkpoint else None
    listener = Listener(load_guided(config, weights).to(device_of()), config.get('language'))
    part = config.test_dataloader.dataset
    share_keys(config, part, DATASETS)
    part = {key: value for key, value in part.items() if key != 'instructions'}
    dataset = DATASETS.build(part)
    images = min(len(dataset), limit or len(dataset))
    indices = [place * len(dataset) // images for place in range(images)]
    protocol = protocol or config.get('protocol', 'film')
    evaluator, other = FusionEvaluator(metrics, protocol), _Other(against, part, metrics, protocol) if against else None
    name = Path(weights.name).name if weights else Path(config.filename or 'unnamed').stem
    out = Path(out or f'{config.get("work_dir") or f"work_dirs/{name}"}/obedience')
    cases, equal, drawn = [], 0, Figure(out)
    for index in show(indices):
        sample = dataset[index]
        reference = listener.fuse(sample)
        _score(evaluator, sample, reference)
        equal += bool(other) and torch.equal(other.fuse(index), reference)
        asked = instructions(words, *_modalities(dataset, index), per_case, per_region,
                             seed_of_pair(seed, index))
        colour = listener.has_colour and _is_coloured(sample)
        cases += _judged(listener, sample, reference, [
            case for case in asked if colour or 'Colour' not in wanted(case.ask)])
        if figure and index in indices[:ROWS] and (shown := [case.text for case in choose_shown(asked)]):
            pictures = listener.fuse(sample, listener.encode(shown))
            drawn.add(sample['name'], {
                'source A': sample['source_a'], 'source B': sample['source_b'], 'no instruction': reference[0],
                **{str(place): picture for place, picture in enumerate(pictures, 1)}}, shown)
    scores = {'none': [row for row, _ in evaluator.results]}
    if other:
        scores[str(against)] = [row for row, _ in other.evaluator.results]
    facts = dict(config=config.filename, checkpoint=weights and weights.name, stream=listener.stream, against=against,
                 sha256=weights and weights.file and file_digest(weights.file), vocabulary_sha256=words.sha256,
                 per_case=per_case, per_region=per_region, encoder=dict(listener.section['encoder']),
                 vlfusion=__version__, **without_secrets(dict(inputs or {})))
    obedience = Obedience(
        title=name, dataset=dataset.name, images=images, vocabulary=words.id, seed=seed, alpha=alpha,
        protocol=evaluator.protocol.label, cases=tuple(cases), scores=scores, equal=equal,
        inputs={key: str(value) for key, value in facts.items() if value is not None})
    obedience.write(out)
    if drawn.words:
        drawn.write()
    return obedience


def instructions(vocabulary: Vocabulary, modality_a: str, modality_b: str, per_case: int, per_region: int,
                 seed: int) -> list[Instruction]:
    """List the held-out instructions for a pair; arguments as for `measure_obedience`."""
    regions = [region for region in vocabulary.regions if region] if per_region else []
    return [*vocabulary.cases(modality_a, modality_b, per_case=per_case, seed=seed),
            *vocabulary.cases(modality_a, modality_b, per_case=per_region, regions=regions, seed=seed)]


class Listener:
    """A model that fuses a pair without an instruction, or under several.

    The instruction is the text `instruction` of the backbone, or its only text. A backbone that needs it gets the empty
    text where there is no instruction.

    Args:
        model: a `FusionModel` that reads text; it is put into evaluation mode.
        language: language section of the config, whose encoder of this text reads the sentences.

    Raises:
        ConfigError: there is no encoder, or the backbone has several texts of which none is `instruction`.
    """

    def __init__(self, model: nn.Module, language: Mapping | None):
        backbone, texts = model.backbone, text_dims(model.backbone)
        self.stream = INSTRUCTION if INSTRUCTION in texts else next(iter(texts))
        self.section = section_of(self.stream, language or {})
        if not self.section.get('encoder'):
            raise ConfigError('The config has no text encoder, which must read the instructions.',
                              'Give it a language section with the encoder of the training.')
        if INSTRUCTION not in texts and len(texts) > 1:
            raise ConfigError(f'{type(backbone).__name__} reads the texts {", ".join(texts)}, but none of them is an '
                              'instruction.', 'Choose a network that reads one text, or a text called instruction.')
        self.model, self.encoder = model.eval(), TEXT_ENCODERS.build(self.section['encoder'])
        self.needs_it = self.stream in needed_texts(backbone)
        self.several = getattr(backbone, 'several_instructions', False)
        self.has_colour = self.stream == INSTRUCTION and hasattr(backbone, 'colour_strength')

    def encode(self, sentences: Sequence[str]) -> dict[str, Tensor]:
        """Encode sentences as the texts `(several, token, dim)` that `fuse` takes, with their mask."""
        encoded = self.encoder.encode(list(sentences))
        return {self.stream: encoded.features.float().cpu(), f'{self.stream}_mask': encoded.mask.cpu()}

    @torch.no_grad()
    def fuse(self, sample: Mapping[str, Any], texts: Mapping[str, Tensor] | None = None) -> Image:
        """Fuse the pair of a sample under each text, or without an instruction. Returns luminance in [0, 1]."""
        if texts is None:
            texts = self.encode(['']) if self.needs_it else {}
        alone = {key: value for key, value in sample.items() if key not in (self.stream, f'{self.stream}_mask')}
        several = range(1 if self.several or not texts else len(texts[self.stream]))
        return torch.cat([self._run(default_collate([alone]) | {
            key: value if self.several else value[place:place + 1] for key, value in texts.items()})
            for place in several])

    @torch.no_grad()
    def saturation(self, texts: Mapping[str, Tensor]) -> Float[Tensor, ' several']:
        """Return the factor of the saturation that each text asks for; NaN if the network has none."""
        texts = self.model.data_preprocessor(dict(texts), False)
        if not self.has_colour:
            return torch.full((len(texts[self.stream]),), torch.nan)
        return self.model.backbone.colour_strength(texts[self.stream], texts[f'{self.stream}_mask']).cpu()

    def _run(self, batch: dict[str, Any]) -> Image:
        fused = self.model(**self.model.data_preprocessor(batch, False), mode='tensor')
        return fused.float().clamp(0, 1).cpu()


class _Other:
    """Another model on the same pairs, with the texts that it reads."""

    def __init__(self, model: str | os.PathLike, part: Mapping[str, Any], metrics: Sequence[str], protocol: str):
        built, experiment = load_model(model)
        self.model, self.evaluator = built.to(device_of()), FusionEvaluator(metrics, protocol)
        language = experiment.get('language') or experiment.get('readable_language')
        texts = dict(text_source=experiment.get('text_source'), language={**(part.get('language') or {}), **(
            {key: value for key, value in (language or {}).items() if key != 'store'})})
        self.dataset = DATASETS.build({**part, **texts, 'check': False})

    @torch.no_grad()
    def fuse(self, index: int) -> Image:
        """Fuse a pair and score it."""
        sample = self.dataset[index]
        [output] = self.model.test_step(default_collate([sample]))
        fused = output['fused'][None].float().clamp(0, 1).cpu()
        _score(self.evaluator, sample, fused)
        return fused


def _score(evaluator: FusionEvaluator, sample: Mapping[str, Any], fused: Image) -> None:
    evaluator.process(default_collate([sample]), [dict(name=sample['name'], fused=fused[0])])


def seed_of_pair(seed: int, index: int) -> int:
    """Return the seed of a pair's sentences; two seeds share none, for up to a million pairs."""
    return 1_000_000 * seed + index


def _is_coloured(sample: Mapping[str, Any]) -> bool:
    """Tell whether a source has colours, which an instruction can change."""
    return any(mean_chroma(read_image(sample[path])) > 0.001 for path in ('path_a', 'path_b') if path in sample)


def _modalities(dataset: Any, index: int) -> tuple[str, str]:
    pair = dataset.pairs[index] if hasattr(dataset, 'pairs') else dataset.task
    return pair.modality_a, pair.modality_b


def _judged(listener: Listener, sample: Mapping[str, Any], reference: Image,
            cases: Sequence[Instruction]) -> Iterator[dict[str, Any]]:
    """Fuse a pair under each instruction, and yield the rows of `Obedience.cases`."""
    sources = [sample[key][None].float() for key in ('source_a', 'source_b')]
    grey_a, grey_b, plain = (255 * image.double() for image in (*sources, reference))
    brightest = torch.maximum(*sources)[0, 0].numpy()
    regions = {region: torch.from_numpy(region_weight(region, brightest))[None, None]
               for region in dict.fromkeys(case.region for case in cases)}
    before = {region: measure(plain, grey_a, grey_b, weight.double(), torch.ones(1).double())
              for region, weight in regions.items()}
    at_once = max(1, PIXELS // plain.numel())
    for start in range(0, len(cases), at_once):
        chunk = cases[start:start + at_once]
        size = (len(chunk), -1, -1, -1)
        weight = torch.cat([regions[case.region] for case in chunk])
        texts = listener.encode([case.text for case in chunk])
        fused = listener.fuse(sample, texts)
        asked = asked_picture(*(source.expand(size) for source in sources),
                              torch.tensor([astuple(case.ask) for case in chunk]), weight, reference.expand(size))
        first = {name: torch.cat([before[case.region][name] for case in chunk]) for name in before[chunk[0].region]}
        balance = torch.tensor([kind_of(case.ask) == 'balance' for case in chunk])
        a, b, shown = grey_a.expand(size), grey_b.expand(size), 255 * fused.double()
        saturations = listener.saturation(texts), torch.tensor([case.ask.colour for case in chunk])
        moved, target = (changes(first, measure(picture, a, b, weight.double(), colour.double()), balance)
                         for picture, colour in zip((shown, 255 * asked.double()), saturations, strict=True))
        pixels = weighted_mean((shown - plain).abs(), weight)
        locality = Locality(shown, a, b, plain.expand(size), 255 * weight.double())
        for place, case in enumerate(chunk):
            change, goal = ({name: values[place].item() for name, values in table.items()} for table in (moved, target))
            small = bool(case.region) and weight[place].mean() < LEAST_REGION
            verdict = None if small else judge(case.ask, change, goal, pixels[place].item())
            yield dict(
                name=sample['name'], text=case.text, intent=case.intent, degree=case.degree, region=case.region,
                kind=kind_of(case.ask), wanted=spell_directions(wanted(case.ask)),
                obeyed=None if verdict is None else int(verdict), pixels=pixels[place].item(),
                locality=locality[place].item() if case.region else None, **change,
                **{f'asked {name}': value for name, value in goal.items()})
