"""Every config that a help text, a page or a docstring names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATH = re.compile(r'(?<![\w/}*.-])(?:[\w-]+/)*configs/[\w/.-]*\.py')
#: Files that a reader of a page makes, or that stand for any file.
MADE = {'configs/mine/ivf.py', 'my_fusion/configs/my_fusion_mif_sample.py', 'configs/_base_/datasets/NAME.py',
        'configs/NAME_mif_sample.py'}
FILES = [path for place in ('vlfusion', 'tools', 'docs', 'configs', 'plugins', 'performance')
         for ending in ('py', 'md', 'sh')
         for path in (ROOT / place).rglob(f'*.{ending}')] + [ROOT / 'README.md', ROOT / 'Makefile']


def missing(path: Path) -> list[str]:
    """The configs that a file names and that are neither in the repository nor beside the file."""
    named = set(PATH.findall(path.read_text(encoding='utf-8'))) - MADE
    places = [ROOT, *(ROOT / parent for parent in path.relative_to(ROOT).parents)]
    return sorted(config for config in named if not any((place / config).is_file() for place in places))


def test_paths_are_recognised():
    assert PATH.findall('run `vlfusion train configs/film/x.py`, plugins/a/configs/b.py.') == [
        'configs/film/x.py', 'plugins/a/configs/b.py']


def test_every_config_that_is_named_is_there():
    assert {str(path.relative_to(ROOT)): paths for path in FILES if (paths := missing(path))} == {}
