"""Conclusions name winners, ties and what remains in doubt."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('scipy', reason="pip install 'vlfusion[benchmark]'")

from vlfusion.analysis.conclusion import conclude as conclusion  # noqa: E402
from vlfusion.analysis.leaderboard import board_of  # noqa: E402


def conclude(board):
    return conclusion(board).sentences


NOISE = np.random.default_rng(0).normal(0, 1, 15)
WOBBLE = 0.01 * (-1.) ** np.arange(15) * (1 + np.arange(15) % 4)


def board(images=15, **scores):
    """A board of metrics by name, each with what every method has above the images' own difficulty."""
    methods = list(next(iter(scores.values())))
    return board_of({method: [{'name': f'{index:02}', 'protocol': 'plain.1',
                               **{metric: NOISE[index] + values[method] + WOBBLE[index] * (1 + methods.index(method))
                                  for metric, values in scores.items()}} for index in range(images)]
                     for method in methods})


def test_who_is_significantly_best_and_where():
    found = conclude(board(EN=dict(A=3, B=2, C=1), SD=dict(A=3, B=2, C=1), SF=dict(A=1, B=3, C=2)))
    assert found == [
        'On 15 pairs A is significantly better than every other method in 2 of 3 metrics (EN and SD) and B in 1 (SF).',
        'By the mean rank over the metrics, A and B share the first place (1.67).']
    found = conclude(board(EN=dict(A=3, B=2), SD=dict(A=3, B=2)))
    assert found == [
        'On 15 pairs A is significantly better than every other method in both metrics (EN and SD).',
        'By the mean rank over the metrics, A stands first (1.00), whichever way differences that are not significant '
        'fall.']


def test_a_tie_is_said_to_be_one():
    tied = board(EN=dict(A=2, B=2, C=1), SD=dict(A=1, B=1, C=1))
    assert conclude(tied) == [
        'On 15 pairs no method is significantly better than every other in any of the 2 metrics.',
        'In EN, A and B tie: nothing is significantly better than they are.',
        'In SD, no two methods differ significantly.',
        'By the mean rank over the metrics, A and B share the first place (1.00).']
    assert tied.comparisons['EN'].best == ['A', 'B'] and tied.comparisons['SD'].best == ['A', 'B', 'C']


def test_what_remains_in_doubt():
    doubtful = board(EN=dict(A=3, B=2, C=1), SD=dict(A=1, B=1, C=1))
    assert conclude(doubtful)[-1] == (
        'By the mean rank over the metrics, A stands first (1.00), but may take places 1–3: differences that are not '
        'significant may fall either way.')
    noted = replace(doubtful, elsewhere={'A': [1, 3]}, note='Mind the policy.', failures={'D': 'no file', 'E': 'no'})
    assert conclude(noted)[-3:] == [
        'By the mean rank over the metrics, A stands first (1.00), but may take places 1–3: differences that are not '
        'significant may fall either way, and other ways of scoring give another order.',
        'Mind the policy.', 'D and E failed.']


def test_metrics_that_reward_control_images_are_doubted():
    rewarding = replace(board(EN=dict(A=3, B=2), CE=dict(A=3, B=2), VIF=dict(A=3, B=2)), references={
        'control: noisy mean': dict(EN=9., CE=-9., VIF=-9.), 'control: copy of A': dict(EN=0., CE=-5., VIF=9.),
        'printed': dict(EN=99.)})
    found = conclusion(rewarding)
    assert found.doubts[-1] == (
        'Control images, which no method made, score better than every method in EN (noisy mean), CE (noisy mean and '
        'copy of A) and VIF (copy of A): there a better score is no proof of a better picture.'), 'lower CE is better'
    assert not found.ties and 'Control' not in ' '.join(found.differs)


def test_no_conclusion_where_there_is_none():
    assert conclude(board(images=4, EN=dict(A=3, B=2, C=1))) == [
        'On 4 pairs no method is shown to be better than another: with so few pairs no difference can be '
        'significant.']
    assert conclude(board(images=1, EN=dict(A=3))) == ['On 1 pair there is nothing to compare: 1 method has results.']
    partial = board(EN=dict(A=3, B=2, C=np.nan))
    assert conclude(partial)[0] == 'On 15 pairs A is significantly better than every other method by EN.'
    assert conclude(partial)[-1] == 'C has no mean rank, as not every score is finite.'


def test_many_methods_are_counted():
    names = [f'M{index}' for index in range(6)]
    many = board(**{metric: {name: float(name == winner) for name in names}
                    for metric, winner in zip(('EN', 'SD', 'SF', 'AG', 'VIF'), names, strict=False)})
    assert conclude(many)[0].endswith('M1 in 1 (SD), M2 in 1 (SF) and 2 other methods in others.')
