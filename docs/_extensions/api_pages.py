"""Pages of the API reference, written into docs/reference/api before each build: public functions, then each room."""

import ast
import re
from importlib import import_module
from pathlib import Path

from docstrings import as_rst

PACKAGE = Path(__file__).parents[2] / 'vlfusion'
#: Modules that are no room, but whose names every user of Python meets.
MODULES = ('errors', 'registry')
INTRODUCTION = """API
===

Arguments, shapes, errors and examples, from the docstrings. The public functions of ``vlfusion`` come first; its rooms
hold everything else.

.. toctree::
   :maxdepth: 1

"""


def title(text: str) -> str:
    """Underline the title of a page."""
    return f'{text}\n{"=" * len(text)}\n\n'


def front_door() -> tuple[list[str], list[str]]:
    """Rooms and public functions, as `__init__.pyi` lists them."""
    stub = (PACKAGE / '__init__.pyi').read_text(encoding='utf-8')
    return re.findall(r'^from \. import (\w+)', stub, re.MULTILINE), sorted(
        re.findall(r'^from \.[\w.]+ import (\w+)', stub, re.MULTILINE), key=str.lower)


def page_of_room(room: str, public: list[str]) -> str:
    """Write the page of a room: the names it exports, or its modules with their public names if it exports none."""
    names = getattr(import_module(f'vlfusion.{room}'), '__all__', None)
    page = title(f'vlfusion.{room}') + f'.. automodule:: vlfusion.{room}\n\n'
    if names:
        return page + ''.join(_reference(name) if name in public else _name(room, name) for name in names)
    modules = sorted(path for path in (PACKAGE / room).glob('*.py') if path.stem != '__init__' and _public(path))
    return page + ''.join(f'vlfusion.{room}.{path.stem}\n{"-" * 80}\n\n.. automodule:: vlfusion.{room}.{path.stem}\n'
                          '   :members:\n\n' for path in modules)


def _public(module: Path) -> list[str]:
    """Public functions and classes of a module."""
    return [node.name for node in ast.parse(module.read_text(encoding='utf-8')).body
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith('_')]


def _reference(name: str) -> str:
    return f':py:obj:`vlfusion.{name}` is a public function.\n\n'


def _name(room: str, name: str) -> str:
    """Directive for a name that a room exports; the room is empty for vlfusion itself."""
    module = f'vlfusion.{room}'.rstrip('.')
    obj = getattr(import_module(module), name)
    if not getattr(obj, '__module__', '').startswith('vlfusion'):
        return f'.. py:data:: {module}.{name}\n\n   {_comment(room, name)}\n\n'
    if room and isinstance(obj, type) and not obj.__module__.startswith(module):
        return f':py:class:`vlfusion.{obj.__module__.split(".")[1]}.{name}`\n\n'
    return (f'.. autoclass:: {module}.{name}\n   :members:\n\n' if isinstance(obj, type)
            else f'.. autofunction:: {module}.{name}\n\n')


def _comment(room: str, name: str) -> str:
    """Return the comment above the assignment of a name in a room, in one line."""
    [comment] = [match[1] for path in (PACKAGE / room).glob('*.py') if (match := re.search(
        rf'((?:^#:.*\n)*)^{name}\b[^\n]* = ', path.read_text(encoding='utf-8'), re.MULTILINE))]
    return ' '.join(as_rst([line.removeprefix('#:').strip() for line in comment.splitlines()]))


def write_pages(out: Path) -> None:
    """Write all pages; files that would not change are left alone, so that Sphinx does not read them again."""
    rooms, functions = front_door()
    pages = {'vlfusion': title('vlfusion') + '.. py:module:: vlfusion\n\n'
             + ''.join(_name('', name) for name in functions)}
    pages |= {f'vlfusion.{room}': page_of_room(room, functions) for room in rooms}
    pages |= {f'vlfusion.{module}': title(f'vlfusion.{module}') + f'.. automodule:: vlfusion.{module}\n   :members:\n'
              for module in MODULES}
    pages['index'] = INTRODUCTION + ''.join(f'   {page}\n' for page in pages)
    out.mkdir(parents=True, exist_ok=True)
    for name, text in pages.items():
        path = out / f'{name}.rst'
        if not path.is_file() or path.read_text(encoding='utf-8') != text:
            path.write_text(text, encoding='utf-8')


def setup(app) -> dict:
    """Connect the extension to Sphinx."""
    app.connect('builder-inited', lambda app: write_pages(Path(app.srcdir) / 'reference/api'))
    return {'parallel_read_safe': True}
