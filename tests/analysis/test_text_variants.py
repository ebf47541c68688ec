"""Policies that an ablation compares; whole runs are in tests/analysis/test_ablation.py."""

import pytest

from vlfusion.analysis.text_variants import POLICIES, choose
from vlfusion.cli.ablate_text import CHOICES
from vlfusion.errors import ConfigError


def test_the_command_line_offers_every_policy_in_order():
    assert tuple(POLICIES) == CHOICES


@pytest.mark.parametrize(('options', 'chosen', 'notes'), [
    (dict(), ['empty', 'fixed', 'swapped', 'shuffled', 'noise'], 1),
    (dict(other=True), ['empty', 'fixed', 'swapped', 'other', 'shuffled', 'noise'], 0),
    (dict(encoder=False), ['zero', 'swapped', 'shuffled', 'noise'], 2),
    (dict(policies=['noise', 'zero']), ['zero', 'swapped', 'noise'], 0),
    (dict(policies=['noise'], other=True), ['swapped', 'other', 'noise'], 0)])
def test_policies_follow_from_what_there_is(options, chosen, notes):
    policies, left_out = choose(**options)
    assert policies == chosen and len(left_out) == notes


@pytest.mark.parametrize(('options', 'message'), [
    (dict(policies=['other']), '--other-task CONFIG'), (dict(sentence=' '), 'empty')])
def test_policies_that_cannot_be(options, message):
    with pytest.raises(ConfigError, match=message):
        choose(**options)
