"""Texts drawn at random move a network that listens, and only that."""

import pytest
import torch
from mmengine.config import Config
from torch import nn

from vlfusion import plugins
from vlfusion.analysis.drawn_texts import reach_of_text, reading_losses
from vlfusion.cli import main
from vlfusion.errors import ConfigError
from vlfusion.registry import BACKBONES, LOSSES, snapshot


@pytest.fixture(autouse=True)
def parts():
    """Networks that add a text to a picture, and a loss that reads it."""
    plugins.load_all(snapshot)  # or their names would go with those of the test
    undo = snapshot()

    @BACKBONES.register_module()
    class AddsText(nn.Module):
        text_dim = dict(loud=4, quiet=4, deaf=4)

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.rand(()))

        def forward(self, source_a, source_b, loud, quiet, deaf):
            return source_a + ((loud + 0.01 * quiet).mean((1, 2)) * self.weight)[:, None, None, None]

    @LOSSES.register_module()
    class ReadsLoud(nn.Module):
        weight = 1

        def forward(self, fused, source_a, source_b, loud):
            return fused.mean() * loud.mean()
    yield
    undo()


def config(backbone, *losses):
    return Config(dict(model=dict(type='FusionModel', backbone=dict(type=backbone), losses=list(losses))))


def test_each_text_of_a_network_is_exchanged_by_itself():
    rows = {row.text: row for row in reach_of_text(config('AddsText'), states=1)}
    assert rows['loud'].mean > 10 * rows['quiet'].mean > 0 == rows['deaf'].maximum
    assert rows[''].maximum >= rows[''].mean > 0
    torch.testing.assert_close(rows[''].mean, rows['loud'].mean, rtol=0.5, atol=0)


def test_states_differ_and_a_call_repeats():
    first, second = (reach_of_text(config('AddsText'), states=2) for _ in range(2))
    assert first == second and first[0].mean != first[4].mean
    assert [row.state for row in first] == ['random state 0'] * 4 + ['random state 1'] * 4


def test_a_louder_text_moves_more():
    soft, loud = (reach_of_text(config('AddsText'), states=1, norm=norm)[0].mean for norm in (1, 10))
    torch.testing.assert_close(loud, 10 * soft, rtol=1e-4, atol=0)


def test_losses_that_read_a_text_are_named():
    assert reading_losses(config('AddsText', dict(type='ReadsLoud'), dict(type='MaxIntensityLoss'))) == {
        'ReadsLoud': ['loud']}
    assert reading_losses(config('AddsText', dict(type='ReadsLoud', weight=0))) == {}


def test_a_network_without_text_is_refused():
    with pytest.raises(ConfigError, match='reads no text'):
        reach_of_text('classical/laplacian_ivf')


def test_a_map_that_the_network_needs_is_drawn_too():
    @BACKBONES.register_module()
    class Masked(nn.Module):
        text_dim, maps = 4, ('mask',)

        def forward(self, source_a, source_b, text=None, text_mask=None, *, mask):
            return source_a + mask * text.mean((1, 2))[:, None, None, None]

    [row] = reach_of_text(config('Masked'), states=1)
    assert row.maximum > row.mean > 0


def test_from_the_command_line(tmp_path, capsys):
    path = tmp_path / 'config.py'
    path.write_text("model = dict(type='FusionModel', backbone=dict(type='AddsText'), losses=[dict(type='ReadsLoud')])")
    assert main(['ablate-text', str(path), '--drawn', '1']) == 0
    said = capsys.readouterr().out
    for words in ('| random state 0 | all texts |', '| random state 0 | loud |', 'ReadsLoud reads loud.'):
        assert words in said
    assert main(['ablate-text', str(path), '--drawn', '1', '--cfg-options', 'model.losses=[]']) == 0
