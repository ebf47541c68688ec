"""Show, audit and exchange the texts of `vlfusion describe`; convert their store; try a captioner on one image.

    vlfusion text show film/film_mif PET-MRI/31 --source a
    vlfusion text audit film/film_mif --words qwen-vl --out audit.csv
    vlfusion text audit film/film_ivf_sample --source-a my/ir --source-b my/vi
    vlfusion text audit --texts data/VLFDataset/Text/MFF/Lytro
    vlfusion text export film/film_mif --out export
    vlfusion text import film/film_mff --features downloads/RealMFF
    vlfusion text convert data/text data/text.shards
    vlfusion text compact data/text.shards
    vlfusion text observe MeasuredCaptioner my/scan.png --modality MRI
"""

import argparse

from vlfusion.errors import ConfigError, DataError, listing, printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.key_values import KeyValues
    from vlfusion.cli.options import add_config, add_imports, add_words
    from vlfusion.cli.own_data import add_own_data
    from vlfusion.cli.tables import add_json
    from vlfusion.config import SPLITS
    from vlfusion.guards.ranges import COUNT, WHOLE
    verbs = parser.add_subparsers(required=True, metavar='WHAT')

    def add_split(verb: argparse.ArgumentParser) -> None:
        verb.add_argument('--split', nargs='+', choices=SPLITS,
                          help='splits to use (default: all splits of the config)')

    show = verbs.add_parser('show', help='show the text of one pair or image, with its origin')
    add_config(show)
    show.add_argument('name', metavar='NAME', help='name of a pair, or an image file')
    show.add_argument('--source', choices=('a', 'b'), help='one image of the pair (default: both)')
    show.add_argument('--modality', help='modality of an image file (default: as in the config)')
    add_json(show)
    add_split(show)
    add_words(show)
    add_own_data(show)
    show.set_defaults(act=_show)

    audit = verbs.add_parser('audit', help='report texts that are missing, doubtful or worth reading')
    audit.add_argument('config', nargs='?', help='config file, or the name of one that ships, such as film/film_mif')
    audit.add_argument('--cfg-options', nargs='+', action=KeyValues, metavar='KEY=VALUE', help='override the config')
    audit.add_argument('--texts', metavar='DIR', help='audit the .txt files of a folder instead of a config')
    audit.add_argument('--prompt', metavar='NAME', help='with --texts: the prompt of these texts, if known')
    audit.add_argument('--out', metavar='FILE.csv', help='table to write, with one line per image')
    audit.add_argument('--min-words', type=WHOLE, default=10, metavar='N',
                       help='report texts with fewer words as short (default: %(default)s)')
    audit.add_argument('--max-words', type=COUNT, default=200, metavar='N',
                       help='report texts with more words as long (default: %(default)s)')
    audit.add_argument('--max-tokens', type=COUNT, metavar='N', help='report texts with more tokens as long')
    audit.add_argument('--try-encoder', action='store_true',
                       help='load the text encoder and try the paragraphs that have no features')
    add_json(audit)
    add_split(audit)
    add_words(audit)
    add_own_data(audit)
    audit.set_defaults(act=_audit)

    export = verbs.add_parser('export', help="write texts and features in the VLF data set's layout or as FILM's HDF5")
    add_config(export)
    export.add_argument('--out', required=True, metavar='DIR', help='folder to write to')
    export.add_argument('--layout', choices=('vlf', 'hdf5'), default='vlf',
                        help='vlf: Text/ and TextFeature/; hdf5: whole images and features, one file per split '
                             '(default: %(default)s)')
    export.add_argument('--set', metavar='NAME', help="name in the output (default: the data set's name)")
    add_split(export)
    add_words(export)
    add_own_data(export)
    export.set_defaults(act=_export)

    load = verbs.add_parser('import', help='copy published features and texts to where a config reads them')
    add_config(load)
    load.add_argument('--features', required=True, metavar='DIR', help='folder of NAME.npy, one for each pair')
    load.add_argument('--texts', metavar='DIR',
                      help='folder of SOURCE/NAME.txt, such as NEAR/1.txt and FAR/1.txt; texts without features need '
                           'no import, see --texts of `vlfusion describe`')
    load.add_argument('--hdf5', metavar='FILE.h5', help='write images and features of one split to this file instead')
    add_split(load)
    load.set_defaults(act=_import)

    convert = verbs.add_parser('convert', help='copy a text store to one of the other kind: a folder of small files, '
                                               'or a sharded store (its path ends in .shards) for millions of records')
    convert.add_argument('source', metavar='FROM', help='text store to read; it stays as it is')
    convert.add_argument('target', metavar='TO', help='text store to write; records that it has already are kept')
    convert.set_defaults(act=_convert)

    compact = verbs.add_parser('compact', help='merge the files of a sharded text store, also while others use it')
    compact.add_argument('store', metavar='STORE', help='text store whose path ends in .shards')
    compact.set_defaults(act=_compact)

    observe = verbs.add_parser('observe', help="print a captioner's observations of one image or pair; store nothing")
    observe.add_argument('captioner', metavar='CAPTIONER', help='registered name, see `vlfusion list captioners`')
    observe.add_argument('images', nargs='+', metavar='IMAGE', help='image file; two for a captioner of pairs')
    observe.add_argument('--modality', nargs='+', default=[], metavar='WORD', help='modality of each image')
    observe.add_argument('--options', nargs='+', action=KeyValues, default={}, metavar='KEY=VALUE',
                         help='arguments of the captioner, such as device=cuda')
    add_imports(observe, 'the captioner')
    observe.set_defaults(act=_observe)


def run(args: argparse.Namespace) -> int:
    return args.act(args)


def _observe(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from vlfusion.cli.options import import_modules
    from vlfusion.language.observe import observe
    from vlfusion.language.show import observation_line
    import_modules(args.modules)
    for observation in observe(dict(type=args.captioner, **args.options), args.images, args.modality):
        print(f'- {printable(observation_line(asdict(observation)))}')
    return 0


def _convert(args: argparse.Namespace) -> int:
    from functools import partial

    from vlfusion.console.progress import track
    from vlfusion.language.conversion import convert
    copied = convert(args.source, args.target, show=partial(track, step='copying'))
    print(f'{copied.new} records of {args.source} are new in {args.target}, {copied.kept} were there before.\n'
          f"To read them, write store='{args.target}' in the language section of a config.")
    if copied.damaged:
        print(f'{len(copied.damaged)} damaged records were left out:\n{listing(map(printable, copied.damaged), 10)}')
    return 1 if copied.damaged else 0


def _compact(args: argparse.Namespace) -> int:
    from vlfusion.language.conversion import compact
    before, after = compact(args.store)
    print(f'{args.store} has {after} files; it had {before}.')
    return 0


def _show(args: argparse.Namespace) -> int:
    from pathlib import Path

    config = _config(args, language=True)

    from vlfusion.cli.tables import print_json
    from vlfusion.data.from_config import find_subjects
    from vlfusion.language.lookup import Records
    from vlfusion.language.show import entry_of, lines, problems
    records = Records(config.language)
    subjects = find_subjects(config, args.name, of_pairs=records.keys.of_pairs, source=args.source,
                             modality=args.modality, splits=args.split)
    entries = [entry_of(records, subject) for subject in subjects]
    if args.json:
        print_json(entries)
    else:
        print(printable('\n\n'.join('\n'.join(lines(entry)) for entry in entries)))
    if missing := [problem for subject, entry in zip(subjects, entries, strict=True)
                   for problem in problems(subject, entry)]:
        only = '' if Path(args.name).is_file() else f' --only {args.name}'
        words = f' --words {args.words}' if args.words else ''
        raise DataError('Not everything is described:\n    ' + '\n    '.join(missing),
                        f'Run `vlfusion describe {args.config}{only}{words}`.')
    return 0


def _audit(args: argparse.Namespace) -> int:
    from functools import partial
    from pathlib import Path

    from vlfusion.console.progress import track
    from vlfusion.data.texts_to_audit import texts_of_config, texts_of_folder
    from vlfusion.files import whole_file
    from vlfusion.guards.cells import write_table
    from vlfusion.guards.outputs import check_outputs

    if bool(args.config) == bool(args.texts):
        raise ConfigError('An audit needs either a CONFIG or --texts DIR.', 'Give one of the two.')
    check_outputs([args.out] if args.out else [],
                  [args.config, *(Path(args.texts).rglob('*.txt') if args.texts else ())])
    if args.texts:
        texts, prompt = texts_of_folder(args.texts), args.prompt
    else:
        config = _config(args, language=True)
        texts = texts_of_config(config, args.split, try_encoder=args.try_encoder, show=partial(track, step='encoding'))
        prompt = config.language.prompt

    from vlfusion.language.audit import COLUMNS, Limits, check
    rows = check(texts, prompt, Limits(args.min_words, args.max_words, args.max_tokens))
    if not args.json:
        _print_audit(rows)
    if args.out:
        with whole_file(args.out) as file:
            write_table(file, COLUMNS, (row.cells() for row in rows))
        if not args.json:
            print(f'One line per image is in {args.out}.')
    if args.json:
        from vlfusion.cli.tables import print_json
        from vlfusion.language.audit import summary
        print_json(dict(groups=summary(rows), images=[row.cells() for row in rows]))
    return 0


def _print_audit(rows: list) -> None:
    """Print a table with a column for each group, then the first texts that each check reports."""
    from rich.table import Table

    from vlfusion.cli.tables import open_console
    from vlfusion.guards.cells import terminal_cell
    from vlfusion.language.audit import CHECKS, summary
    table_of = summary(rows)
    table = Table('', *(terminal_cell(group) for group in table_of), box=None)
    for name in ('images', *CHECKS, 'words', 'unseen words'):
        mean = name.endswith('words')
        values = [counts[name] for counts in table_of.values()]
        table.add_row(f'mean {name}' if mean else name,
                      *('-' if value is None else f'{value:.{1 if mean else 0}f}' for value in values))
    console = open_console(200)
    console.print(table, highlight=False)
    details = {'damaged': 'problem', 'duplicate': 'duplicate_of', 'long': 'words', 'short': 'words',
               'cut': 'finish_reason', 'filter': 'finish_reason', 'language': 'english', 'empty': 'words'}
    for name, description in CHECKS.items():
        if reported := [row for row in rows if row.results.get(name)]:
            detail = details.get(name, name)
            findings = (printable(f'{row.image}: {getattr(row, detail)}', lines=False) for row in reported)
            print(f'\n{name}: {description}\n{listing(findings, 3)}')


def _export(args: argparse.Namespace) -> int:
    from pathlib import Path

    config = _config(args)

    from vlfusion.data.exchange import export_hdf5, export_vlf
    from vlfusion.data.from_config import find_datasets
    from vlfusion.data.text import FeatureFiles
    from vlfusion.guards.outputs import check_outputs
    if args.layout == 'vlf':
        datasets = [dataset for _, dataset in find_datasets(config, args.split, text=True)]
        # Published features in the folder have the same names as the files to write.
        check_outputs([args.out], [source.root for dataset in datasets for source in dataset.text_sources.values()
                                   if isinstance(source, FeatureFiles)])
        for what, folder in export_vlf(datasets, args.out, args.set).items():
            print(f'{what}: {folder}')
        return 0
    for split, dataset in find_datasets(config, args.split, text=True, whole=True):
        path = Path(args.out) / f'{args.set or dataset.name}_{split}.h5'
        export_hdf5(dataset, path)
        print(f'{len(dataset)} pairs of {split}: {path}')
    return 0


def _import(args: argparse.Namespace) -> int:
    from pathlib import Path

    config = _config(args)

    from vlfusion.data.exchange import export_hdf5, import_features, import_texts, text_folder
    from vlfusion.data.from_config import find_datasets
    from vlfusion.guards.outputs import check_outputs
    if args.hdf5:
        if args.texts or len(args.split or ()) != 1:
            raise ConfigError('An HDF5 file holds the images and features of one split, and no texts.',
                              'Give --split train, val or test, and leave --texts out.')
        files = dict(files=str(Path(args.features).absolute() / '{name}.npy'))
        [(_, dataset)] = find_datasets(config, args.split, text=files, whole=True)
        check_outputs([args.hdf5], [args.config, *dataset.files(), *Path(args.features).rglob('*.npy')])
        export_hdf5(dataset, args.hdf5)
        print(f'{len(dataset)} pairs are in {args.hdf5}.')
        return 0
    for split, dataset in find_datasets(config, args.split):
        part = config[f'{split}_dataloader'].dataset
        pattern = (part.get('text_source') or {}).get('files')
        if not pattern:
            raise ConfigError(f'{args.config} does not read its {split} features from files.',
                              "Set text_source=dict(files='TextFeature/MFF/Lytro/{name}.npy'), or give --hdf5 FILE.h5.")
        new = import_features(dataset.pairs, args.features, part.data_root, pattern)
        print(f'{split}: {len(dataset)} features are where {args.config} reads them, {len(new)} of them new.')
        if args.texts:
            target = Path(part.data_root) / text_folder(pattern)
            new = import_texts(dataset.pairs, dataset.task.name, args.texts, target)
            print(f'{split}: the texts of {len(dataset)} pairs are in {target}, {len(new)} files of them new.')
    return 0


def _config(args: argparse.Namespace, language: bool = False):
    """Load the config; `language` demands a language section."""
    from vlfusion.cli.own_data import read_config
    from vlfusion.config import load_config
    from vlfusion.language.section import check_section, require_section
    config = read_config(args) if hasattr(args, 'source_a') else load_config(args.config, args.cfg_options)
    if language:
        require_section(config.get('language'), args.config)
    else:
        check_section(config.get('language') or {})
    return config
