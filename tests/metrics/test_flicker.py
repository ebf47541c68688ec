"""Flicker is what the sources do not explain."""

import pytest
import torch

from vlfusion.metrics import Flicker, metric
from vlfusion.testing import check_metric


@pytest.fixture
def sources():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 2, 1, 20, 30), generator=generator).double()  # source, time


def flicker(fused, a, b):
    return Flicker(*(sequence[1:] for sequence in (fused, a, b)), *(sequence[:-1] for sequence in (fused, a, b))).item()


def test_what_every_metric_must_do():
    check_metric(metric('Flicker'), symmetric=False)  # the kit does not exchange the frames before


@pytest.mark.parametrize('fuse', [lambda a, b: a, lambda a, b: b, lambda a, b: (a + b) / 2,
                                  lambda a, b: 0.8 * a + 0.2 * b, torch.maximum, torch.minimum])
def test_fixed_weights_and_the_maximum_do_not_flicker(sources, fuse):
    assert flicker(fuse(*sources), *sources) == pytest.approx(0, abs=1e-12)


def test_sources_may_be_exchanged(sources):
    generator = torch.Generator().manual_seed(2)
    fused = torch.randint(0, 256, (2, 1, 20, 30), generator=generator).double()
    assert flicker(fused, *sources) == flicker(fused, *sources.flip(0)) > 1


def test_still_sources_must_give_a_still_picture(sources):
    still = sources[:, :1].expand(-1, 2, -1, -1, -1)
    assert flicker(torch.stack([still[0, 0], still[0, 0] * 0.9]), *still) == pytest.approx(
        (still[0, 0] * 0.1).mean().item())


def test_the_best_weight_of_each_pixel(sources):
    generator = torch.Generator().manual_seed(1)
    fused = torch.randint(0, 256, (2, 1, 20, 30), generator=generator).double()
    weights = torch.linspace(0, 1, 20001)[:, None]
    change, change_a, change_b = (sequence[1] - sequence[0] for sequence in (fused, *sources))
    distances = (change.flatten() - (weights * change_a.flatten() + (1 - weights) * change_b.flatten())).abs()
    assert flicker(fused, *sources) == pytest.approx(distances.amin(0).mean().item(), abs=0.01)
