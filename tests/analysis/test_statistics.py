"""Comparisons agree with scipy, statsmodels and calculations by hand."""

import numpy as np
import pytest

from vlfusion.analysis.statistics import Comparison, adjust, compare, interval
from vlfusion.errors import ConfigError, DataError

stats = pytest.importorskip('scipy.stats', reason="pip install 'vlfusion[benchmark]'")
pytest.importorskip('statsmodels', reason="pip install 'vlfusion[benchmark]'")


@pytest.fixture
def scores():
    """A is better than B and C, which differ by chance alone."""
    generator = np.random.default_rng(0)
    difficulty = generator.normal(0, 3, 20)
    return {'A': difficulty + 2 + generator.normal(0, 0.3, 20), 'B': difficulty + generator.normal(0, 0.3, 20),
            'C': difficulty + generator.normal(0, 0.3, 20)}


def test_two_methods_are_compared_by_wilcoxon(scores):
    found = compare({name: scores[name] for name in 'AB'})
    assert found.p == stats.wilcoxon(scores['A'], scores['B']).pvalue == found.pairs['A', 'B']
    assert found.ranks == {'A': 1, 'B': 2} and found.best == ['A']
    assert found.means['A'] == scores['A'].mean() and found.images == 20


def test_by_hand():
    """Seven images, all better by 1 to 7: of 2^7 signs one is as extreme on either side, so p = 2 / 128."""
    base = np.zeros(7)
    assert compare({'x': base + np.arange(1, 8), 'y': base}).p == pytest.approx(2 / 128)
    # Ranks of three methods on four images: (1 2 3) thrice and (2 1 3): sums 5, 7, 12.
    values = {'x': np.array([3., 3, 3, 2]), 'y': np.array([2., 2, 2, 3]), 'z': np.array([1., 1, 1, 1])}
    chi2 = 12 / (4 * 3 * 4) * (5**2 + 7**2 + 12**2) - 3 * 4 * 4
    statistic = 3 * chi2 / (4 * 2 - chi2)
    assert compare(values).p == pytest.approx(stats.f.sf(statistic, 2, 6))


def test_one_order_on_all_images_has_its_exact_p():
    base = np.arange(4.)
    assert compare({'a': base, 'b': base + 1, 'c': base + 2}).p == pytest.approx(1 / 6 ** 3)
    assert compare({'a': base, 'b': base, 'c': base + 2}).p == pytest.approx(1 / 3 ** 3)


def test_methods_that_do_not_differ_share_a_rank(scores):
    found = compare(scores)
    assert found.ranks == {'A': 1, 'B': 2, 'C': 2}
    low, high = sorted([found.pairs['A', 'B'], found.pairs['A', 'C']])
    raw = sorted(stats.wilcoxon(scores['A'], scores[name]).pvalue for name in 'BC')
    assert low == pytest.approx(3 * raw[0]) and high == pytest.approx(max(3 * raw[0], 2 * raw[1])), 'Holm by hand'


@pytest.mark.slow
def test_corrections_equal_statsmodels_and_the_paper():
    levels = np.random.default_rng(2).beta(0.3, 2, 15)
    multitest = pytest.importorskip('statsmodels.stats.multitest')
    np.testing.assert_allclose(adjust(levels.tolist()), multitest.multipletests(levels, method='holm')[1], rtol=1e-12)
    # By hand: 1 - (1 - p)^(3 / i) for i = 1, 2, 3, and never less than one before.
    assert adjust([0.02, 0.01, 0.5], 'finner') == pytest.approx([1 - 0.98 ** 1.5, 1 - 0.99 ** 3, 0.5])
    assert adjust([0.011, 0.01], 'finner') == pytest.approx([1 - 0.99 ** 2] * 2)
    assert adjust([]).shape == (0,)


def test_finner_finds_no_less_than_holm(scores):
    holm, finner = (compare(scores, correction=name) for name in ('holm', 'finner'))
    assert all(finner.pairs[pair] <= holm.pairs[pair] for pair in holm.pairs)
    assert finner.pairs != holm.pairs and finner.means == holm.means


def test_a_winner_beats_every_other(scores):
    assert compare(scores).winner == 'A' and compare(scores | {'copy': scores['A']}).winner is None
    # The only one that nothing is better than, but it is not better than all: no winner, and so nothing bold.
    one = Comparison({'A': 3., 'B': 2., 'C': 1.}, {}, {'A': 1, 'B': 2, 'C': 2}, 0.01,
                     {('A', 'B'): 0.2, ('A', 'C'): 0.01, ('B', 'C'): 0.9}, 9)
    assert one.best == ['A'] and one.winner is None


def test_one_method_and_one_image():
    found = compare({'x': np.array([1., 2., 4.])})
    assert found.ranks == {'x': 1} and found.p == 1 and found.pairs == {} and found.winner is None
    found = compare({'x': np.array([1.]), 'y': np.array([2.]), 'z': np.array([3.])})
    assert found.p == 1 and set(found.ranks.values()) == {1} and found.intervals['x'] == (1., 1.)


def test_lower_may_be_better(scores):
    assert compare(scores, higher=False).ranks == {'A': 3, 'B': 1, 'C': 1}


def test_nothing_is_ranked_where_the_whole_shows_no_difference():
    generator = np.random.default_rng(1)
    found = compare({name: generator.normal(size=12) for name in 'ABCDE'})
    assert found.p > 0.05 and set(found.ranks.values()) == {1} and set(found.pairs.values()) == {1.}
    same = np.arange(5.)
    assert compare({'x': same, 'y': same, 'z': same}).p == compare({'x': same, 'y': same}).p == 1


def test_one_method_that_is_the_other_is_a_tie(scores):
    found = compare(scores | {'copy': scores['A']})
    assert found.best == ['A', 'copy'] and found.pairs['A', 'copy'] == 1


@pytest.mark.slow
def test_intervals_hold_the_mean_as_often_as_they_say():
    generator = np.random.default_rng(2)
    inside = 0
    for _ in range(200):
        drawn = generator.normal(5, 1, 40)
        low, high = compare({'x': drawn, 'y': drawn + 1}, resamples=300).intervals['x']
        inside += low <= 5 <= high
    assert 180 <= inside <= 198  # of 95 % of 200, less what percentiles of few images miss


def test_what_cannot_be_compared():
    with pytest.raises(DataError, match='methods on the same images'):
        compare({})
    with pytest.raises(ConfigError, match="no correction 'bonferroni'"):
        compare({'x': np.arange(3.)}, correction='bonferroni')
    with pytest.raises(DataError, match="{'x': 3, 'y': 4}"):
        compare({'x': np.arange(3.), 'y': np.arange(4.)})
    with pytest.raises(DataError, match='Not every score of y is finite'):
        compare({'x': np.arange(3.), 'y': np.array([1., np.nan, 2.])})


def test_slices_of_one_case_count_once():
    """Four cases of 50 slices: A is better by a number that differs between cases, and hardly within them."""
    generator = np.random.default_rng(4)
    cases = np.repeat(['a', 'b', 'c', 'd'], 50).tolist()
    base = generator.normal(0, 1, 200)
    scores = {'A': base + np.repeat([3., 1, 2, -1], 50) + generator.normal(0, 0.1, 200), 'B': base}
    by_image, by_case = compare(scores), compare(scores, cases=cases)
    assert by_case.means == by_image.means and (by_case.images, by_case.cases, by_image.cases) == (200, 4, 0)
    assert by_image.p < 1e-6 and by_case.p == stats.wilcoxon(
        *(np.array(values).reshape(4, 50).mean(1) for values in scores.values())).pvalue > 0.05
    assert by_case.ranks == {'A': 1, 'B': 1}
    low, high = by_case.intervals['A']
    near = by_image.intervals['A']
    assert low < near[0] and near[1] < high and (high - low) > 2 * (near[1] - near[0])


def test_the_bootstrap_draws_whole_cases():
    """Two cases of one and three images give the means 0, 3/4 and 1, with chances 1/4, 1/2 and 1/4."""
    values, cases = np.array([0., 1, 1, 1]), ['a', 'b', 'b', 'b']
    assert interval(values, 0.4, cases=cases) == (0, 1)
    assert interval(values, 0.6, cases=cases) == (0.75, 0.75)
    assert interval(values, cases=['a'] * 4) == (0.75, 0.75)
    with pytest.raises(DataError, match='4 images, but cases of 2'):
        interval(values, cases=['a', 'b'])


def test_cases_of_one_image_change_nothing(scores):
    assert compare(scores, cases=[f'image {number}' for number in range(20)]) == compare(scores)
