"""Tiles: their geometry, that exact ones change nothing, that windows fade, and what happens when memory runs out."""

import math
import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn

from vlfusion.errors import ConfigError, VLFusionError
from vlfusion.inference.tiling import _ramps, fuse_any_size, fuse_in_tiles, plan, spans
from vlfusion.models import Locality


class Strided(nn.Module):
    """Half the size and back: it is local, but tiles must begin at even rows and columns."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(2, 4, 3, stride=2, padding=1, padding_mode='reflect')
        self.up = nn.ConvTranspose2d(4, 1, 4, stride=2, padding=1)

    def forward(self, source_a, source_b):
        height, width = source_a.shape[-2:]
        return self.up(self.down(torch.cat((source_a, source_b), 1)).tanh())[..., :height, :width].sigmoid()


def pair(height, width, batch=1):
    generator = torch.Generator().manual_seed(0)
    return {name: torch.rand(batch, 1, height, width, generator=generator) for name in ('source_a', 'source_b')}


def mean(inputs):
    return (inputs['source_a'] + inputs['source_b']) / 2


@pytest.mark.parametrize('multiple', [1, 2, 16])
@pytest.mark.parametrize('length', [1, 64, 65, 97, 100, 128, 1001])
def test_spans_cover_a_side_once_and_keep_their_margins(length, multiple):
    margin = 16
    cut = spans(length, 64, margin, multiple)
    assert [span.first for span in cut] == [0, *(span.last for span in cut[:-1])] and cut[-1].last == length
    for span in cut:
        assert span.start % multiple == 0 and 0 < span.stop - span.start <= 64 and span.first < span.last
        assert span.start == 0 or span.first - span.start >= margin
        assert span.stop == length or span.stop - span.last >= margin
    assert len({span.stop - span.start for span in cut}) <= (1 if multiple == 1 else 2), 'few shapes'


def test_spans_are_no_larger_than_their_number_asks_for():
    assert [span.stop - span.start for span in spans(1000, 900, 10)] == [510, 510]


def test_a_tile_of_margins_only_is_refused():
    with pytest.raises(ConfigError, match='its margins take') as refused:
        spans(100, 32, 16)
    assert '64' in refused.value.remedy


def test_tiles_compute_few_pixels_twice():
    assert plan((3000, 400), Locality(5), pixels=400 * 500).tile[1] == 400, 'strips of a narrow image'
    chosen = plan((3000, 4000), Locality(100), pixels=4000 * 210)  # strips would compute everything twenty times
    computed = math.prod(sum(span.stop - span.start for span in side) for side in chosen.grid((3000, 4000)))
    assert chosen.pixels <= 4000 * 210 and computed < 1.7 * 3000 * 4000


@pytest.mark.parametrize(('locality', 'mode', 'pixels', 'expected'), [
    (Locality(5), 'auto', None, 'whole'), (Locality(5), 'auto', 90000, 'whole'), (Locality(5), 'auto', 30000, 'exact'),
    (None, 'auto', 30000, 'blend'), (Locality(5), 'blend', 30000, 'blend'), (Locality(5), 'whole', 100, 'whole'),
    (Locality(5, 4, only_multiples=True), 'auto', 30000, 'exact'),
    (Locality(5, 7, only_multiples=True), 'auto', 30000, 'blend')])
def test_the_way_is_chosen_by_what_fits_and_by_what_the_backbone_declares(locality, mode, pixels, expected):
    chosen = plan((300, 300), locality, mode, pixels=pixels)
    assert chosen.mode == expected
    assert expected == 'whole' or chosen.pixels <= pixels


def test_what_cannot_be_is_refused_with_a_remedy():
    with pytest.raises(ConfigError, match='declares no halo'):
        plan((300, 300), None, 'exact')
    with pytest.raises(ConfigError, match='multiples of 4'):
        plan((301, 300), Locality(5, 4, only_multiples=True), 'exact')
    with pytest.raises(ConfigError, match='Did you mean exact'):
        plan((300, 300), None, 'exakt')
    with pytest.raises(VLFusionError, match='smallest tile') as refused:
        plan((300, 300), Locality(5), pixels=100)
    assert 'memory' in refused.value.remedy


@pytest.mark.parametrize('size', [(97, 130), (96, 64), (51, 201)])
@pytest.mark.parametrize('tile', [40, 57])
def test_exact_tiles_change_nothing(size, tile):
    torch.manual_seed(0)
    network = Strided()
    inputs = pair(*size, batch=2)
    seen, steps = [], []

    def fuse(batch):
        seen.append(batch)
        return network(batch['source_a'], batch['source_b']) * batch['factor'][:, None, None]

    inputs['factor'] = torch.tensor([[0.5], [1.]])  # what is no source reaches every tile whole
    with torch.no_grad():
        whole = fuse(inputs)
        cut = plan(size, Locality(4, 2), 'exact', tile)
        tiles = fuse_in_tiles(fuse, inputs, cut, lambda done, total: steps.append((done, total)))
    assert torch.allclose(tiles, whole, rtol=0, atol=1e-6)
    assert len(seen) > 2 and max(max(batch['source_a'].shape[-2:]) for batch in seen[1:]) <= tile
    assert steps == [(done, len(seen) - 1) for done in range(1, len(seen))]


def test_a_margin_or_a_multiple_that_is_wrong_shows():
    torch.manual_seed(0)
    network, inputs = Strided(), pair(97, 130)

    def error(locality):
        with torch.no_grad():
            whole = network(**inputs)
            tiles = fuse_in_tiles(lambda batch: network(**batch), inputs, plan((97, 130), locality, 'exact', 40))
            return (whole - tiles).abs().max()

    assert error(Locality(4, 2)) < 1e-6
    assert error(Locality(0, 2)) > 1e-3
    assert error(Locality(5, 1)) > 1e-3


@pytest.mark.parametrize('length', [65, 100, 333])
def test_the_weights_of_windows_add_up_to_one_and_fade(length):
    side = spans(length, 64, 16)
    total = torch.zeros(length, dtype=torch.float64)
    for span, weight in zip(side, _ramps(side), strict=True):
        assert weight.min() > 0 and weight.diff().abs().max() < 0.1, 'no step at a seam'
        total[span.start:span.stop] += weight
    assert torch.allclose(total, torch.ones_like(total))


def test_blending_gives_back_what_every_window_agrees_on_and_softens_what_they_do_not():
    inputs = pair(150, 170)
    cut = plan((150, 170), None, 'blend', 100)
    assert cut.mode == 'blend'
    assert torch.allclose(fuse_in_tiles(mean, inputs, cut), mean(inputs), atol=1e-6)
    levels = iter(torch.linspace(0, 1, 12))
    fused = fuse_in_tiles(lambda batch: batch['source_a'] * 0 + next(levels), inputs, cut)
    assert fused.diff(dim=-1).abs().max() < 0.05 and fused.max() - fused.min() > 0.5


def test_memory_that_runs_out_halves_the_tile_and_is_noted():
    notes, sizes, plans = [], [], []

    def fuse(batch):
        sizes.append(batch['source_a'].numel())
        if sizes[-1] > 10000:
            raise torch.OutOfMemoryError('CUDA out of memory.')
        return mean(batch)

    inputs = pair(200, 200)
    fused = fuse_any_size(fuse, inputs, Locality(3), note=notes.append, trying=plans.append)
    assert torch.equal(fused, mean(inputs)) and [plan.mode for plan in plans] == ['whole', 'exact', 'exact']
    assert sizes[:3] == sorted(sizes[:3], reverse=True) and sizes[0] == 40000
    assert len(notes) == 2 and all('Memory ran out' in note for note in notes)


def test_memory_that_runs_out_for_good_is_an_error_with_a_remedy():
    def fuse(batch):
        raise MemoryError

    with pytest.raises(VLFusionError, match='smallest tile'):
        fuse_any_size(fuse, pair(200, 200), Locality(3), note=lambda _: None)
    with pytest.raises(VLFusionError, match='at once'):
        fuse_any_size(fuse, pair(200, 200), Locality(3), 'whole')


def test_another_error_is_no_lack_of_memory():
    error = RuntimeError('sizes of tensors must match')

    def fuse(batch):
        raise error

    with pytest.raises(RuntimeError) as raised:
        fuse_any_size(fuse, pair(20, 20), Locality(3))
    assert raised.value is error


def test_an_approximation_is_said():
    notes = []
    fuse_any_size(mean, pair(200, 200), None, pixels=20000, note=notes.append)
    assert len(notes) == 1 and 'approximation' in notes[0]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='an address space is limited on Linux')
def test_a_real_failure_to_allocate_falls_back():
    """In a process of its own, which may take 300 MB more than it has."""
    code = textwrap.dedent('''
        import psutil, resource, torch
        from torch import nn
        from vlfusion.system.footprint import available
        from vlfusion.models import Locality
        from vlfusion.inference.tiling import fuse_any_size
        torch.set_num_threads(1)
        network = nn.Sequential(nn.Conv2d(1, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 1, 3, padding=1))
        fuse = lambda batch: network(batch['source_a'])
        with torch.no_grad():
            fuse(dict(source_a=torch.rand(1, 1, 64, 64)))
            inputs = dict(source_a=torch.rand(1, 1, 1500, 1500), source_b=torch.zeros(1, 1, 1, 1))
            limit = psutil.Process().memory_info().vms + 300 * 2 ** 20
            resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
            assert available(torch.device('cpu')) <= 300 * 2 ** 20
            tiles = fuse_any_size(fuse, inputs, Locality(2))
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
            print((tiles - fuse(inputs)).abs().max().item() < 1e-5)
    ''')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'Memory ran out' in done.stdout and done.stdout.endswith('True\n')


def test_tiles_of_a_local_model_follow_an_instruction():
    local = plan((100, 100), Locality(4, 1), tile=50, instructed=True)
    assert local.mode == 'exact' and plan((100, 100), instructed=True).mode == 'whole'
    with pytest.raises(ConfigError, match='blended windows'):
        plan((100, 100), pixels=9000, instructed=True)
