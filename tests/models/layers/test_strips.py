"""Strips give the whole map and its gradients."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from models.layers import sharding
from torch import nn

from vlfusion.errors import NetworkError
from vlfusion.models.backbones import FILM
from vlfusion.models.layers import strips
from vlfusion.models.layers.strips import (
    Strip,
    at_once,
    by_strips,
    conv_rows,
    count_maps,
    cut,
    nearest,
    nearest_rows,
    sum_by_strips,
    watched,
    without_halo,
)
from vlfusion.system.footprint import LiveBytes


@pytest.fixture
def few(monkeypatch):
    """So few pixels that every map is cut."""
    monkeypatch.setitem(strips.PIXELS, 'cpu', 30)


@pytest.mark.parametrize('height', [1, 2, 3, 4, 5, 7, 40])
@pytest.mark.parametrize('halo', [0, 1, 2])
def test_strips_cover_a_map_and_are_no_lower_than_a_halo(few, height, halo):
    found = cut(torch.empty(1, 3, height, 9), halo)
    assert [row for strip in found for row in range(strip.top, strip.bottom)] == list(range(height))
    assert len(found) == 1 or min(strip.bottom - strip.top for strip in found) >= max(halo, 1)
    assert (found[0].above, found[-1].below) == (0, 0)
    assert len(found) > 3 or height < 8


def test_results_and_gradients_are_those_of_one_thread_bit_for_bit(few):
    torch.manual_seed(0)
    x, weight = torch.randn(2, 4, 30, 7), torch.randn(4, 4, 3, 3, requires_grad=True)

    def blur(x, strip):
        return F.relu(conv_rows(x, weight, strip))

    def run():
        source = x.clone().requires_grad_()
        result = by_strips(blur, source, halo=1, learned=[weight])
        total = sum_by_strips(lambda x, strip: x.flatten(2).sum(2), result)
        with torch.no_grad():
            place = x.contiguous(memory_format=torch.channels_last)
            by_strips(blur, place, halo=1, out=place)
        return result, total, place, *torch.autograd.grad(total.square().sum(), (source, weight))

    before, results = torch.get_num_threads(), []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        results.append(run())
    torch.set_num_threads(before)
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=0, atol=0)


@pytest.mark.parametrize('batch', [1, 2, 5])
@pytest.mark.parametrize('height', [1, 3, 4, 11, 30])
def test_strips_give_the_whole_map_also_in_place(few, height, batch):
    torch.manual_seed(0)
    x, first, second = (torch.randn(*shape).double() for shape in ((batch, 4, height, 7), (4, 4, 3, 3), (4, 4, 3, 3)))
    expected = x + F.conv2d(F.relu(F.conv2d(x, first, padding=1)), second, padding=1)

    def twice(x, strip):
        """Two 3x3 convolutions in a row, and what stood there before."""
        return without_halo(x, strip, 2) + conv_rows(F.relu(conv_rows(x, first, strip)), second, strip)
    with torch.no_grad():
        torch.testing.assert_close(by_strips(twice, x, halo=2), expected)
        wide = torch.cat((x, x), 1).contiguous(memory_format=torch.channels_last)
        place = wide[:, :4]
        assert by_strips(twice, place, halo=2, out=place) is place
    torch.testing.assert_close(place, expected)
    torch.testing.assert_close(wide[:, 4:], x, rtol=0, atol=0)


@pytest.mark.parametrize('height', [1, 3, 4, 13, 41])
def test_a_wide_window_in_strips_is_that_of_the_whole_map(few, height):
    """Also beside rows that have no halo, as after an operation on each pixel."""
    torch.manual_seed(0)
    x, weight = torch.randn(2, 4, height, 7).double(), torch.randn(4, 1, 7, 7).double()

    def around(x, strip):
        return without_halo(x.sin(), strip, 3) + conv_rows(x.sin(), weight, strip, groups=4)

    expected = x.sin() + F.conv2d(x.sin(), weight, padding=3, groups=4)
    torch.testing.assert_close(by_strips(around, x, halo=3), expected)
    assert len(cut(x, 3)) > 2 or height < 9


def test_gradients_are_those_of_the_whole_map(few):
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 4, 3, padding=1, bias=False).double()
    x, scale = torch.randn(3, 4, 9, 7).double().requires_grad_(), torch.randn(3, 4, 1, 1).double().requires_grad_()
    shift = torch.randn(4, 1, 1).double().requires_grad_()

    def function(x, strip, factor):
        return conv_rows(x, conv.weight, strip) * factor + shift
    factor = scale.exp() * conv.weight.mean()  # it has a history of its own, which leads to a parameter too
    parts = by_strips(function, x, factor, halo=1, learned=[*conv.parameters(), shift])
    whole = conv(x) * factor + shift
    torch.testing.assert_close(parts, whole)
    wanted = [x, scale, conv.weight, shift]
    torch.testing.assert_close(torch.autograd.grad(parts.sin().sum(), wanted, retain_graph=True),
                               torch.autograd.grad(whole.sin().sum(), wanted))


@pytest.mark.parametrize('listed', [True, False])
@pytest.mark.parametrize('leaf', [True, False])
def test_a_parameter_that_is_not_listed_is_an_error_not_a_wrong_gradient(few, listed, leaf):
    parameter = torch.ones(2, requires_grad=True)
    scale = parameter[:1] if leaf is False else parameter
    x = torch.randn(1, 2, 9, 7).requires_grad_()
    result = by_strips(lambda x, _: x * scale[:1], x, learned=[scale] if listed else [])
    if listed:
        result.sum().backward()
        torch.testing.assert_close(parameter.grad[0], x.sum())
    else:
        with pytest.raises(NetworkError, match=r'shape \(2,\).*neither in `given` nor in `learned`'):
            result.sum().backward()


def test_sums_and_what_needs_no_gradient(few):
    x, weight, bias = torch.randn(3, 2, 20, 5), torch.randn(2, requires_grad=True), torch.randn(2, requires_grad=True)
    frozen = torch.randn(2)

    def function(x, strip):
        return x.sum((2, 3)) * weight + frozen + bias  # of the bias the gradient is the one that comes in
    total = sum_by_strips(function, x, learned=[weight, frozen, bias])
    count = len(cut(x)) // 3
    expected = x.sum((2, 3)) * weight + count * (frozen + bias)
    assert total.shape == (3, 2) and count > 1
    torch.testing.assert_close(total, expected)
    for wanted in (weight, bias):
        torch.testing.assert_close(torch.autograd.grad(total.sin().sum(), wanted, retain_graph=True),
                                   torch.autograd.grad(expected.sin().sum(), wanted, retain_graph=True))
    assert x.grad is None and frozen.grad is None


def test_small_images_share_a_strip_and_large_ones_have_their_own(monkeypatch):
    monkeypatch.setitem(strips.PIXELS, 'cpu', 100)
    assert [strip.images for strip in cut(torch.empty(5, 32, 7, 7))] == [slice(0, 2), slice(2, 4), slice(4, 5)]
    images = [strip.images for strip in cut(torch.empty(2, 32, 20, 10))]
    assert images == [slice(0, 1)] * 2 + [slice(1, 2)] * 2
    strips_by_channels = [len(cut(torch.empty(1, channels, 80, 10))) for channels in (1, 16, 32, 64)]
    assert strips_by_channels == [4, 4, 8, 16]
    with at_once():
        assert len(cut(torch.empty(2, 3, 200, 10))) == 1


def test_a_large_batch_is_cut_into_images():
    """Low strips across all images would consist of halo."""
    with torch.device('meta'):
        batches = [[strip.images for strip in cut(torch.empty(batch, 3, 288, 384))] for batch in (9, 10, 64)]
        large = [strip.images for strip in cut(torch.empty(2, 3, 3000, 4000), halo=2)]
    eights = [slice(start, start + 8) for start in range(0, 64, 8)]
    assert batches == [[slice(0, 9)], [slice(0, 5), slice(5, 10)], eights]
    assert large == 12 * [slice(0, 1)] + 12 * [slice(1, 2)]


@pytest.mark.parametrize('compute', [by_strips, sum_by_strips])
def test_off_the_cpu_even_a_single_strip_keeps_only_its_input(compute):
    conv, x = nn.Conv2d(4, 64, 1, device='meta'), torch.empty(2, 4, 9, 7, device='meta', requires_grad=True)

    def function(x, strip):
        result = conv(x).sin()
        return result if compute is by_strips else result.sum((2, 3))
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor.shape) or tensor, lambda x: x):
        result = compute(function, x, learned=conv.parameters())
    assert sorted(saved) == sorted([x.shape, conv.weight.shape, conv.bias.shape]), 'and not the 64 channels'
    result.sum().backward()
    assert all(tensor.grad.shape == tensor.shape for tensor in (x, conv.weight, conv.bias))


@pytest.mark.parametrize('needs', [(True, True, True), (False, True, True), (True, False, False), (False, False, True)])
def test_gradients_of_a_single_strip_that_is_computed_again(monkeypatch, needs):
    monkeypatch.setattr(strips, 'KEPT', set())
    torch.manual_seed(0)
    conv, idle = nn.Conv2d(4, 4, 3, padding=1, bias=False).double(), nn.Parameter(torch.ones(3))
    x, factor = torch.randn(2, 4, 5, 7).double(), torch.randn(2, 4, 1, 1).double()
    wanted = [tensor.requires_grad_() for tensor, need in zip((x, factor, conv.weight), needs, strict=True) if need]
    conv.weight.requires_grad_(needs[2])

    def function(x, strip, factor):
        return conv_rows(x, conv.weight, strip) * factor
    parts = by_strips(function, x, factor, halo=1, learned=[conv.weight, idle])
    whole = conv(x) * factor
    assert torch.equal(parts, whole)
    ours, theirs = (torch.autograd.grad(result.sin().sum(), wanted) for result in (parts, whole))
    torch.testing.assert_close(ours, theirs)


def test_autocast_holds_in_the_backward_pass(few):
    conv = nn.Conv2d(3, 3, 3, padding=1, bias=False)
    seen = []

    def function(x, strip):
        seen.append(torch.is_autocast_enabled('cpu'))
        return conv_rows(x, conv.weight, strip)
    with torch.autocast('cpu', torch.bfloat16):
        result = by_strips(function, torch.randn(1, 3, 20, 5), halo=1, learned=conv.parameters())
    assert result.dtype == torch.bfloat16
    result.float().sum().backward()
    assert seen == [True] * 4 and conv.weight.grad.dtype == torch.float32


def test_nearest_pixels_are_torchs():
    x = torch.rand(1, 2, 90, 90)
    for h, w, height, width in torch.randint(1, 91, (200, 4), generator=torch.Generator().manual_seed(0)).tolist():
        part, size = x[..., :h, :w], (3 * height, 2 * width)
        expected = F.interpolate(part, size, mode='nearest')
        assert torch.equal(nearest(part, size), expected)
        strip = Strip(height, 2 * height, size[0])
        rows = expected[:, :, height:2 * height]
        assert torch.equal(nearest_rows(part, rows, strip), rows)


@pytest.fixture
def film():
    torch.manual_seed(0)
    return FILM(text_dim=12, guidance_grid=(16, 32)).eval()


def inputs(height=40, width=24):
    generator = torch.Generator().manual_seed(0)
    return (*torch.rand(2, 1, 1, height, width, generator=generator), torch.randn(1, 5, 12, generator=generator))


def test_film_is_the_same_in_strips_and_whole(film, monkeypatch):
    with torch.no_grad():
        whole = film(*inputs())
        monkeypatch.setitem(strips.PIXELS, 'cpu', 100)
        cut_up = film(*inputs())
    assert whole.std() > 1e-3
    torch.testing.assert_close(cut_up, whole, rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize('height', [2, 40])
def test_a_watcher_hears_of_every_strip(film, few, height):
    parts = []
    with torch.no_grad(), watched(parts.append):
        film(*inputs(height))
    assert sum(parts) == pytest.approx(38), 'five maps of each of six branches, eight of the decoder'
    assert len(parts) > count_maps(film) == 38


@pytest.mark.slow
def test_fusing_takes_one_map_of_both_branches(film, monkeypatch):
    monkeypatch.setitem(strips.PIXELS, 'cpu', 960)

    def most(height):
        images = inputs(height, 96)
        with torch.no_grad(), LiveBytes() as live:
            film(*images)
        return live.most
    bytes_a_pixel = (most(200) - most(100)) / (100 * 96)
    assert 4 * 64 <= bytes_a_pixel < 4 * 64 + 32, 'features of both branches, and little beside'


@pytest.mark.slow
def test_film_has_the_same_gradients_where_single_strips_are_computed_again(film, monkeypatch):
    def gradients():
        return torch.autograd.grad(film(*inputs(12, 16)).sin().sum(), list(film.parameters()))
    expected = gradients()
    monkeypatch.setattr(strips, 'KEPT', set())
    torch.testing.assert_close(gradients(), expected)


@pytest.mark.slow
def test_training_keeps_the_inputs_of_strips_only(film, monkeypatch):
    def kept(pixels):
        monkeypatch.setitem(strips.PIXELS, 'cpu', pixels)
        storages = {}

        def note(tensor):
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            fused = film(*inputs(64, 96))
        assert fused.requires_grad
        return sum(storages.values())
    assert kept(500) < kept(10 ** 6) / 5


@pytest.mark.slow
def test_the_compiled_network_gives_the_same(film, few):
    with torch.no_grad():
        expected = film(*inputs(12, 10))
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward
    torch._dynamo.reset()
    film.compile(backend=backend)
    with torch.no_grad():
        torch.testing.assert_close(film(*inputs(12, 10)), expected, rtol=0, atol=0)
    assert 1 <= len(graphs) < 20, 'blocks and strips share what is compiled'
    film(*inputs(12, 10)).sum().backward()
    assert film.text_projection.weight.grad.isfinite().all()
    assert film.state_dict().keys() == FILM(text_dim=12).state_dict().keys()


@pytest.fixture(scope='module')
def sharded(tmp_path_factory):
    """Weights after a step of two processes, by the way in which the network was distributed."""
    out = tmp_path_factory.mktemp('sharded') / 'weights.pth'
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    processes = [subprocess.Popen([sys.executable, str(Path(__file__).with_name('sharding.py')), str(rank), '2',
                                   str(port), str(out)]) for rank in range(2)]
    for process in processes:
        process.wait(timeout=300)  # its exit code says nothing: gloo may abort when a process ends
    return torch.load(out, weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize('way', sharding.WAYS)
def test_two_processes_learn_what_one_learns(sharded, few, way):
    network = sharding.film()
    before = sharding.weights(network)
    sharding.step(network, *sharding.two_pairs())
    expected = sharding.weights(network)
    assert max((expected[name] - before[name]).abs().max() for name in before) > 0.1
    torch.testing.assert_close(sharded[way], expected, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_parameters_that_are_hidden_are_refused(sharded):
    assert [error.count('use_orig_params=True') for error in sharded['refused']] == [1, 1]
