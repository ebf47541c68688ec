"""Did the text do anything? Compare the fusion of each test pair under its own text with that under other texts.

    vlfusion ablate-text configs/film/film_med_short.py work_dirs/film_med_short/iter_500.pth
    vlfusion ablate-text CONFIG CHECKPOINT --other-task configs/film/film_ivf_sample.py --limit 20

For each text: how far the pixels move, where (a map), and which metrics differ significantly. See
docs/howto/ablate_text.md.
"""

import argparse

from vlfusion.errors import ConfigError, DataError

#: In the order of the tables.
CHOICES = ('empty', 'zero', 'fixed', 'swapped', 'other', 'shuffled', 'noise')
#: What needs a text encoder.
ENCODED = ('empty', 'fixed')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.key_values import KeyValues
    from vlfusion.cli.options import add_config
    from vlfusion.cli.own_data import add_own_data
    from vlfusion.guards.ranges import COUNT, FRACTION
    add_config(parser)
    add_own_data(parser)
    parser.add_argument('checkpoint', nargs='?', help='a checkpoint of vlfusion (none where the model has no weights)')
    parser.add_argument('--policies', nargs='+', choices=CHOICES,
                        help='the texts to compare with the own (default: all but zero, as far as the config can); '
                             'swapped is always among them')
    parser.add_argument('--fixed', default='Fuse the two images.', metavar='SENTENCE',
                        help='the sentence of the policy fixed (default: %(default)s)')
    parser.add_argument('--other-task', metavar='CONFIG',
                        help='a config, described with the same text encoder, whose texts the policy other gives')
    parser.add_argument('--other-options', nargs='+', action=KeyValues, metavar='KEY=VALUE',
                        help='overrides of the config of --other-task')
    parser.add_argument('--metrics', nargs='+', help='default: EN SD SF AG VIF Qabf')
    parser.add_argument('--protocol', help="how outputs become grey levels (default: the config's, else film)")
    parser.add_argument('--alpha', type=FRACTION, default=0.05, help='level of significance (default: %(default)s)')
    parser.add_argument('--limit', type=COUNT, metavar='N', help='N pairs only, spread evenly over the data set')
    parser.add_argument('--pair-maps', action='store_true', help='write a map of each pair too')
    parser.add_argument('--out', help='folder for tables, scores and maps (default: WORK_DIR/ablation)')


def run(args: argparse.Namespace) -> int:
    from functools import partial
    from pathlib import Path

    from vlfusion.cli.own_data import read_config
    from vlfusion.files import require_checkpoint
    config = read_config(args)
    if args.checkpoint:
        require_checkpoint(args.checkpoint)

    from mmengine.device import get_device

    from vlfusion.analysis.ablation import ablate
    from vlfusion.console.progress import track
    from vlfusion.evaluation.scores import DEFAULT_METRICS
    from vlfusion.registry import DATASETS, share_keys
    model = load_guided(config, args.checkpoint)
    part = config.test_dataloader.dataset
    share_keys(config, part, DATASETS)
    policies, notes = plan(args, part)
    datasets = data_under(policies, part, args.fixed)
    texts = in_words(args.fixed)
    if 'other' in policies:
        datasets['other'], texts['other'] = other_texts(args, part, datasets['own'])
    out = Path(args.out or f'{config.get("work_dir") or f"work_dirs/{Path(args.config).stem}"}/ablation')
    ablation = ablate(
        model.to(get_device()), {policy: datasets[policy] for policy in ('own', *policies)}, out,
        args.protocol or config.get('protocol', 'film'), args.metrics or DEFAULT_METRICS,
        f'{Path(args.config).stem}' + (f', {Path(args.checkpoint).name}' if args.checkpoint else ''), args.alpha,
        args.limit, {policy: texts[policy] for policy in policies}, notes, inputs_of(args), args.pair_maps,
        partial(track, step='fusing'))
    ablation.write(out)
    print(ablation.markdown())
    print(f'Tables: {out}/ablation.md, ablation.json\n'
          f'Scores: {out}/scores/, {out}/changes.csv\n'
          f'Maps:   {out}/maps/')
    return 0


def load_guided(config, checkpoint: str | None):
    """The model of a config, with the weights of a checkpoint; raises ConfigError where it reads no text."""
    from vlfusion.engine.checkpoints import experiment_of, load_model, load_weightless
    from vlfusion.models import text_dims

    if lacking := [key for key in ('task', 'model', 'test_dataloader') if not config.get(key)]:
        raise ConfigError(f'{config.filename} has no {" and no ".join(lacking)}.',
                          'Give a config that is meant to test.')
    model, _ = load_model(checkpoint, experiment_of(config)) if checkpoint else load_weightless(config)
    if not text_dims(model.backbone):
        raise ConfigError(f'{config.model.backbone.type} reads no text, so no text can do anything to it.',
                          'Give a config and a checkpoint of a model that is guided by text.')
    return model


def plan(args: argparse.Namespace, part: dict) -> tuple[list[str], list[str]]:
    """The policies to compare, and what to say of those that are left out.

    Args:
        args: of the command line.
        part: the config of the test data, which has the language section if there is one.

    Raises:
        ConfigError: a policy was asked for that cannot be.
    """
    if args.policies and 'other' in args.policies and not args.other_task:
        raise ConfigError('The policy other needs the config of another task.', 'Name one: --other-task CONFIG')
    if 'fixed' in (args.policies or ['fixed']) and not args.fixed.strip():
        raise ConfigError('The sentence of --fixed is empty.', 'Give one, or choose the policy empty.')
    if args.policies:
        wanted = {*args.policies, 'swapped'} | ({'other'} if args.other_task else set())
        return [policy for policy in CHOICES if policy in wanted], []
    left_out, notes = {'zero'}, []
    if not part.get('language'):
        left_out = set(ENCODED)
        notes.append('empty and fixed are left out, for the config has no language section and so no text encoder; '
                     'zero, features that are all 0, stands in their place. With a language section of the encoder '
                     'that the model was trained with, they are encoded of themselves.')
    if not args.other_task:
        left_out.add('other')
        notes.append("Another task's text is left out; --other-task CONFIG names a config, described with the same "
                     'text encoder, whose texts are given.')
    return [policy for policy in CHOICES if policy not in left_out], notes


def data_under(policies: list[str], part: dict, sentence: str) -> dict:
    """The test data under `own` and every policy but `other`; texts that are about no image are encoded first.

    Args:
        policies: as `plan` gives them.
        part: the config of the test data.
        sentence: what `fixed` gives every pair.

    Raises:
        ConfigError: the data set knows no text policies, or an encoder is wanted and there is none.
        DataError: data or texts are missing.
    """
    import inspect

    from vlfusion.data.policies import fixed_text
    from vlfusion.language.fixed import encode_fixed
    from vlfusion.registry import DATASETS

    if 'text_source' not in inspect.signature(DATASETS.get(part['type'])).parameters:
        raise ConfigError(f'A data set {part["type"]} cannot give a pair another text.',
                          'Use the PairDataset of the same images.')
    values = {policy: dict(fixed=sentence) if policy == 'fixed' else policy for policy in ('own', *policies)
              if policy != 'other'}
    encoded = [text for text in map(fixed_text, values.values()) if text is not None]
    if encoded and part.get('language'):
        encode_fixed(part['language'], encoded)
    # What is damaged is found once; under another policy the images are the same.
    return {policy: DATASETS.build({**part, 'text_policy': value} | ({} if policy == 'own' else {'check': False}))
            for policy, value in values.items()}


def other_texts(args: argparse.Namespace, part: dict, dataset) -> tuple[object, str]:
    """The test data with the texts of `--other-task`, and that in words.

    Raises:
        ConfigError: the other config has no pairs, no text, or one of another encoder or width.
        DataError: it is not described yet.
    """
    from vlfusion.config import load_config
    from vlfusion.data.from_config import find_datasets
    from vlfusion.data.policies import borrow
    from vlfusion.language.store import identity
    from vlfusion.registry import TEXT_ENCODERS

    config = load_config(args.other_task, args.other_options)
    split = next((split for split in ('test', 'val', 'train') if config.get(f'{split}_dataloader')), None)
    if not split:
        raise ConfigError(f'{args.other_task} has no pairs.', 'Give --other-task a config with a data set.')
    encoders = [language.get('encoder') for language in (part.get('language'), config.get('language')) if language]
    if len(encoders) == 2 and len({str(identity(TEXT_ENCODERS, encoder)) for encoder in encoders}) == 2:
        raise ConfigError(f'{args.other_task} has another text encoder, whose features mean nothing to this model: '
                          f'{dict(encoders[1])} in place of {dict(encoders[0])}.',
                          'Describe it with this encoder, in a config of its own or by --other-options.')
    try:
        [(_, other)] = find_datasets(config, [split], text=True)
        return borrow(dataset, other), f'a text of {other.name} ({other.task.name})'
    except DataError as error:
        raise DataError(f'The texts of {args.other_task} cannot be given: {error.problem}',
                        f'`vlfusion describe {args.other_task}` describes its images; --other-options overrides it, '
                        'such as language.store=...') from error


def inputs_of(args: argparse.Namespace) -> dict[str, str]:
    """Inputs of the comparison, for the record; without secrets."""

    from vlfusion import __version__
    from vlfusion.files import file_digest
    from vlfusion.guards.redaction import without_secrets
    inputs = dict(config=args.config, options=without_secrets(args.cfg_options), checkpoint=args.checkpoint,
                  sha256=file_digest(args.checkpoint) if args.checkpoint else None, other_task=args.other_task,
                  other_options=without_secrets(args.other_options), vlfusion=__version__)
    return {key: str(value) for key, value in inputs.items() if value}


def in_words(sentence: str) -> dict[str, str]:
    """Texts of each policy, in words."""
    return {'empty': 'the empty text', 'zero': 'features that are all 0', 'fixed': f'"{sentence}"',
            'swapped': "another pair's", 'shuffled': 'its own, tokens in another order',
            'noise': 'noise of the same norm'}
