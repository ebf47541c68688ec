"""Every config that trains says what that costs, and the steps that it says are those of its schedule."""

import ast
from pathlib import Path

import pytest

from vlfusion.config import load_config

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(path for folder in ('film', 'swap', 'zoo') for path in ROOT.glob(f'configs/{folder}/*.py')
                 if 'film_med' not in path.stem)  # another name of film_mif


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_config_states_its_cost(path):
    config = load_config(path)
    if not config.get('train_cfg'):
        pytest.skip('for testing only')
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8')))
    cost = docstring.partition('Cost:')[2].partition('\n')[0]
    assert f'{config.train_cfg.max_iters:,} steps' in cost
    if config.train_cfg.max_iters > 10_000:
        assert 'irst' in docstring.partition('Cost:')[2], 'a shorter way comes first'
