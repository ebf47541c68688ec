"""List the metrics, or explain some: formula, direction, range, source, and what other published code computes.

    vlfusion metrics
    vlfusion metrics VIF MI:film
    vlfusion metrics Brightness --import my_metrics
"""

import argparse

PAGE_TOP = """\
# Metrics

Printed by `vlfusion metrics --markdown`. All work on grey levels 0..255, in float64, and give one value per image. The
plain name is the default, the mathematically sane reading of the publication; `NAME:VARIANT` is what other published
code computes, its quirks included. A protocol (`--protocol film`) chooses the variants of one code for all metrics.
Every agreement below is tested.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from vlfusion.cli.options import add_imports
    add_imports(parser, 'metrics')
    parser.add_argument('names', nargs='*', metavar='NAME', help='metrics to explain, such as VIF or MI:film')
    parser.add_argument('--markdown', action='store_true', help='print the reference page of all metrics')


def run(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from vlfusion.cli.options import import_modules
    from vlfusion.metrics.base import metric
    from vlfusion.registry import FUSION_METRICS, TRUTH_METRICS

    import_modules(args.modules)
    if args.markdown:
        print(reference_page(), end='')
        return 0
    for i, name in enumerate(args.names):
        truth = name.partition(':')[0] not in FUSION_METRICS and name.partition(':')[0] in TRUTH_METRICS
        print('\n' * bool(i) + explain(metric(name, truth=truth)))
    if args.names:
        return 0
    table = Table('metric', 'better', 'over sources', 'unit', 'title', 'equals', 'variants', box=None)
    for found in every_metric():
        info = found.info
        table.add_row(shown_name(info), info.direction, info.over, info.unit, info.title, ' '.join(info.agrees),
                      ' '.join(info.variants))
    console = Console(width=None if Console().is_terminal else 200)
    console.print(table)
    console.print('\n"equals": published code that the default computes the same as. NAME:VARIANT is what other code '
                  'computes.\nvlfusion metrics NAME explains one.', highlight=False)
    return 0


def every_metric() -> list:
    """Each metric once, those with a true image last."""
    from vlfusion.metrics.base import metric, metric_names
    return [metric(name, truth=truth) for truth in (False, True) for name in metric_names(truth)]


def shown_name(info) -> str:
    """The name, after `truth/` where the fused image is compared to a true one."""
    return f'truth/{info.name}' if info.over == 'truth' else info.name


def explain(found) -> str:
    """All that is known of a metric, as text."""
    from inspect import cleandoc

    from vlfusion.metrics.base import CODES
    info = found.info
    facts = {'title': info.title, 'better': info.direction, 'range': f'{info.range[0]:g} to {info.range[1]:g}',
             'unit': info.unit, 'over sources': info.over, 'also called': ', '.join(info.aliases),
             'smallest image': f'{info.smallest}x{info.smallest}' if info.smallest > 1 else '', 'source': info.source}
    lines = [info.label, *(f'    {key}: {value}' for key, value in facts.items() if value), '']
    lines += [f'    {line}'.rstrip() for line in cleandoc(found.__doc__).partition('\nArgs:')[0].splitlines()]
    lines += [f'    {info.name}:{code} equals the default: {CODES.get(code, code)}' for code in info.agrees]
    for note, names in variants_by_note(info).items():
        lines.append(f'    {", ".join(f"{info.name}:{name}" for name in names)}: {note}')
    return '\n'.join(lines)


def variants_by_note(info) -> dict[str, list[str]]:
    """The names of the variants that are one and the same, by what is said of them."""
    notes = {}
    for name, other in info.variants.items():
        notes.setdefault(other.note, []).append(name)
    return notes


def reference_page() -> str:
    """The reference page of all metrics in Markdown."""
    from inspect import cleandoc

    from vlfusion.metrics.base import CODES
    page = [PAGE_TOP, '| variant | published code |', '|---|---|',
            *(f'| `{code}` | {what} |' for code, what in CODES.items()), '',
            '| metric | title | better | range | over the sources |', '|---|---|---|---|---|']
    metrics = every_metric()
    for info in (found.info for found in metrics):
        unit = f' {info.unit}' if info.unit else ''
        page.append(f'| [{shown_name(info)}](#{shown_name(info).lower().replace("/", "")}) | {info.title} | '
                    f'{info.direction} | {info.range[0]:g} to {info.range[1]:g}{unit} | {info.over} |')
    for found in metrics:
        info = found.info
        page += ['', f'## {shown_name(info)}', '', f'{info.title}. {info.source}.', '',
                 cleandoc(found.__doc__).partition('\nArgs:')[0].partition('\n>>>')[0].strip(), '']
        if info.smallest > 1:
            page.append(f'- Smallest image: {info.smallest}x{info.smallest} pixels.')
        if info.aliases:
            page.append(f'- Also called {", ".join(info.aliases)}.')
        if info.agrees:
            page.append(f'- The default equals {", ".join(f"`{code}`" for code in info.agrees)}.')
        page += [f'- {", ".join(f"`{info.name}:{name}`" for name in names)}: {note}.'
                 for note, names in variants_by_note(info).items()]
        if page[-1] == '':
            page.pop()
    return '\n'.join(page) + '\n'
