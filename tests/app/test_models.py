"""Models of the page: those that are here, one visitor at a time, no note in a log."""

import logging
import threading
import time

import pytest
import torch
from naming import write_checkpoint
from torch import nn

from vlfusion.app.models import Models, Settings, overheard, titles
from vlfusion.console.notes import note
from vlfusion.errors import CheckpointError, ConfigError, UnknownNameError
from vlfusion.registry import BACKBONES, snapshot


def test_visitors_choose_among_what_is_here(models):
    assert models.first == models.names[0] == 'laplacian' and 'average' in models.names
    assert not [name for name, entry in models.entries.items() if str(entry.source).startswith('github')]
    assert titles(['average'], models.entries)[0][0].startswith('average · infrared-visible fusion, ')
    with pytest.raises(ConfigError, match="no model 'ifcnn-ivf'"):
        models.fuser('ifcnn-ivf')
    with pytest.raises((CheckpointError, UnknownNameError)):
        Models('laplacain')


def test_a_checkpoint_is_a_model_too(tmp_path):
    write_checkpoint(tmp_path / 'mine.safetensors', 'FILM')
    models = Models(str(tmp_path / 'mine.safetensors'))
    assert models.first == 'mine.safetensors' and models.tasks(models.first) == ('ivf',)
    assert titles(models.names, models.entries)[0] == ('mine.safetensors', models.first)


class Guided(nn.Module):
    """Source A within a mask, and source B elsewhere."""

    maps = ('mask',)

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, source_a, source_b, text=None, text_mask=None, *, mask):
        return self.scale * (mask * source_a + (1 - mask) * source_b)


def test_a_model_that_needs_a_map_is_refused(tmp_path):
    undo = snapshot()
    try:
        BACKBONES.register_module(module=Guided)
        write_checkpoint(tmp_path / 'guided.safetensors', 'Guided')
        models = Models(str(tmp_path / 'guided.safetensors'))
        with pytest.raises(ConfigError, match="guided.safetensors needs the map 'mask'") as error:
            models.fuser(models.first)
        assert error.value.remedy == 'Choose another model.' and str(tmp_path) not in str(error.value)
    finally:
        undo()


def test_settings_hold_for_one_visitor(models):
    with models.use(Settings('laplacian', fit='resize', register='rigid')) as fuser:
        assert (fuser.fit, fuser.register) == ('resize', 'rigid')
    assert (fuser.fit, fuser.register) == ('refuse', None)


def test_visitors_wait_for_each_other(models):
    order = []

    def visit(name):
        with models.use(Settings('laplacian')):
            order.append(name)
            time.sleep(0.02)
            order.append(name)

    visits = [threading.Thread(target=visit, args=[name]) for name in 'ab']
    for thread in visits:
        thread.start()
    for thread in visits:
        thread.join()
    assert order in (['a', 'a', 'b', 'b'], ['b', 'b', 'a', 'a'])


def test_notes_reach_the_visitor_and_no_log(caplog):
    with caplog.at_level(logging.WARNING), overheard() as notes:
        note('swapped', 'anna.png looks like B.')
    assert notes == ['anna.png looks like B.'] and caplog.text == ''
