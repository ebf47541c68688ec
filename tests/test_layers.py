"""Inside vlfusion imports run down this list, never up."""

import ast
import re
from pathlib import Path

#: One a line, so that changes of the list merge.
LAYERS = [
    'cli',
    'app',
    'catalogue',
    'environment',
    'scaffold',
    'testing',
    'benchmark',
    'downstream',
    'analysis',
    'inference',
    'engine',
    'evaluation',
    'losses',
    'metrics',
    'models',
    'data',
    'language',
    'zoo',
    'volumes',
    'imaging',
    'registry',
    'config',
    'config_names',
    'plugins',
    'console',
    'files',
    'system',
    'guards',
    'errors',
]
#: These two know nothing of each other, in either direction.
STRANGERS = {'models', 'language'}
ROOT = Path(__file__).parents[1] / 'vlfusion'
FILES = sorted({*ROOT.rglob('*.py')} - {ROOT / '__init__.py', ROOT / '__main__.py', ROOT / 'moved.py'})


def _layer(path):
    return path.relative_to(ROOT).parts[0].removesuffix('.py')


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f'{node.module}.{alias.name}' for alias in node.names]
        yield from (name.split('.')[1] for name in names if name.startswith('vlfusion.'))


def test_every_module_has_a_layer():
    assert {_layer(path) for path in FILES} == set(LAYERS)


def test_imports_run_down():
    arrows = {(str(path.relative_to(ROOT)), _layer(path), imported)
              for path in FILES for imported in _imports(path) if imported in LAYERS}
    assert len(arrows) > 500
    assert {(path, imported) for path, layer, imported in arrows
            if LAYERS.index(imported) < LAYERS.index(layer) or {layer, imported} == STRANGERS} == set()


def test_the_map_names_every_room_and_no_other_file():
    page = (ROOT.parent / 'docs/explain/rooms.md').read_text(encoding='utf-8')
    rooms = [room for line in re.findall(r'^\| (`.*?) \|', page, re.MULTILINE) for room in re.findall(r'`(\w+)`', line)]
    assert [room for room in rooms if room in LAYERS] == LAYERS
    assert [path for path in re.findall(r'`([\w/]+\.py)`', page) if not (ROOT / path).is_file()] == []
