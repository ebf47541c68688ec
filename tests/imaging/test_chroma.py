"""Colour comes back by the rule of the task."""

import cv2
import numpy as np
import pytest

from vlfusion.errors import ConfigError, DataError, UnknownNameError, VLFusionError
from vlfusion.imaging.chroma import add_chroma, add_stack_chroma, chroma_name, mean_chroma, over_stack
from vlfusion.imaging.images import luminance
from vlfusion.registry import CHROMA_RULES

RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (12, 16, 3), np.uint8)
GREY = RANDOM.integers(0, 256, (12, 16), np.uint8)


@pytest.fixture
def register(monkeypatch):
    """Registers rules for the time of a test."""
    def as_rule(function):
        monkeypatch.setitem(CHROMA_RULES.module_dict, function.__name__, function)
    return as_rule


def test_visible_chroma_gives_its_own_image_back():
    """Half saturated, so that no colour leaves the gamut: the luminance of B with the chroma of B is B."""
    image = (COLOUR // 2 + 64).astype(np.uint8)
    fused = np.round(luminance(image) * 255).astype(np.uint8)
    back = add_chroma(fused, GREY, image, 'visible')
    assert np.abs(back.astype(int) - image).max() <= 2


def test_visible_chroma_does_not_read_source_a():
    fused = np.full_like(GREY, 128)
    expected = add_chroma(fused, GREY, COLOUR, 'visible')
    assert np.array_equal(add_chroma(fused, COLOUR[::-1], COLOUR, 'visible'), expected)
    assert add_chroma(fused, COLOUR, GREY, 'visible') is fused


def test_weighted_chroma_follows_the_more_colourful_source():
    neutral = np.repeat(GREY[..., None], 3, axis=2)
    fused = np.full_like(GREY, 128)
    visible = add_chroma(fused, GREY, COLOUR, 'visible')
    assert np.array_equal(add_chroma(fused, neutral, COLOUR, 'weighted'), visible)
    assert np.array_equal(add_chroma(fused, COLOUR, GREY, 'weighted'), visible)
    assert np.array_equal(add_chroma(fused, COLOUR, COLOUR, 'weighted'), visible)
    other = COLOUR[::-1].copy()
    assert np.array_equal(add_chroma(fused, COLOUR, other, 'weighted'), add_chroma(fused, other, COLOUR, 'weighted'))


def test_weighted_chroma_against_its_formula():
    """One pixel: Cr about neutral 0.2 and -0.1 weighs to (0.2 * 0.2 - 0.1 * 0.1) / 0.3 = 0.1."""
    def pixel(cr):
        ycrcb = np.array([[[0.5, 0.5 + cr, 0.5]]], np.float32)
        return np.round(cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2BGR) * 65535).astype(np.uint16)
    fused = add_chroma(np.full((1, 1), 128, np.uint8), pixel(0.2), pixel(-0.1), 'weighted')
    expected = cv2.cvtColor(np.array([[[128 / 255, 0.6, 0.5]]], np.float32), cv2.COLOR_YCrCb2BGR)
    assert np.abs(fused - expected * 255).max() <= 1


@pytest.mark.parametrize('rule', ['visible', 'weighted'])
def test_grey_sources_leave_the_grey_image(rule):
    assert add_chroma(GREY, GREY, np.repeat(GREY[..., None], 3, axis=2), rule) is GREY


def test_former_names_are_the_same_rules():
    assert chroma_name('b') == chroma_name('visible') == 'visible'
    assert np.array_equal(add_chroma(GREY, GREY, COLOUR, 'b'), add_chroma(GREY, GREY, COLOUR, 'visible'))
    from vlfusion.imaging import images  # where the function lay before
    assert images.add_chroma is add_chroma


def test_unknown_rules_are_refused():
    with pytest.raises(UnknownNameError, match="'wieghted' is not a known colour rule.*\n.*weighted"):
        chroma_name('wieghted')


def test_a_rule_of_a_plugin_colours(register):
    def first(chroma_a, chroma_b):
        return chroma_a
    register(first)
    fused = np.full_like(GREY, 128)
    assert np.array_equal(add_chroma(fused, COLOUR, GREY, 'first'), add_chroma(fused, GREY, COLOUR, 'visible'))


def test_a_rule_that_fails_is_named(register):
    def broken(chroma_a, chroma_b):
        raise ZeroDivisionError('by zero')

    def flat(chroma_a, chroma_b):
        return chroma_b[..., 0]
    register(broken)
    register(flat)
    with pytest.raises(VLFusionError, match='The colour rule broken fails: ZeroDivisionError: by zero'):
        add_chroma(GREY, GREY, COLOUR, 'broken')
    with pytest.raises(VLFusionError, match=r'The colour rule flat returned \(12, 16\); expected .* \(12, 16, 2\)'):
        add_chroma(GREY, GREY, COLOUR, 'flat')


@pytest.mark.parametrize('rule', ['visible', 'weighted'])
def test_strength_scales_the_distance_from_grey(rule):
    """Weak colours about middle grey, so that twice the colour stays in the gamut."""
    fused, soft = np.full_like(GREY, 128), (COLOUR // 6 + 106).astype(np.uint8)
    own = add_chroma(fused, GREY, soft, rule)
    assert np.array_equal(add_chroma(fused, GREY, soft, rule, 1.), own)
    for strength in (0.5, 2):
        changed = add_chroma(fused, GREY, soft, rule, strength)
        assert np.abs((changed - 128.) - strength * (own - 128.)).max() <= 0.5 + 0.5 * strength, 'each is rounded'
        assert mean_chroma(changed) == pytest.approx(strength * mean_chroma(own), rel=0.03)
    grey = add_chroma(fused, GREY, soft, rule, 0)
    assert (grey == 128).all() and mean_chroma(grey) == 0


def test_strong_colours_stop_at_the_gamut():
    fused = np.full_like(GREY, 128)
    strong = add_chroma(fused, GREY, COLOUR, 'visible', 50)
    assert strong.dtype == np.uint8 and set(np.unique(strong[COLOUR.std(-1) > 20])) > {0, 255}


def test_strength_gives_no_colour_to_grey_sources():
    assert add_chroma(GREY, GREY, GREY, 'visible', 3) is GREY


@pytest.mark.parametrize('strength', [-1, float('nan'), float('inf')])
def test_a_strength_that_is_no_factor_is_refused(strength):
    with pytest.raises(DataError, match='colour strength is .*factor of 0 or more'):
        add_chroma(GREY, GREY, COLOUR, 'visible', strength)


def test_mean_chroma_by_hand():
    """Pure blue has Cb 0.5 and Cr -0.0813 (ITU-R BT.601); half of the pixels are blue, half black."""
    image = np.zeros((4, 6, 3), np.uint8)
    image[:2, :, 0] = 255
    assert mean_chroma(image) == pytest.approx(np.hypot(0.5, 0.0813) / 2, abs=1e-3)
    assert mean_chroma(GREY) == 0 == mean_chroma(np.repeat(GREY[..., None], 3, axis=2))


def test_sixteen_bits_of_luminance_keep_their_steps_in_colour():
    grey = np.arange(30000, 30000 + 64 * 4, 4, dtype=np.uint16).reshape(8, 8)
    red = np.full((8, 8, 3), (60, 60, 120), np.uint8)
    coloured = add_chroma(grey, grey, red, 'visible')
    assert coloured.dtype == np.uint16 and len(np.unique(coloured[..., 0])) == 64
    assert np.abs(luminance(coloured, 'bt601') * 65535 - grey).max() < 4  # a step of the rounded chroma


def test_a_rule_for_two_sources_refuses_stacks(register):
    def first(chroma_a, chroma_b):
        return chroma_a

    register(first)
    images = list(RANDOM.integers(0, 256, (3, 12, 16, 3), np.uint8))
    with pytest.raises(ConfigError, match='The colour rule first is for two sources'):
        add_stack_chroma(GREY, images, 'first')
    over_stack(first)(lambda chromas: chromas[0])
    np.testing.assert_array_equal(add_stack_chroma(GREY, images, 'first'), add_chroma(GREY, *images[:2], 'first'))


@pytest.mark.parametrize('rule', ['visible', 'weighted'])
def test_a_stack_of_two_is_coloured_like_a_pair(rule):
    images = list(RANDOM.integers(0, 256, (2, 12, 16, 3), np.uint8))
    np.testing.assert_array_equal(add_stack_chroma(GREY, images, rule, 1.2), add_chroma(GREY, *images, rule, 1.2))
    assert add_stack_chroma(GREY, [GREY, GREY], rule) is GREY
