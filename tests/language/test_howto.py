"""Examples of docs/howto/captioner.md and prompt.md work as they stand there."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

from vlfusion.language import prompt as prompt_module
from vlfusion.language.interfaces import Captioner, Observation
from vlfusion.language.keys import Content, Keys
from vlfusion.language.prompt import load_prompt
from vlfusion.registry import CAPTIONERS, check_arguments, snapshot

PAGES = Path(__file__).parents[2] / 'docs/howto'
*CONFIGS, OWN = re.findall(r'```python\n(.*?)```', (PAGES / 'captioner.md').read_text(), re.S)


@pytest.mark.parametrize('block', CONFIGS)
def test_chains_of_captioners(block):
    shown = {}
    exec(block, shown)
    language = shown.get('language', dict(captioners=shown.get('captioners')))
    for part in language['captioners']:
        check_arguments(CAPTIONERS.get(part['type']), part)
    if 'prompt' in language:
        keys = Keys(language)
        assert keys.feature(*[Content('d', 'MRI')] * (1 + keys.of_pairs))


def test_the_captioner_of_ten_lines(tmp_path, monkeypatch):
    (tmp_path / 'my_captioner.py').write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    undo = snapshot()
    try:
        importlib.import_module('my_captioner')
        captioner = CAPTIONERS.build(dict(type='SizeCaptioner'))
        assert isinstance(captioner, Captioner)
        scenes = [(np.zeros((2, 7), np.uint8),)]
        assert captioner.observe(scenes, ('MRI',)) == [[Observation('The image is 7 pixels wide.')]]
        assert captioner.__doc__  # `check-plugin`, which the page names next, asks for one
    finally:
        undo()


def test_the_prompt_of_ones_own(tmp_path):
    body, = re.findall(r'```\n(.*?)```', (PAGES / 'prompt.md').read_text(), re.S)
    (tmp_path / 'street.v1.md').write_text(body)
    prompt = load_prompt(str(tmp_path / 'street.v1.md'))
    assert prompt.id == 'street@1' and '- A bus' in prompt.render([Observation('A bus')], 'thermal').text


def test_all_prompts_are_in_the_table():
    page = (PAGES / 'prompt.md').read_text()
    prompts = Path(prompt_module.__file__).with_name('prompts').glob('*.md')
    for name in {path.name.split('.')[0] for path in prompts}:
        prompt = load_prompt(name)
        row, = re.findall(rf'^\| `{name}` \|.*$', page, re.M)
        assert ('pair' in row.split('|')[2]) == prompt.of_pair and ('JSON' in row) == (prompt.schema is not None)
