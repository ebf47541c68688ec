"""Did the text do anything? Compare the fusion of each test pair under its own text with its fusion under other texts.

    vlfusion ablate-text film/film_mif_short work_dirs/film_mif_short/iter_500.pth
    vlfusion ablate-text CONFIG CHECKPOINT --other-task film/film_ivf_sample --limit 20
    vlfusion ablate-text film-mif --source-a my/mri --source-b my/pet
    vlfusion ablate-text film-mif --source-a my/mri --source-b my/pet --texts words/ideal --other-texts words/common
    vlfusion ablate-text my_config.py --drawn
    vlfusion ablate-text film-guide-mif --source-a my/mri --source-b my/pet --instructions --against film-mif

The tables show, for each text, how much the pixels change, where (a map), and which metrics differ significantly. With
--drawn, images and texts are drawn at random: an untrained network can be asked, and nothing need be described. With
--instructions, the tables show how often the picture obeys held-out instructions. See docs/howto/ablate_text.md.
"""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from mmengine.config import Config

#: Text policies, in the order of the tables.
CHOICES = ('empty', 'zero', 'fixed', 'swapped', 'other', 'shuffled', 'noise')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.key_values import KeyValues
    from vlfusion.cli.options import add_config, add_texts, add_trust, add_words
    from vlfusion.cli.own_data import add_own_data
    from vlfusion.cli.tables import add_json
    from vlfusion.guards.ranges import COUNT, FRACTION, SEED, WHOLE
    add_config(parser, model=True)
    add_words(parser, keeps=True)
    add_own_data(parser)
    add_texts(parser)
    parser.add_argument('checkpoint', nargs='?',
                        help='a checkpoint, the name of a model such as film-mif, or hf://owner/name (none if it '
                             'stands in place of the config)')
    add_trust(parser)
    parser.add_argument('--policies', nargs='+', choices=CHOICES,
                        help='texts to compare with the own text (default: all that the config supports, except zero); '
                             'swapped is always included')
    parser.add_argument('--fixed', default='Fuse the two images.', metavar='SENTENCE',
                        help='sentence of the policy fixed (default: %(default)s)')
    parser.add_argument('--other-task', metavar='CONFIG',
                        help='config that gives the texts of the policy other, with the same text encoder')
    parser.add_argument('--other-options', nargs='+', action=KeyValues, metavar='KEY=VALUE',
                        help='overrides of the config of --other-task')
    parser.add_argument('--other-texts', nargs='+', default=[], metavar='DIR',
                        help='further texts of the pairs, as for --texts; each folder is a policy of its name')
    parser.add_argument('--metrics', nargs='+', help='metrics to compute (default: EN SD SF AG VIF Qabf)')
    parser.add_argument('--protocol', help="how outputs become grey levels (default: the config's, else film)")
    parser.add_argument('--alpha', type=FRACTION, default=0.05, help='level of significance (default: %(default)s)')
    parser.add_argument('--limit', type=COUNT, metavar='N', help='use N pairs only, spread evenly over the data set')
    parser.add_argument('--pair-maps', action='store_true', help='write a map of each pair too')
    parser.add_argument('--drawn', nargs='?', const=3, type=COUNT, metavar='STATES',
                        help='only measure how far texts drawn at random move the network: with the checkpoint, or '
                             'without one in several random states (default: 3)')
    add_json(parser)
    asked = parser.add_argument_group('obedience')
    asked.add_argument('--instructions', nargs='?', const='fusion.v2', metavar='VOCABULARY',
                       help='measure instead whether pictures obey held-out instructions of a vocabulary, by name or '
                            'file (default: fusion.v2)')
    asked.add_argument('--against', metavar='MODEL',
                       help='model whose pictures are scored beside those without an instruction')
    asked.add_argument('--per-case', type=COUNT, default=4, metavar='N',
                       help='sentences for each intent and degree (default: %(default)s)')
    asked.add_argument('--per-region', type=WHOLE, default=1, metavar='N',
                       help='sentences for each of these in each region; 0 for none (default: %(default)s)')
    asked.add_argument('--seed', type=SEED, default=0, help='seed of the choice of sentences (default: %(default)s)')
    parser.add_argument('--out', help='folder for tables, scores and maps (default: WORK_DIR/ablation, or /obedience)')


def run(args: argparse.Namespace) -> int:
    from functools import partial

    from vlfusion.cli.own_data import describe_for_model, read_config
    from vlfusion.config import load_config
    from vlfusion.zoo.names import require_model
    if args.checkpoint:
        require_model(args.checkpoint)
    _check_mode(args)
    if args.drawn:
        return _drawn(args)
    config = read_config(args, trained=True)
    other = load_config(args.other_task, args.other_options) if args.other_task else None
    describe_for_model(args, config, ['test'])
    if args.instructions:
        return _obey(args, config)

    from vlfusion.analysis.text_variants import ablate_text
    from vlfusion.console.progress import track
    from vlfusion.data.own_texts import by_folder
    chosen = {'metrics': args.metrics} if args.metrics else {}
    out = _folder(args, config, 'ablation')
    ablation = ablate_text(
        config, args.checkpoint, policies=args.policies, sentence=args.fixed, other=other,
        other_texts=by_folder(args.other_texts), **chosen, protocol=args.protocol, alpha=args.alpha, limit=args.limit,
        pair_maps=args.pair_maps, out=out,
        inputs=dict(options=args.cfg_options, other_options=args.other_options), show=partial(track, step='fusing'))
    if args.json:
        print(ablation.json())
        return 0
    print(ablation.markdown())
    print(f'Tables: {out}/ablation.md, ablation.json\n'
          f'Scores: {out}/scores/, {out}/changes.csv\n'
          f'Words:  {out}/words.csv\n'
          f'Maps:   {out}/maps/')
    return 0


def _check_mode(args: argparse.Namespace) -> None:
    """Refuse options of one kind of measurement in another, where they would have no effect."""
    from vlfusion.cli.options import refuse_given
    texts = ('policies', 'other_task', 'other_options', 'other_texts', 'pair_maps')
    useless = [*(texts if args.instructions or args.drawn else ()), *(() if args.instructions else ('against',)),
               *(('instructions',) if args.drawn else ())]
    refuse_given(args, useless, 'with --drawn' if args.drawn else 'with --instructions' if args.instructions else
                 'without --instructions')


def _obey(args: argparse.Namespace, config: 'Config') -> int:
    from functools import partial

    from vlfusion.analysis.obedience_run import measure_obedience
    from vlfusion.console.progress import track
    chosen = {'metrics': args.metrics} if args.metrics else {}
    out = _folder(args, config, 'obedience')
    obedience = measure_obedience(
        config, args.checkpoint, vocabulary=args.instructions, against=args.against, per_case=args.per_case,
        per_region=args.per_region, protocol=args.protocol, alpha=args.alpha, limit=args.limit, seed=args.seed, out=out,
        inputs=dict(options=args.cfg_options), show=partial(track, step='fusing'), **chosen)
    if args.json:
        print(obedience.json())
        return 0
    print(obedience.markdown())
    print(f'Tables:   {out}/obedience.md, obedience.json\n'
          f'Pictures: {out}/cases.csv, one a line; {out}/obedience.png shows a few')
    return 0


def _folder(args: argparse.Namespace, config: 'Config', name: str) -> 'Path':
    from pathlib import Path
    return Path(args.out or f'{config.get("work_dir") or f"work_dirs/{Path(args.config).stem}"}/{name}')


def _drawn(args: argparse.Namespace) -> int:
    from vlfusion.analysis.drawn_texts import reach_of_text, reach_table, reading_losses
    from vlfusion.config import load_config
    from vlfusion.zoo.names import is_model
    config = None if is_model(args.config) else load_config(args.config, args.cfg_options)
    rows = reach_of_text(args.checkpoint or config or args.config, states=args.drawn)
    reading = reading_losses(config) if config is not None and (config.get('model') or {}).get('losses') else None
    if args.json:
        from dataclasses import asdict

        from vlfusion.cli.tables import print_json
        print_json(dict(reach=[asdict(row) for row in rows], reading_losses=reading))
        return 0
    print(f'Change of the output when a text drawn at random replaces another one, in grey levels:\n\n'
          f'{reach_table(rows)}')
    if reading is not None:
        print('\n'.join(f'{loss} reads {" and ".join(texts)}.' for loss, texts in reading.items()) or
              'No loss of the config reads a text. ' + (
                  'So training rewards a text only through the fused image.' if config.model.type == 'FusionModel' else
                  f'{config.model.type} may use it in training in another way: `vlfusion list model '
                  f'{config.model.type.rpartition(".")[2]}`.'))
    return 0
