"""The texts of an ablation: the policies that a config supports, the test data under each, and the whole run.

Beside the files of `vlfusion.analysis.ablation`, `words.csv` holds the words that each pair had under each policy.
"""

import inspect
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from mmengine.config import Config
from torch import nn

from vlfusion import __version__
from vlfusion.analysis.ablation import SENSITIVITY, Ablation, ablate
from vlfusion.config import SPLITS, as_config
from vlfusion.data.dataset import PairDataset
from vlfusion.data.from_config import find_datasets
from vlfusion.data.names import require_names
from vlfusion.data.own_texts import Texts, written_source
from vlfusion.data.policies import borrow, fixed_text
from vlfusion.data.text import encode_given, text_configs, text_sources
from vlfusion.engine.checkpoints import experiment_of, load_model, load_weightless
from vlfusion.engine.named import Located, locate
from vlfusion.errors import ConfigError, DataError
from vlfusion.files import file_digest, whole_file
from vlfusion.guards.cells import write_table
from vlfusion.guards.redaction import without_secrets
from vlfusion.language.fixed import encode_fixed
from vlfusion.language.keys import identity
from vlfusion.language.section import section_of
from vlfusion.metrics.scoring import DEFAULT_METRICS
from vlfusion.models import text_dims
from vlfusion.registry import DATASETS, TEXT_ENCODERS, share_keys
from vlfusion.system.devices import device_of

#: Description of each policy, in the order of the tables.
POLICIES = {'empty': 'the empty text', 'zero': 'features that are all 0', 'fixed': '"{sentence}"',
            'swapped': "another pair's", 'other': 'a text of {other.name} ({other.task.name})',
            'shuffled': 'its own, tokens in another order', 'noise': 'noise of the same norm'}
#: Policies that need a text encoder.
ENCODED = ('empty', 'fixed')
SENTENCE = 'Fuse the two images.'


def ablate_text(config: str | os.PathLike | Config, checkpoint: str | os.PathLike | None = None, *,
                policies: Sequence[str] | None = None, sentence: str = SENTENCE,
                other: str | os.PathLike | Config | None = None,
                other_texts: Mapping[str, Texts] | None = None, metrics: Sequence[str] = DEFAULT_METRICS,
                protocol: str | None = None, alpha: float = 0.05, limit: int | None = None, pair_maps: bool = False,
                out: str | os.PathLike | None = None, inputs: Mapping[str, object] | None = None,
                show: Callable[[Iterable[int]], Iterable[int]] = iter) -> Ablation:
    """Compare the fusion of each test pair under its own text and under other texts, and write the results.

        ablation = vlfusion.ablate_text('film/film_ivf_sample', 'work_dirs/film/iter_500.pth', limit=20)
        print(ablation.sentence)

    Args:
        config: config of the experiment, as a file or as `load_config` returns it; its test data are fused.
        checkpoint: the weights: a checkpoint, a name such as `film-mif`, or anything else that `load_model` takes;
            None for a model without weights.
        policies: names in `POLICIES`; `swapped` is always included. By default all that the config supports, except
            `zero`.
        sentence: text of the policy `fixed`.
        other: config that gives the texts of the policy `other`, described with the same text encoder.
        other_texts: further texts about the same pairs in files, by the name of the policy that they become, such as
            `dict(common='MTG/TNO/text/common')`, see `vlfusion.use_texts`. They are encoded if necessary.
        metrics: names in `FUSION_METRICS`.
        protocol: protocol by which outputs become grey levels; by default the config's, or `film`.
        alpha: level of significance, and of the intervals.
        limit: number of pairs, spread evenly over the data set; None for all.
        pair_maps: write a map of each pair too.
        out: folder of tables, scores and maps; by default `WORK_DIR/ablation`.
        inputs: more facts for the record, such as overrides of the config; secrets are removed.
        show: function that wraps the loop over the pairs' indices, to show progress.

    Raises:
        ConfigError: the config has no test data, its model reads no text, or a policy is not supported.
        DataError: images or texts are missing, or there are fewer than two pairs.
        CheckpointError: the weights do not fit the model.
    """
    config, other_texts = as_config(config), dict(other_texts or {})
    if taken := sorted({'own', *POLICIES} & other_texts.keys()):
        raise ConfigError(f'Texts cannot be called {taken[0]!r}, which is a policy.', 'Give them another name.')
    require_names(other_texts, 'other_texts', 'Results are saved under these names.')
    other = None if other is None else as_config(other)
    weights = locate(checkpoint) if checkpoint else None
    model = load_guided(config, weights)
    part = config.test_dataloader.dataset
    share_keys(config, part, DATASETS)
    chosen, notes = choose(policies, sentence=sentence, encoder=bool(part.get('language')), other=other is not None)
    datasets, giver = data_under(chosen, part, sentence), None
    if 'other' in chosen:
        giver, datasets['other'] = data_of_other(other, part, datasets['own'])
    datasets |= data_with_texts(other_texts, part, datasets['own'])
    datasets = {policy: datasets[policy] for policy in ('own', *chosen, *other_texts)}
    labels = {policy: POLICIES[policy].format(sentence=sentence, other=giver) for policy in chosen}
    labels |= {name: f'texts of {_places(texts)}' for name, texts in other_texts.items()}
    stem = Path(config.filename or 'unnamed').stem
    titles = [stem, *([Path(weights.name).name] if weights else [])]
    out = Path(out or f'{config.get("work_dir") or f"work_dirs/{stem}"}/ablation')
    ablation = ablate(
        model.to(device_of()), datasets, out,
        protocol=protocol or config.get('protocol', 'film'), metrics=metrics,
        title=', '.join(dict.fromkeys(titles)), alpha=alpha, limit=limit,
        texts=labels, notes=notes, inputs=_record(config, weights, other, inputs or {}), pair_maps=pair_maps,
        show=show)
    ablation.write(out)
    _write_words(out / 'words.csv', datasets, {row['name'] for row in ablation.scores['own']})
    return ablation


def load_guided(config: Config, weights: Located | None) -> nn.Module:
    """Load the model of a config, with weights if it has some; raises a ConfigError if it reads no text."""
    if lacking := [key for key in ('task', 'model', 'test_dataloader') if not config.get(key)]:
        raise ConfigError(f'{config.filename} has no {" and no ".join(lacking)}.',
                          'Give a config with test data.')
    model, _ = load_model(weights, experiment_of(config)) if weights else load_weightless(config)
    if not text_dims(model.backbone):
        raise ConfigError(f'{config.model.backbone.type} reads no text, so text has no effect on it.',
                          'Give a config and a checkpoint of a model that is guided by text.')
    return model


def choose(policies: Sequence[str] | None = None, *, sentence: str = SENTENCE, encoder: bool = True,
           other: bool = False) -> tuple[list[str], list[str]]:
    """Choose the policies to compare, in the order of `POLICIES`, and make notes on those that are left out.

    Args:
        policies: names of policies; by default all that are supported.
        sentence: text of the policy `fixed`.
        encoder: True if the config has a text encoder.
        other: True if there is another config that gives texts.

    Raises:
        ConfigError: a named policy is not supported.

    >>> choose(['noise'])
    (['swapped', 'noise'], [])
    """
    if policies and 'other' in policies and not other:
        raise ConfigError('The policy other needs the config of another task.', 'Give one with --other-task CONFIG.')
    if 'fixed' in (policies or ['fixed']) and not sentence.strip():
        raise ConfigError('The sentence of --fixed is empty.', 'Give one, or choose the policy empty.')
    if policies:
        chosen = {*policies, SENSITIVITY} | ({'other'} if other else set())
        return [policy for policy in POLICIES if policy in chosen], []
    left_out, notes = {'zero'}, []
    if not encoder:
        left_out = set(ENCODED)
        notes.append('empty and fixed are left out, because the config has no language section and so no text encoder; '
                     'zero, features that are all 0, replaces them. To include them, give the config a language '
                     'section with the text encoder of the training.')
    if not other:
        left_out.add('other')
        notes.append("Another task's text is left out. To include it, give --other-task CONFIG, a config described "
                     'with the same text encoder.')
    return [policy for policy in POLICIES if policy not in left_out], notes


def data_under(policies: Sequence[str], part: Mapping, sentence: str = SENTENCE) -> dict[str, PairDataset]:
    """The test data under `own` and every policy but `other`; fixed texts are encoded first.

    Args:
        policies: policies that `choose` returned.
        part: config of the test data, including the language section if there is one.
        sentence: text of the policy `fixed`.

    Raises:
        ConfigError: the data set does not support text policies, or a text encoder is missing.
        DataError: images or texts are missing.
    """
    if 'text_source' not in inspect.signature(DATASETS.get(part['type'])).parameters:
        raise ConfigError(f'A data set {part["type"]} cannot give a pair another text.',
                          'Use a PairDataset of the same images.')
    values = {policy: dict(fixed=sentence) if policy == 'fixed' else policy for policy in ('own', *policies)
              if policy != 'other'}
    encoded = [text for text in map(fixed_text, values.values()) if text is not None]
    if encoded and part.get('language'):
        for name in text_configs(part.get('text_source')):
            encode_fixed(section_of(name, part['language']), encoded)
    # Images are checked once, because they are the same under every policy.
    return {policy: DATASETS.build({**part, 'text_policy': value} | ({} if policy == 'own' else {'check': False}))
            for policy, value in values.items()}


def data_of_other(config: Config, part: Mapping, dataset: PairDataset) -> tuple[PairDataset, PairDataset]:
    """The data set of another config, and the test data with its texts.

    Args:
        config: the other config.
        part: config of the test data.
        dataset: test data.

    Raises:
        ConfigError: the other config has no pairs, no text, or text of another encoder or width.
        DataError: the images of the other config are not described yet.
    """
    split = next((split for split in reversed(SPLITS) if config.get(f'{split}_dataloader')), None)
    if not split:
        raise ConfigError(f'{config.filename} has no pairs.', 'Give --other-task a config with a data set.')
    encoders = [language.get('encoder') for language in (part.get('language'), config.get('language')) if language]
    if len(encoders) == 2 and len({str(identity(TEXT_ENCODERS, encoder)) for encoder in encoders}) == 2:
        raise ConfigError(f'{config.filename} has another text encoder, whose features mean nothing to this model: '
                          f'{dict(encoders[1])} instead of {dict(encoders[0])}.',
                          'Describe its images with this encoder, by another config or by --other-options.')
    try:
        [(_, other)] = find_datasets(config, [split], text=True)
        return other, borrow(dataset, other)
    except DataError as error:
        raise DataError(f'The texts of {config.filename} cannot be given: {error.problem}',
                        f'Describe its images with `vlfusion describe {config.filename}`; --other-options overrides '
                        'keys of the config, such as language.store=...') from error


def data_with_texts(texts: Mapping[str, Texts], part: Mapping, dataset: PairDataset) -> dict[str, PairDataset]:
    """The test data with other texts in files, by name; the texts are encoded first.

    Args:
        texts: folders or patterns of the texts, by name.
        part: config of the test data.
        dataset: test data.

    Raises:
        ConfigError: the model reads several texts, or there is no text encoder.
        DataError: texts are missing.
    """
    if texts and not part.get('language'):
        raise ConfigError('The config has no language section, so texts cannot be encoded.',
                          'Give it one with the text encoder of the training.')
    configs = {name: written_source(part.get('text_source'), places) for name, places in texts.items()}
    for config in configs.values():
        encode_given(text_sources(config, part['language'], '.').values(), dataset.pairs)
    return {name: DATASETS.build({**part, 'text_source': config, 'check': False}) for name, config in configs.items()}


def _places(texts: Texts) -> str:
    return str(texts) if isinstance(texts, str | os.PathLike) else ' and '.join(map(str, texts))


def _write_words(path: Path, datasets: Mapping[str, PairDataset], names: Collection[str]) -> None:
    """Write the words of the named pairs under each policy, as far as they are known."""
    with whole_file(path) as file:
        write_table(file, ('name', 'policy', 'about', 'text'), (
            dict(name=pair.name, policy=policy, about=about, text=text)
            for policy, dataset in datasets.items() for pair in dataset.pairs if pair.name in names
            for source in dataset.text_sources.values() for about, text in source.words(pair).items()))


def _record(config: Config, weights: Located | None, other: Config | None,
            more: Mapping[str, object]) -> dict[str, str]:
    """Inputs of the comparison, without secrets."""
    file = weights and weights.file
    facts = dict(config=config.filename, checkpoint=weights and weights.name, sha256=file and file_digest(file),
                 other_task=other and other.filename, text_source=config.test_dataloader.dataset.get('text_source'),
                 vlfusion=__version__, **without_secrets(dict(more)))
    return {key: str(value) for key, value in facts.items() if value}
