"""A comparison of toy models on pairs that are drawn."""

import sys
import textwrap
from pathlib import Path

import pytest
from comparing import NAMES, TOYS, TWO, checkpoint, write_config

from vlfusion import plugins
from vlfusion.cli import main
from vlfusion.registry import snapshot
from vlfusion.testing.toys import draw_pairs, write_features


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """The module of toy models, on the path; its names leave the registries afterwards."""
    for package in ('scipy', 'scikit_posthocs', 'jinja2', 'matplotlib'):
        pytest.importorskip(package, reason="pip install 'vlfusion[benchmark]'")
    (tmp_path / 'toy_methods.py').write_text(textwrap.dedent(TOYS))
    monkeypatch.syspath_prepend(tmp_path)
    plugins.load_all(snapshot)  # or their names would go with those of the toys
    undo = snapshot()
    import toy_methods
    yield toy_methods
    undo()
    del sys.modules['toy_methods']


@pytest.fixture
def compare(tmp_path, toys, monkeypatch):
    """Writes a config over six pairs, and returns a function that runs it from the command line."""
    monkeypatch.chdir(tmp_path)
    draw_pairs(tmp_path / 'data', NAMES)
    write_features(tmp_path / 'data/text', NAMES)
    checkpoint(toys, 'ToyConv', 'conv.pth')

    def run(methods=TWO, *options, code=0, **keys):
        keys = dict(metrics=['EN', 'SF'], controls=False, robustness=False) | keys
        write_config(tmp_path / 'benchmark.py', methods, **keys)
        assert main(['benchmark', 'benchmark.py', '--out', 'out', '--no-report', *options]) == code
        return Path('out')

    return run
