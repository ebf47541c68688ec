"""The digest of a part's code changes with its sources."""

import sys

from vlfusion.engine.digests import code_digest, modules_of
from vlfusion.models.fusion_model import FusionModel


def test_code_beside_a_single_module_counts(toys, tmp_path, monkeypatch):
    (tmp_path / 'toy_layers.py').write_text('VALUE = 1\n')
    import toy_layers
    monkeypatch.setitem(sys.modules, 'toy_layers', toy_layers)
    modules = modules_of(toys.ToyMean)
    assert modules[0] is toys and toy_layers in modules and sys not in modules
    before = code_digest(*modules)
    assert code_digest(*modules_of(toys.ToyMean)) == before
    (tmp_path / 'toy_layers.py').write_text('VALUE = 22\n')
    assert code_digest(*modules) != before
    assert modules_of(FusionModel) == [sys.modules[FusionModel.__module__]]
    assert code_digest(*modules, packages=()) != code_digest(*modules) == code_digest(*modules)
