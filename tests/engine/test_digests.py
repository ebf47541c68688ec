"""The digest of a part's code changes with its sources."""

import sys

from vlfusion.engine.digests import code_digest, modules_of
from vlfusion.models.fusion_model import FusionModel


def test_code_beside_a_single_module_counts(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'toy_layers.py').write_text('VALUE = 1\n')
    (tmp_path / 'toy_part.py').write_text('import toy_layers\n\n\nclass ToyPart:\n    pass\n')
    import toy_part
    for name in ('toy_part', 'toy_layers'):
        monkeypatch.setitem(sys.modules, name, sys.modules.pop(name))  # removed again afterwards
    modules = modules_of(toy_part.ToyPart)
    assert modules == [toy_part, toy_part.toy_layers]
    before = code_digest(*modules)
    assert code_digest(*modules_of(toy_part.ToyPart)) == before != code_digest(*modules, packages=())
    (tmp_path / 'toy_layers.py').write_text('VALUE = 22\n')
    assert code_digest(*modules) != before
    assert modules_of(FusionModel) == [sys.modules[FusionModel.__module__]]
