"""Registries find names, guess misspelt ones, and import nothing arbitrary."""

import inspect
import subprocess
import sys

import mmengine.registry
import pytest
from torch import nn

from vlfusion.errors import UnknownNameError
from vlfusion.registry import BACKBONES, HOOKS, LOSSES, REGISTRIES, snapshot


def test_lookup_error_guesses_and_lists():
    with pytest.raises(UnknownNameError, match=r"'FLIM' is not a known backbone.*\n.*Did you mean FILM\?.*Available"):
        BACKBONES.get('FLIM')
    assert 'FLIM' not in BACKBONES and 'FILM' in BACKBONES


def test_a_name_like_no_other_may_be_in_a_module_of_the_user():
    with pytest.raises(UnknownNameError, match=r'custom_imports, or with --import'):
        BACKBONES.get('Xyzzyq')
    with pytest.raises(UnknownNameError) as error:
        BACKBONES.get('FLIM')
    assert 'custom_imports' not in str(error.value)


def test_mmengine_entries_are_found_but_arbitrary_imports_are_not():
    import mmengine.hooks
    assert HOOKS.get('IterTimerHook') is HOOKS.get('mmengine.IterTimerHook') is mmengine.hooks.IterTimerHook
    for dotted in ('os.system', 'mmengine.hooks.IterTimerHook'):
        with pytest.raises(UnknownNameError):
            HOOKS.get(dotted)


def test_every_mmengine_registry_has_a_child_of_ours():
    roots = [value for value in vars(mmengine.registry).values() if isinstance(value, mmengine.registry.Registry)]
    assert len(roots) >= 23
    assert not [root.name for root in roots if 'vlfusion' not in root.children]


def test_names_of_other_packages_are_scoped_and_ambiguity_is_an_error():
    undo = snapshot()
    try:
        for package in ('alpha', 'beta'):
            LOSSES.register_module(module=type('TwinLoss', (nn.Module,), {'__module__': f'{package}.losses'}))
        assert LOSSES.get('alpha.TwinLoss') is not LOSSES.get('beta.TwinLoss')
        with pytest.raises(UnknownNameError, match='ambiguous'):
            LOSSES.get('TwinLoss')
    finally:
        undo()
    assert 'alpha.TwinLoss' not in LOSSES


def test_every_registered_name_loads():
    for registry in REGISTRIES.values():
        for name in registry.names():
            found = registry.get(name)
            assert inspect.isclass(found) or inspect.isfunction(found), f'{name} is {found!r}'


@pytest.mark.parametrize('code', [
    'import vlfusion, vlfusion.registry, vlfusion.plugins',
    "from vlfusion.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass",
    "from vlfusion.cli import main\ntry: main(['train', '--help'])\nexcept SystemExit: pass",
])
def test_import_and_help_need_no_heavy_package(code):
    check = "\nimport sys; assert not {'torch', 'mmcv', 'transformers', 'cv2'} & set(sys.modules), sorted(sys.modules)"
    subprocess.run([sys.executable, '-c', code + check], check=True, stdout=subprocess.DEVNULL)
