"""Measure how far a drawn text moves every text-guided method, from random states and with weights, as a table.

    python scripts/text_effects.py                # all methods; those whose weights are not here lack a number
    python scripts/text_effects.py film textif    # some methods

`docs/explain/did_the_text_do_anything.md` has the numbers. Networks read 64x64 noise, so they take seconds.
"""

import sys

from vlfusion import load_config, reach_of_text
from vlfusion.analysis.drawn_texts import in_levels, reading_losses
from vlfusion.errors import VLFusionError
from vlfusion.guards.cells import markdown_table

#: Config of each method whose network reads a text, and the names of its weights.
METHODS = {
    'film': ('film/film_ivf', ['film-ivf', 'film-mif']),
    'textif': ('textif/textif_roadscene', []),
    'textfusion': ('textfusion/textfusion_ivf', ['textfusion-ivf']),
    'nlgfusion': ('nlgfusion/nlgfusion_ivf', []),
    'hpfusion': ('hpfusion/hpfusion_ivf', []),
    'dtpf': ('dtpf/dtpf_teacher_ivf', []),
    'controlfusion': ('controlfusion/controlfusion_roadscene', []),
    'risfusion': ('risfusion/risfusion_roadscene', [])}
STATES = 3


def cells(config: str, names: list[str]) -> list[str]:
    """Return the change of a pixel from random states and with each of the weights, and the losses that read a text."""
    everything = [row for row in reach_of_text(config, states=STATES) if not row.text]
    means = [row.mean for row in everything]
    least, most, largest = map(in_levels, (min(means), max(means), max(row.maximum for row in everything)))
    drawn = f'{least} to {most}, at most {largest}'
    trained = []
    for name in names:
        try:
            [row] = [row for row in reach_of_text(name) if not row.text]
            trained.append(f'`{name}`: {in_levels(row.mean)}, at most {in_levels(row.maximum)}')
        except VLFusionError as error:
            print(f'{name}: {error.problem}', file=sys.stderr)
    return [drawn, '; '.join(trained), ', '.join(reading_losses(load_config(config))) or 'none']


if __name__ == '__main__':
    chosen = sys.argv[1:] or list(METHODS)
    print(markdown_table(['method', 'random states', 'weights', 'losses that read the text'],
                         [[name, *cells(*METHODS[name])] for name in chosen]))
