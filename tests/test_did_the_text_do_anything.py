"""The page docs/explain/did_the_text_do_anything.md: its Python blocks and its command print what it says."""

import re
from pathlib import Path

import pytest
import torch

from vlfusion.cli import main

PAGE = (Path(__file__).parents[1] / 'docs/explain/did_the_text_do_anything.md').read_text()
BLOCKS = re.findall(r'^```python\n(.*?)^```\n\n```text\n(.*?)^```$', PAGE, re.MULTILINE | re.DOTALL)
#: The row of a network's reach: the mean change of a pixel and the largest.
ROW = re.compile(r'\| text \| (\S+) \| (\S+) \|')


def test_every_block_has_its_output():
    assert len(BLOCKS) == PAGE.count('```python')


@pytest.mark.slow
@pytest.mark.parametrize('code, output', BLOCKS, ids=re.findall(r'^## ([^\n]*)\n(?:(?!^## ).)*?```python', PAGE,
                                                                re.MULTILINE | re.DOTALL))
def test_a_block_prints_what_the_page_says(code, output, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
    for package in re.findall(r'^(?:from|import) (vlfusion_\w+|open_clip)', code, re.MULTILINE):
        pytest.importorskip(package)
    if 'write_tiny_clip' in code:
        pytest.importorskip('open_clip', reason="pip install 'vlfusion[vision]'")
    with torch.random.fork_rng(devices=[]):
        exec(code, {})
    assert capsys.readouterr().out == output


@pytest.mark.slow
def test_the_command_gives_the_numbers_of_the_page(capsys):
    [(command, output)] = re.findall(r'^```console\n\$ vlfusion (.*?)\n(.*?)^```$', PAGE, re.MULTILINE | re.DOTALL)
    assert main(command.split()) == 0
    printed = capsys.readouterr().out
    assert ROW.sub('', printed) == ROW.sub('', output)
    # So small a change is partly rounding, in which processors differ.
    numbers, expected = ([float(number) for number in ROW.search(text).groups()] for text in (printed, output))
    assert numbers == pytest.approx(expected, rel=0.3)
