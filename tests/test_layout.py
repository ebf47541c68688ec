"""Tests lie beside their module, `tests/ROOM/test_X.py` for `vlfusion/ROOM/X.py`, and say what they hold."""

import ast
from pathlib import Path

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / 'vlfusion'
#: Tests of several modules at once: of a verb from its arguments to its files, of whole families, of the repository.
ACROSS = {
    '': 'configs configs_cost conformance devices did_the_text_do_anything documentation front_door howto_own_method '
        'examples installation known_plugins layers layout links named_paths plugin_configs prose readme results_pages '
        'swaps tutorials typecheck workflows',
    'cli': 'guesses named_models numbers pages plugins start verbs',
    'inference': 'instructions values',
    'language': 'describe exchange howto pairs repair running server_kills',
    'language/captioners': 'detectors recipes taggers',
    'language/encoders': 'howto training transformers_models',
    'language/llms': 'llamacpp',
    'losses': 'losses',
    'metrics': 'features golden perception properties references',
    'models': 'maps run_backbone streams',
    'testing': 'alone',
    'zoo': 'fetching models',
}
MODULES = sorted(path.relative_to(TESTS) for path in TESTS.rglob('test_*.py'))


def _tests_a_module(path: Path) -> bool:
    module = PACKAGE / path.parent / path.name.removeprefix('test_')
    return module.is_file() or module.with_suffix('').is_dir()


def _is_listed(path: Path) -> bool:
    room = path.parent.as_posix() if path.parent.parts else ''
    return path.stem.removeprefix('test_') in ACROSS.get(room, '').split()


def test_a_test_is_named_after_its_module():
    assert [str(path) for path in MODULES if not _tests_a_module(path) and not _is_listed(path)] == []


def test_the_list_holds_no_test_of_one_module():
    assert [str(path) for path in MODULES if _tests_a_module(path) and _is_listed(path)] == []


def test_a_test_module_says_what_it_holds():
    assert [str(path) for path in MODULES
            if not ast.get_docstring(ast.parse((TESTS / path).read_text(encoding='utf-8')))] == []
