"""The notebooks of docs/tutorials: their cells run, from top to bottom, and they hold outputs that load at once."""

import json
from pathlib import Path

import pytest

TUTORIALS = sorted((Path(__file__).parents[1] / 'docs/tutorials').glob('*.ipynb'))
MOST_BYTES = 300_000
#: What the notebooks show at the end of their work, in the namespace of their cells.
RESULTS = {
    'images_to_figure': lambda names: names['done'].failed == {} and 'Qabf:film' in names['scores'].record['summary'],
    'method_to_leaderboard': lambda names: set(names['board'].methods) == {'WeighDetails', 'Laplacian', 'Average'},
    'text_ablation': lambda names: set(names['ablation'].changes) == {'swapped', 'empty', 'noise'},
}


def cells(path: Path) -> list[dict]:
    """The cells of code of a notebook."""
    return [cell for cell in json.loads(path.read_text(encoding='utf-8'))['cells'] if cell['cell_type'] == 'code']


def test_there_are_three():
    assert [path.stem for path in TUTORIALS] == sorted(RESULTS)


@pytest.mark.parametrize('path', TUTORIALS, ids=lambda path: path.stem)
def test_a_notebook_was_run_and_is_small(path):
    assert path.stat().st_size < MOST_BYTES
    outputs = [output for cell in cells(path) for output in cell['outputs']]
    assert not [output for output in outputs if output['output_type'] == 'error' or output.get('name') == 'stderr']
    assert [cell['execution_count'] for cell in cells(path)] == list(range(1, len(cells(path)) + 1))
    assert any(kind.startswith('image/') for output in outputs for kind in output.get('data', ()))
    assert '/tmp' not in json.dumps(outputs) and '/home' not in json.dumps(outputs)


@pytest.mark.slow
@pytest.mark.parametrize('path', TUTORIALS, ids=lambda path: path.stem)
def test_the_cells_of_a_notebook_run(path, tmp_path, monkeypatch):
    for package, extra in (('IPython', 'dev'), ('nilearn', 'sample'), ('scikit_posthocs', 'benchmark')):
        pytest.importorskip(package, reason=f"pip install 'vlfusion[{extra}]'")
    for plugin in ('vlfusion_classical', 'vlfusion_film_weights'):
        pytest.importorskip(plugin, reason=f'pip install --editable plugins/{plugin.removeprefix("vlfusion_")}')
    monkeypatch.chdir(tmp_path)
    names = {'__name__': '__main__'}
    for number, cell in enumerate(cells(path)):
        exec(compile(''.join(cell['source']), f'{path.stem}, cell {number}', 'exec'), names)
    assert RESULTS[path.stem](names)
