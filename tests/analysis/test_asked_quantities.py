"""Judging one picture: what is asked, what changed, and what cannot be judged."""

import pytest
import torch

from vlfusion.analysis.asked_quantities import QUANTITIES, changes, judge, kind_of, measure, wanted
from vlfusion.language.instructions import Ask, Vocabulary
from vlfusion.metrics import metric

NOTHING = dict.fromkeys(QUANTITIES, 0.)


@pytest.fixture(scope='module')
def images():
    return 255 * torch.rand(3, 2, 1, 30, 36, generator=torch.Generator().manual_seed(0)).double()


def test_quantities_of_the_whole_picture_are_the_metrics(images):
    measured = measure(*images, torch.ones_like(images[0]), torch.ones(2).double())
    for name, values in measured.items():
        expected = [1, 1] if name == 'Colour' else metric(name)(*images).tolist()
        assert values.tolist() == pytest.approx(expected), name


def test_quantities_of_a_region_ignore_the_rest(images):
    region = torch.zeros_like(images[0])
    region[..., :15] = 1
    other = images[0].clone()
    other[..., 22:] = 0  # further than the blur reaches
    one, ones = torch.ones(2).double(), dict(rtol=1e-12, atol=0)
    for name, values in measure(images[0], *images[1:], region, one).items():
        torch.testing.assert_close(measure(other, *images[1:], region, one)[name], values, **ones)
    inside = [image[..., :15] for image in images]
    assert measure(*images, region, one)['SD'].tolist() == pytest.approx(metric('SD')(*inside).tolist())


def test_changes_are_differences_or_shares():
    before = dict(LeadA=torch.tensor([0.4, -0.4]), TextureLeadA=torch.zeros(2), Level=torch.tensor([50., 50.]),
                  SD=torch.tensor([20., 20.]), Detail=torch.ones(2), Colour=torch.ones(2))
    after = before | dict(LeadA=torch.tensor([-0.1, -0.1]), Level=torch.tensor([53., 40.]), SD=torch.tensor([25., 10.]))
    moved = changes(before, after, torch.tensor([False, True]))
    assert moved['LeadA'].tolist() == pytest.approx([-0.5, -0.3]), 'of the balanced one the absolute value'
    assert moved['Level'].tolist() == [3, -10] and moved['SD'].tolist() == [0.25, -0.5]


def test_every_intent_of_the_vocabulary_has_a_kind_and_a_direction():
    kinds = {}
    vocabulary = Vocabulary.read()
    for case in vocabulary.cases('MRI', 'PET', per_case=1):
        kinds.setdefault(kind_of(case.ask), set()).add(case.intent)
        assert bool(wanted(case.ask)) == (case.intent != 'neutral')
    assert kinds == {'leading source': {'lead_a', 'lead_b'}, 'texture': {'texture_a', 'texture_b'},
                     'balance': {'balance'}, 'brightness': {'brighter', 'darker'},
                     'contrast': {'more_contrast', 'less_contrast'}, 'detail': {'more_detail', 'less_detail'},
                     'colour': {'more_colour', 'less_colour'}, 'neutral': {'neutral'}}


@pytest.mark.parametrize(('ask', 'change', 'target', 'expected'), [
    (Ask(gain=1.3), dict(Level=2.1), dict(Level=9.), True),
    (Ask(gain=1.3), dict(Level=1.9), dict(Level=9.), False),
    (Ask(gain=0.7), dict(Level=5.), dict(Level=-9.), False),
    (Ask(gain=1.3), dict(Level=5.), dict(Level=1.), None),
    (Ask(contrast=0.5), dict(SD=-0.2), dict(SD=-0.5), True),
    (Ask(intensity_b=1, gradient_b=1), dict(LeadA=-0.4, TextureLeadA=0.), dict(LeadA=-1., TextureLeadA=-1.), False),
    (Ask(intensity_b=1, gradient_b=1), dict(LeadA=-0.4, TextureLeadA=0.), dict(LeadA=-1., TextureLeadA=0.), True),
    (Ask(intensity_a=0.5, intensity_b=0.5), dict(LeadA=-0.1), dict(LeadA=-0.3), True),
    (Ask(intensity_a=0.5, intensity_b=0.5), dict(LeadA=0.1), dict(LeadA=-0.3), False),
    (Ask(intensity_a=0.5, intensity_b=0.5), dict(LeadA=-0.1), dict(LeadA=-0.01), None),
])
def test_a_verdict(ask, change, target, expected):
    assert judge(ask, NOTHING | change, NOTHING | target, pixels=9.) is expected


def test_nothing_was_asked_for():
    assert judge(Ask(), NOTHING, NOTHING, pixels=0.5) and not judge(Ask(), NOTHING, NOTHING, pixels=1.5)
    assert judge(Ask(), NOTHING | dict(Colour=float('nan')), NOTHING, pixels=0.5)
    assert not judge(Ask(), NOTHING | dict(Colour=-0.2), NOTHING, pixels=0.5)


def test_an_undefined_change_is_no_obedience():
    assert judge(Ask(gain=1.3), NOTHING | dict(Level=float('nan')), NOTHING | dict(Level=9.), 9.) is False
