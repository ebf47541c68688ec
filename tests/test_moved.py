"""Names that a plugin of an earlier version imports."""

import sys
from importlib import import_module

import pytest

from vlfusion.moved import MOVED, RENAMED_PLUGINS
from vlfusion.registry import LOSSES


@pytest.mark.parametrize(('old', 'new'), MOVED.items())
def test_a_former_name_is_the_same_module(old, new, monkeypatch):
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(DeprecationWarning, match=f'{old} is now {new}'):
        assert import_module(old) is import_module(new)


def test_a_module_of_a_moved_room_exists_once(monkeypatch):
    monkeypatch.delitem(sys.modules, 'vlfusion.reading.rule', raising=False)
    with pytest.warns(DeprecationWarning):
        assert import_module('vlfusion.reading.rule').Reading is import_module('vlfusion.imaging.reading.rule').Reading


@pytest.mark.parametrize(('old', 'new'), RENAMED_PLUGINS.items())
def test_a_former_package_of_a_plugin_is_the_same_package(old, new, monkeypatch):
    plugin = pytest.importorskip(new)
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(DeprecationWarning, match=f'{old} is now {new}'):
        assert import_module(old) is plugin


def test_a_config_may_name_a_class_by_the_former_package_of_its_plugin():
    loss = pytest.importorskip('vlfusion_ldfusion').CLIPDirectionalLoss
    with pytest.warns(FutureWarning, match='is now vlfusion_ldfusion.CLIPDirectionalLoss'):
        assert LOSSES.get('vlfusion_clip_directional.CLIPDirectionalLoss') is loss
    assert 'vlfusion_clip_directional.CLIPDirectionalLoss' in LOSSES


@pytest.mark.parametrize('name', [
    'vlfusion.inference.Fuser', 'vlfusion.registry.BACKBONES', 'vlfusion.errors.DataError',
    'vlfusion.images.read_image', 'vlfusion.images.add_chroma', 'vlfusion.export.export_model',
    'vlfusion.checkpoints.load_model', 'vlfusion.data.tasks.task', 'vlfusion.metrics.protocol.protocol',
    'vlfusion.inference.Fused', 'vlfusion.inference.PRECISIONS', 'vlfusion.numbers.COUNT',
    'vlfusion.evaluation.scores.read_csv', 'vlfusion.evaluation.scores.spelt_out',
    'vlfusion.evaluation.record.write_record', 'vlfusion.language.audit.Records', 'vlfusion.language.store.Keys',
    'vlfusion.language.interfaces.PairCaptioner'])
@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_names_in_use_stay_importable(name):
    module, _, attribute = name.rpartition('.')
    assert hasattr(import_module(module), attribute)
