"""A comparison as one function; all that it does is tested in tests/benchmark/test_run.py."""

import pytest

from vlfusion.benchmark import load_plan, run_plan
from vlfusion.errors import DataError
from vlfusion.testing.toys import draw_pairs

CONFIG = """
datasets = dict(Toy=dict(type='PairDataset', task='ivf', data_root='.', source_a='ir', source_b='vi'))
methods = dict(One=dict(fused='one'), Two=dict(fused='two'))
metrics = ['EN']
controls = False
"""


@pytest.fixture
def plan(tmp_path, monkeypatch):
    for package in ('scipy', 'jinja2', 'matplotlib', 'scikit_posthocs'):
        pytest.importorskip(package, reason="pip install 'vlfusion[benchmark]'")
    monkeypatch.chdir(tmp_path)
    draw_pairs('.', ['a', 'b'], size=(16, 20))
    draw_pairs('.', ['a', 'b'], 'one', 'two', size=(16, 20), seed=1)
    (tmp_path / 'plan.py').write_text(CONFIG)
    return load_plan('plan.py', out='out')


@pytest.mark.slow
def test_a_plan_becomes_tables_and_files(plan):
    steps = set()
    done = run_plan(plan, report=False, progress=lambda step, *_: steps.add(step))
    assert [dataset.name for dataset in done.sets] == ['Toy'] and not done.failures
    assert set(done.sets[0].board.methods) == {'One', 'Two'}
    assert done.counts['scored'] == 4 and steps == {'scoring'}
    assert [str(path) for path in done.files] == ['out/leaderboard.md'] and done.files[0].is_file()
    assert run_plan(plan, report=False).counts['known scores'] == 4


def test_a_folder_without_an_ablation(plan, tmp_path):
    with pytest.raises(DataError, match='contains no ablation'):
        run_plan(plan, ablation=tmp_path)
