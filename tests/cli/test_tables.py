"""`--json` prints what a table prints, as strict JSON and nothing else."""

import json
import shutil

import numpy as np
import pytest

from vlfusion.cli import main
from vlfusion.cli.tables import print_json
from vlfusion.imaging.images import write_image
from vlfusion.testing.toys import draw_pairs


def refuse(constant: str):
    raise AssertionError(f'{constant} is not JSON')


@pytest.fixture
def printed(capsys):
    """Run a verb with `--json`; returns a function that returns its data."""
    def run(*words: str, code: int = 0):
        capsys.readouterr()
        assert main([*map(str, words), '--json']) == code
        return json.loads(capsys.readouterr().out, parse_constant=refuse)
    return run


def test_control_characters_and_undefined_numbers_are_spelt_out(capsys):
    print_json({'na\x9bme\u202e': [float('nan'), 'ä']})
    text = capsys.readouterr().out
    assert text.isascii() and json.loads(text) == {'na\x9bme\u202e': ['NaN', 'ä']}


def test_models_and_sets(printed):
    models = {model['name']: model for model in printed('models', 'mif')}
    assert models['film-mif']['tasks'] == ['mif'] and models['film-mif']['method']['parameters'] > 1e5
    assert printed('models', 'film-mif') == [models['film-mif']]
    sets = {entry['name']: entry for entry in printed('data', 'ivf')}
    assert sets['RoadScene']['bytes'] > 0 and sets['RoadScene']['pairs']['test'] > 0
    assert printed('data', 'RoadScene') == [sets['RoadScene']]


def test_what_has_no_json_is_refused(capsys):
    assert main(['models', 'get', 'film-mif', '--json']) == 2
    assert '--json has no effect with `get`' in capsys.readouterr().err


def test_a_set_is_checked(printed, tmp_path):
    [check] = printed('data', 'check', 'RoadScene', '--root', tmp_path, code=1)
    assert not check['complete'] and check['findings'][0].keys() == {'kind', 'place', 'words'}


def test_metrics_words_and_names(printed):
    metrics = {metric['name']: metric for metric in printed('metrics')}
    assert metrics['EN']['range'] == [0.0, 8.0] and 'film' in metrics['MI']['variants']
    assert [metric['variant'] for metric in printed('metrics', 'MI:film')] == ['film']
    recipes = {recipe['name']: recipe for recipe in printed('words')}
    assert recipes['measured']['obstacles'] == [] and printed('words', 'measured') == [recipes['measured']]
    assert {'name': 'mif', 'package': ''}.items() <= printed('list', 'tasks', 'mif')['task'][0].items()


def test_pictures_and_pairs(printed, tmp_path):
    draw_pairs(tmp_path, ['p', 'q'], 'a', 'b', (64, 64))
    for place in ('a', 'b'):
        write_image(tmp_path / place / 'p.png', np.full((64, 64), 10 if place == 'a' else 13, np.uint8))
    (tmp_path / 'a/q.png').unlink(), (tmp_path / 'b/q.png').unlink()
    found = printed('compare', tmp_path / 'a', tmp_path / 'b', '--most', '2', code=1)
    assert found['all'] == {'name': 'all', 'largest': 3, 'mean': 3.0, 'equal': 0.0, 'samples': 4096}
    assert found['beyond'] == ['p']
    checked = printed('check-pairs', tmp_path / 'a', tmp_path / 'b', code=1)
    assert [pair['verdict'] for pair in checked['pairs']] == ['unsure'] and checked['verdicts'] == {'unsure': 1}


def test_scores_and_boards(printed, tmp_path):
    draw_pairs(tmp_path, ['p', 'q', 'r'], 'a', 'b', (64, 64))
    for name in 'ab':
        shutil.copytree(tmp_path / name, tmp_path / f'fused_{name}')
        record = printed('evaluate', tmp_path / f'fused_{name}', '--source-a', tmp_path / 'a',
                         '--source-b', tmp_path / 'b', '--metrics', 'EN', '--out', tmp_path / f'{name}.csv')
        assert record == json.loads((tmp_path / f'{name}.json').read_text()) and 'EN' in record['summary']
    board = printed('leaderboard', tmp_path / 'a.csv', tmp_path / 'b.csv', '--out', tmp_path / 'board.json')
    assert board == json.loads((tmp_path / 'board.json').read_text()) and board['images'] == 3
    tables = printed('reproduce', '--list')
    assert {'paper', 'table', 'dataset', 'pairs', 'methods'} == tables[0].keys()
