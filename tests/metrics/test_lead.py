"""The lead of a source follows its share, in intensity and in texture apart."""

import pytest
import torch

from vlfusion.metrics import LeadA, TextureLeadA


@pytest.fixture(scope='module')
def pair():
    return 255 * torch.rand(2, 1, 1, 40, 44, generator=torch.Generator().manual_seed(0)).double()


@pytest.mark.parametrize('share', [0., 0.25, 0.5, 1.])
def test_a_mixture_has_the_lead_of_its_shares(pair, share):
    a, b = pair
    for metric in (LeadA, TextureLeadA):
        assert metric(share * a + (1 - share) * b, a, b).item() == pytest.approx(2 * share - 1)


def test_intensity_and_texture_are_apart():
    ramp = torch.arange(44.).double().mul(2).expand(1, 1, 40, 44)
    checks = torch.arange(40)[:, None].add(torch.arange(44)).remainder(2).mul(20.).double()
    textured, flat = 40 + ramp + checks, 200 - ramp
    assert LeadA(flat + checks, textured, flat).item() < -0.7 < 0.9 < TextureLeadA(flat + checks, textured, flat).item()


def test_exchanged_sources_change_the_sign(pair):
    a, b = pair
    fused = torch.maximum(a, b)
    for metric in (LeadA, TextureLeadA):
        assert metric(fused, a, b).item() == pytest.approx(-metric(fused, b, a).item())
    assert LeadA(a, a, a).isnan()
