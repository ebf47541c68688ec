"""Tests of a plugin need nothing of this repository but the installed package."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize('path', sorted(ROOT.glob('plugins/*/tests/*.py')), ids=lambda path: path.stem)
def test_tests_of_a_plugin_import_nothing_of_this_repository(path):
    ours = {'conftest', 'vlfusion_shared', 'typecheck', 'surveying'}
    nodes = list(ast.walk(ast.parse(path.read_text(encoding='utf-8'))))
    modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    assert not modules & ours


@pytest.mark.slow
def test_tests_of_a_plugin_run_where_nothing_else_is(tmp_path):
    copied = shutil.copytree(ROOT / 'plugins/reconet', tmp_path / 'reconet')
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join([str(copied), str(ROOT)])}
    done = subprocess.run([sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider'], cwd=copied,
                          env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ' passed' in done.stdout
