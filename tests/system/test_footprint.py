"""A footprint is counted without computing, or measured, and turns bytes into pixels."""

import sys
from types import SimpleNamespace

import psutil
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from vlfusion.models.backbones.film import FILM
from vlfusion.models.layers import strips
from vlfusion.system.footprint import SHAPES_IN_STRIPS, Footprint, LiveBytes, available, footprint
from vlfusion.system.memory import PeakOfProcess


@pytest.fixture(scope='module')
def film_elsewhere():
    """FILM on a GPU, whose tensors must be fake, and its footprint."""
    def fuse(batch):
        with torch.device('cuda'):
            return FILM(text_dim=8).eval()(batch['source_a'], batch['source_b'],
                                          torch.rand(len(batch['source_a']), 9, 8))
    return SimpleNamespace(fuse=fuse, footprint=footprint(fuse, torch.device('cuda')))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux reports the peak of a process')
def test_a_footprint_is_counted_without_computing_and_is_about_what_is_taken():
    network = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 1, 3, padding=1))
    counted = footprint(lambda batch: network(batch['source_a']), torch.device('cpu'))
    assert counted.how == 'counted' and counted.square == 0
    image = torch.rand(1, 1, 1200, 1500)
    with torch.no_grad():
        network(image[..., :64, :64])
        watch = PeakOfProcess()
        network(image)
    assert 0.6 < watch.bytes() / counted.bytes(1200 * 1500) < 1.4


def test_attention_among_all_pixels_is_seen_to_grow_with_their_square():
    def fuse(batch):
        tokens = batch['source_a'].flatten(2).mT[:, ::64]
        return (tokens @ tokens.mT).sum() + batch['source_b']

    counted = footprint(fuse, torch.device('cpu'))
    assert counted.bytes(10 ** 7) == pytest.approx(4 * (10 ** 7 / 64) ** 2, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize('size', [(1, 288, 384), (1, 1024, 1280), (1, 3000, 4000), (64, 288, 384)])
def test_off_the_cpu_images_of_one_strip_and_of_several_are_both_estimated(film_elsewhere, size):
    """FILM on fake tensors of a GPU, against a count of the batch itself."""
    counted, (batch, height, width) = film_elsewhere.footprint, size
    with torch.no_grad(), FakeTensorMode(), LiveBytes() as live:
        film_elsewhere.fuse({name: torch.rand(batch, 1, height, width, device='cuda')
                             for name in ('source_a', 'source_b')})
    assert counted.how == 'counted' and counted.square == 0
    assert 0.98 < counted.bytes(batch * height * width) / live.most < 1.6


def test_the_larger_sizes_fill_whole_strips():
    shares = [height * width / strips.PIXELS_ELSEWHERE for height, width in SHAPES_IN_STRIPS]
    assert shares == pytest.approx([2, 4, 6], rel=1e-3) and max(shares) <= 6


def test_a_network_that_leaves_torch_is_measured():
    def fuse(batch):
        return torch.from_numpy(batch['source_a'].numpy().repeat(128, 1).mean(1, keepdims=True))
    measured = footprint(fuse, torch.device('cpu'))
    assert measured.how == ('measured' if sys.platform == 'linux' else 'assumed')
    assert 4 * 64 < measured.linear <= 16 * 1024, 'of 128 values a pixel'


def test_pixels_and_bytes_of_a_footprint_are_inverse():
    known = Footprint(1e6, 300, 1e-3, 'counted')
    for count in (2 * 10 ** 6, 10 ** 9, 10 ** 10):
        pixels = known.pixels(count)
        assert known.bytes(pixels) <= count < known.bytes(pixels + 1)
    assert known.pixels(1000) == 0


@pytest.mark.skipif(sys.platform != 'linux', reason='other systems do not report it')
def test_what_is_available_is_a_part_of_the_memory_there_is():
    assert 0 < available(torch.device('cpu')) <= psutil.virtual_memory().total
