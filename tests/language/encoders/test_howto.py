"""Examples of docs/howto/encoder.md work as they stand there."""

import importlib
import re
from pathlib import Path

import pytest

from vlfusion.data.joining import join_rule
from vlfusion.data.text import STREAMS
from vlfusion.language.interfaces import TextEncoder
from vlfusion.registry import TEXT_ENCODERS, check_arguments, snapshot

BLOCKS = re.findall(r'```python\n(.*?)```', (Path(__file__).parents[3] / 'docs/howto/encoder.md').read_text(), re.S)


def test_the_encoder_of_ten_lines(tmp_path, monkeypatch, check_encoder):
    (tmp_path / 'my_encoder.py').write_text(BLOCKS[-1])
    monkeypatch.syspath_prepend(tmp_path)
    undo = snapshot()
    try:
        importlib.import_module('my_encoder')
        encoder = TEXT_ENCODERS.build(dict(type='WordEncoder'))
        assert isinstance(encoder, TextEncoder)
        check_encoder(encoder, ['one two', 'one'], [2, 1])
    finally:
        undo()


@pytest.mark.parametrize('line', [line for line in BLOCKS[0].splitlines() if line])
def test_lines_of_encoders_have_arguments_that_exist(line):
    keys = {}
    exec(line, keys)
    config = keys['language']['encoder']
    check_arguments(TEXT_ENCODERS.get(config['type']), config)


@pytest.mark.parametrize('line', [line for line in BLOCKS[1].splitlines() if line])
def test_lines_of_joining_are_rules(line):
    config = eval(line.partition('=')[2])
    join_rule(config.get('join'), len(STREAMS[config['stream']]))


def test_an_encoder_of_instructions_has_arguments_that_exist():
    keys = {}
    exec(BLOCKS[2], keys)
    config = keys['language']['instruction_encoder']
    check_arguments(TEXT_ENCODERS.get(config['type']), config)
