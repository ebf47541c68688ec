"""Every config that a help text, a page or a docstring names is there, by its path or its name."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATH = re.compile(r'(?<![\w/}*.-])(?:[\w-]+/)*configs/[\w/.-]*\.py')
#: The name of a config in a command.
NAME = re.compile(r'(?:vlfusion |vlfusion text |tools/)(?:ablate-text|audit|benchmark|describe|export|import|show|test|'
                  r'train)(?:\.py)? (\w+/\w+)(?=[\s`,]|$)')
BASE = re.compile(r"'(vlfusion\w*)::([\w/]+)\.py'")
#: Files that a reader of a page makes, or that stand for any file.
MADE = {'my_fusion/configs/my_fusion_mif_sample.py', 'configs/NAME_mif_sample.py', 'my_fusion/my_fusion_mif_sample'}
FILES = [path for place in ('vlfusion', 'tools', 'docs', 'configs', 'plugins', 'performance')
         for ending in ('py', 'md', 'sh')
         for path in (ROOT / place).rglob(f'*.{ending}')] + [ROOT / 'README.md', ROOT / 'Makefile']
#: Every folder of configs by the package that ships it. A plugin may be absent from the environment.
FOLDERS = {'vlfusion': ROOT / 'configs', **{folder.name: folder.with_name('configs')
                                            for folder in ROOT.glob('plugins/*/vlfusion_*')}}


def missing(path: Path) -> list[str]:
    """The configs that a file names and that are neither in the repository nor beside the file."""
    text = path.read_text(encoding='utf-8')
    places = [ROOT, *(ROOT / parent for parent in path.relative_to(ROOT).parents)]
    absent = {config for config in PATH.findall(text) if not any((place / config).is_file() for place in places)}
    absent |= {name for name in NAME.findall(text) if not is_there(name)}
    absent |= {f'{package}::{name}' for package, name in BASE.findall(text)
               if not (FOLDERS[package] / f'{name}.py').is_file()}
    return sorted(absent - MADE)


def is_there(name: str) -> bool:
    plugin, _, config = name.partition('/')
    return any((folder / f'{inner}.py').is_file() for folder, inner in (
        (FOLDERS['vlfusion'], name), (FOLDERS.get(f'vlfusion_{plugin}', ROOT), config)))


def test_paths_and_names_are_recognised():
    assert PATH.findall('run `vlfusion train configs/film/x.py`, plugins/a/configs/b.py.') == [
        'configs/film/x.py', 'plugins/a/configs/b.py']
    assert NAME.findall('run `vlfusion train film/x`, tools/test.py a/b c.pth or vlfusion text show c/d') == [
        'film/x', 'a/b', 'c/d']
    assert BASE.findall("_base_ = ['vlfusion::a/b.py', '../c.py', 'vlfusion_x::d.py']") == [
        ('vlfusion', 'a/b'), ('vlfusion_x', 'd')]


def test_every_config_that_is_named_is_there():
    assert {str(path.relative_to(ROOT)): paths for path in FILES if (paths := missing(path))} == {}
