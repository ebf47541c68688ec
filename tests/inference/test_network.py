"""A model in the memory there is: planned before it runs, several pairs at once, progress of one large image."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from vlfusion.errors import ConfigError, VLFusionError
from vlfusion.inference import network as module
from vlfusion.inference.network import Network, stacked
from vlfusion.models import FusionModel
from vlfusion.models.layers import strips
from vlfusion.registry import BACKBONES


class Blur(nn.Module):
    """Local and without weights; it keeps the shapes that it saw."""

    halo = 2

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, source_a, source_b, text=None, text_mask=None):
        self.seen.append(tuple(source_a.shape))
        return nn.functional.avg_pool2d(source_a, 5, 1, 2, count_include_pad=False) / 2 + source_b / 2


@pytest.fixture
def blur(monkeypatch):
    monkeypatch.setitem(BACKBONES.module_dict, 'Blur', Blur)
    return FusionModel(dict(type='Blur')).eval()


def pair(height=70, width=80, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(1, 1, height, width, generator=generator) for name in ('source_a', 'source_b')}


def test_a_pair_that_fits_is_one_pass(blur):
    network = Network(blur, device='cpu', max_memory=2 ** 40)
    assert network.plan(pair()).mode == 'whole'
    assert torch.equal(network.fuse(pair()), network(pair())) and blur.backbone.seen == 2 * [(1, 1, 70, 80)]


def test_little_memory_plans_exact_tiles(blur):
    network = Network(blur, device='cpu', max_memory=60_000)
    chosen = network.plan(pair())
    seen = len(blur.backbone.seen)
    assert chosen.mode == 'exact' and chosen.pixels < 70 * 80
    fused = network.fuse(pair(), chosen=chosen)
    torch.testing.assert_close(fused, network(pair()), rtol=0, atol=1e-6)
    assert len(blur.backbone.seen) - seen > 2
    with pytest.raises(VLFusionError, match='smallest tile'):
        Network(blur, device='cpu', max_memory=1000).plan(pair())


def test_the_first_pairs_are_fused_as_memory_allows(blur):
    pairs = [pair(seed=seed) for seed in range(3)]
    assert len(Network(blur, device='cpu', max_memory=2 ** 40).fuse_first(pairs)) == 3
    assert len(Network(blur, device='cpu', tile_size=50).fuse_first(pairs)) == 1
    together = Network(blur, device='cpu', max_memory=2 ** 40).fuse_first(pairs)
    torch.testing.assert_close(together[1:2], Network(blur, device='cpu')(pairs[1]))


def test_pairs_fused_whole_and_in_tiles_come_together_on_one_device(blur, monkeypatch):
    """On fake tensors of a GPU, where memory runs out for the batch and for the first pair as a whole."""
    notes, seen, forward = [], blur.backbone.seen, Blur.forward

    def short_of_memory(self, source_a, source_b):
        fused = forward(self, source_a, source_b)
        if len(seen) < 3:
            raise torch.OutOfMemoryError('CUDA out of memory.')
        assert source_a.is_cuda and fused.is_cuda
        return fused

    monkeypatch.setattr(Blur, 'forward', short_of_memory)
    network = Network(blur, device='cpu', max_memory=2 ** 40, note=notes.append)
    network.device = torch.device('cuda')
    with FakeTensorMode(allow_non_fake_inputs=True):
        fused = network.fuse_first([pair(), pair(seed=1)])
    assert fused.shape == (2, 1, 70, 80) and fused.device.type == 'cpu'
    assert 'one after another' in notes[0] and 'going on with tiles' in notes[1]
    assert seen[0] == (2, 1, 70, 80) and seen[1] == seen[-1] == (1, 1, 70, 80) and seen[2] != seen[1]


def test_texts_of_different_lengths_are_padded():
    pairs = [pair() | dict(text=torch.full((1, length, 4), float(length))) for length in (1, 3)]
    batch = stacked(pairs)
    assert batch['source_a'].shape == (2, 1, 70, 80) and batch['text'].shape == (2, 3, 4)
    assert batch['text_mask'].tolist() == [[True, False, False], [True] * 3] and (batch['text'][0, 1:] == 0).all()
    assert 'text_mask' not in stacked([pairs[0], pairs[0]])


def test_unknown_options_are_refused(blur):
    with pytest.raises(ConfigError, match='Did you mean exact'):
        Network(blur, tiles='exakt')
    with pytest.raises(ConfigError, match='Did you mean bfloat16'):
        Network(blur, precision='bfloat61')


class Watched(Blur):
    """It notes the switches of precision in its forward pass, as well as its weight's type."""

    def __init__(self, bfloat16_weights=False):
        super().__init__()
        self.bfloat16_weights, self.weight = bfloat16_weights, nn.Parameter(torch.ones(1))

    def forward(self, source_a, source_b, text=None, text_mask=None):
        self.seen = (torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision,
                     torch.is_autocast_enabled('cpu'), self.weight.dtype, source_a.dtype)
        return source_a.to(self.weight) * self.weight


@pytest.mark.parametrize(('precision', 'declared', 'expected'), [
    ('float32', True, ('ieee', 'ieee', False, torch.float32)),
    ('tf32', True, ('tf32', 'tf32', False, torch.float32)),
    ('bfloat16', False, ('tf32', 'tf32', True, torch.float32)),
    ('bfloat16', True, ('tf32', 'tf32', False, torch.bfloat16)),
])
def test_a_precision_holds_within_the_network(monkeypatch, precision, declared, expected):
    monkeypatch.setitem(BACKBONES.module_dict, 'Watched', Watched)
    before = torch.backends.cudnn.conv.fp32_precision
    network = Network(FusionModel(dict(type='Watched', bfloat16_weights=declared)).eval(), device='cpu',
                      precision=precision)
    assert network(pair()).dtype == torch.float32
    assert network.model.backbone.seen == (*expected, torch.float32), 'images stay float32'
    assert torch.backends.cudnn.conv.fp32_precision == before


@pytest.mark.slow
def test_a_network_in_strips_tells_its_progress(monkeypatch):
    monkeypatch.setattr(module, 'LARGE', 100)
    monkeypatch.setitem(strips.PIXELS, 'cpu', 100)
    torch.manual_seed(0)
    film = FusionModel(dict(type='FILM', text_dim=8, guidance_grid=(16, 32))).eval()
    inputs, told = pair() | dict(text=torch.randn(1, 3, 8)), []
    network = Network(film, device='cpu', tiles='whole')
    fused = network.fuse(inputs, progress=lambda *numbers: told.append(numbers))
    torch.testing.assert_close(fused, network(inputs), rtol=0, atol=0)
    assert len(told) > 1000 and told == sorted(told) and told[-1] == (3800, 3800)


def test_a_network_of_one_piece_tells_nothing(blur, monkeypatch):
    monkeypatch.setattr(module, 'LARGE', 100)
    told = []
    Network(blur, device='cpu', tiles='whole').fuse(pair(), progress=lambda *numbers: told.append(numbers))
    assert not told and blur.backbone.seen == [(1, 1, 70, 80)]


def test_a_network_that_samples_tells_its_steps(monkeypatch):
    class Sampler(Blur):
        sampling_steps = 3

        def forward(self, source_a, source_b, text=None, text_mask=None):
            for _ in range(self.sampling_steps):
                strips.report()
            return super().forward(source_a, source_b)

    monkeypatch.setitem(BACKBONES.module_dict, 'Sampler', Sampler)
    told = []
    network = Network(FusionModel(dict(type='Sampler')).eval(), device='cpu', tiles='whole')
    network.fuse(pair(), progress=lambda *numbers: told.append(numbers))
    assert told == [(100, 300), (200, 300), (300, 300)]
    network(pair())  # nobody watches
    assert len(told) == 3
