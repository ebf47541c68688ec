"""The public names of `vlfusion`, and their page docs/reference/python.md."""

import inspect
import pkgutil
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import vlfusion
from vlfusion.moved import MOVED
from vlfusion.testing.toys import draw_pairs

PAGE = (Path(__file__).parents[1] / 'docs/reference/python.md').read_text(encoding='utf-8')
NAMES = ['Fuser', 'ablate_text', 'check_pairs', 'check_set', 'config_of', 'contact_sheet', 'describe',
         'describe_folder', 'export_model', 'fetch_set', 'find_pairs', 'fuse', 'fuse_stacks', 'fuse_video',
         'fuse_volumes', 'leaderboard', 'load_config', 'load_model', 'load_plan', 'load_study',
         'measure_obedience', 'publish', 'reach_of_text', 'read_image', 'read_volume', 'run_plan',
         'run_study', 'score', 'score_folder', 'score_predictions', 'score_sequence', 'score_stack',
         'score_stacks', 'test', 'train', 'use_folders', 'use_texts', 'use_words', 'write_image']

ROOMS = ['analysis', 'benchmark', 'data', 'engine', 'evaluation', 'imaging', 'inference', 'language', 'losses',
         'metrics', 'models', 'testing', 'zoo']


def test_exported_names():
    assert sorted(vlfusion.__all__) == sorted([*NAMES, *ROOMS, '__version__'])
    assert dir(vlfusion) == sorted([*NAMES, *ROOMS])


@pytest.mark.slow
def test_a_room_needs_no_import_of_its_own():
    code = f'import vlfusion; print(*(getattr(vlfusion, room).__name__ for room in {ROOMS}))'
    printed = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout
    assert printed.split() == [f'vlfusion.{room}' for room in ROOMS]


def test_no_name_is_that_of_a_module_now_or_formerly():
    modules = {module.name for module in pkgutil.iter_modules(vlfusion.__path__)}
    former = {name.split('.')[1] for name in MOVED if name.count('.') == 1}
    assert not set(NAMES) & (modules | former)
    import_module('vlfusion.benchmark.plan')
    assert callable(vlfusion.run_plan)


@pytest.mark.parametrize('name', NAMES)
def test_a_name_resolves_and_is_documented(name):
    function = getattr(vlfusion, name)
    assert getattr(vlfusion, name) is function
    text = inspect.getdoc(function)
    assert 'Args:\n' in text and 'Raises:\n' in text
    assert re.search(rf'vlfusion\.{name}\(|>>> .*{name}\(', text), 'an example'
    for parameter in inspect.signature(function).parameters:
        assert re.search(rf'\b{parameter}\b', text.partition('Args:\n')[2]), parameter


def test_the_page_lists_every_name():
    rows = re.findall(r'^\| (`.*?`) \|', PAGE, re.MULTILINE)
    assert sorted(re.findall(r'`(\w+)`', ' '.join(rows))) == sorted(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize('code', re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL))
def test_the_examples_of_the_page_run(code, tmp_path, monkeypatch, capsys):
    pytest.importorskip('vlfusion_classical', reason='pip install --editable plugins/classical')
    pytest.importorskip('scikit_posthocs', reason="pip install 'vlfusion[benchmark]'")
    monkeypatch.chdir(tmp_path)
    draw_pairs(tmp_path, ['street', 'park'], size=(64, 80))
    exec(compile(code, 'docs/reference/python.md', 'exec'), {})
    printed = capsys.readouterr().out
    assert ('2 pairs fused, 0 failed' in printed or '| Laplacian |' in printed
            or 'street (64, 80' in printed and "'Qabf'" in printed)
