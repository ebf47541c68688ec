"""Intervals and differences of the scores of sets hold what statistics promise."""

import numpy as np
import pytest

from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.scoring.comparing import compare_sets, differences, intervals
from vlfusion.downstream.scoring.detections import score_detections
from vlfusion.downstream.scoring.masks import MaskScores, score_masks
from vlfusion.errors import DataError

TABLE = ClassTable(('background', 'car', 'person'), void=0)


def masks(seed, right, images=20):
    rng = np.random.default_rng(7)
    labels = {f'{k:02d}': rng.integers(0, 3, (6, 7)) for k in range(images)}
    rng = np.random.default_rng(seed)
    return score_masks({name: np.where(rng.random(label.shape) < right, label, rng.integers(0, 3, label.shape))
                        for name, label in labels.items()}, labels, TABLE)


def boxes(seed, noise, images=12):
    rng = np.random.default_rng(7)
    start = rng.uniform(0, 90, (images, 3, 2))
    corners = np.concatenate([start, start + 30], 2)
    rng = np.random.default_rng(seed)
    kinds = np.array([0, 1, 1])
    return score_detections(
        {f'{k:02d}': Boxes(one + rng.normal(0, noise, (3, 1)), kinds, rng.random(3)) for k, one in enumerate(corners)},
        {f'{k:02d}': Boxes(one, kinds) for k, one in enumerate(corners)}, ClassTable(('car', 'person')))


def test_the_better_method_wins_and_equals_tie():
    result = compare_sets({'good': masks(1, 0.9), 'also': masks(2, 0.9), 'poor': masks(3, 0.5)}, ['mIoU'],
                          resamples=200)['mIoU']
    assert result.ranks == {'good': 1, 'also': 1, 'poor': 3}
    assert result.pairs['good', 'poor'] == pytest.approx(3 / 201)
    assert result.pairs['good', 'also'] > 0.05
    assert result.winner is None
    for method, (low, high) in result.intervals.items():
        assert low < result.means[method] < high


def test_detections_are_compared_too():
    result = compare_sets({'near': boxes(1, 1), 'far': boxes(2, 20)}, resamples=99)
    assert result['AP50'].winner == result['AP'].winner == 'near'
    assert result['AP50'].means == {'near': 1., 'far': boxes(2, 20).values['AP50']}
    assert result['AP'].intervals['far'][0] < result['AP'].means['far'] < result['AP'].intervals['far'][1]


def test_few_images_get_all_swaps():
    one, other = masks(1, 1., images=5), masks(2, 0.3, images=5)
    assert differences(one, other)['mIoU'] == 1 / 2 ** 4, 'only the swap of none, or of all, is as far apart'
    assert differences(one, one)['mIoU'] == 1
    assert differences(masks(1, 1., images=1), masks(2, 0.3, images=1))['mIoU'] == 1


def test_swaps_suffice_for_the_number_of_methods_and_stop_early():
    good, also, poor = masks(1, 0.9), masks(2, 0.9), masks(3, 0.5)
    result = compare_sets({'good': good, 'also': also, 'poor': poor}, ['mIoU'], resamples=1)['mIoU']
    assert result.pairs['good', 'poor'] == pytest.approx(3 / 121), '120 swaps for three pairs at 5 %'
    p = differences(good, also, resamples=5000)['mIoU']
    assert (50 / p) == pytest.approx(round(50 / p)) and 50 / p < 1000, 'the fiftieth that was as far apart ends it'


def test_the_interval_is_the_bootstrap_of_the_summed_matrices():
    scores = masks(1, 0.7)
    rng, drawn = np.random.default_rng(0), []
    for _ in range(300):
        total = scores.parts[rng.integers(0, 20, 20)].sum(0)
        iou = np.diag(total) / (total.sum(0) + total.sum(1) - np.diag(total))
        drawn.append(iou[1:].mean())
    assert intervals(scores, resamples=300)['mIoU'] == pytest.approx(np.quantile(drawn, [0.025, 0.975]))
    assert intervals(scores, resamples=0)['mIoU'] == (scores.values['mIoU'],) * 2


def test_whole_cases_are_drawn_and_swapped():
    """Ten copies of each of two images know no more than the two."""
    two = masks(1, 0.6, images=2)
    copies = MaskScores(tuple(f'{k:02d}' for k in range(20)), TABLE, np.repeat(two.parts, 10, 0))
    other = masks(2, 0.3, images=2)
    worse = MaskScores(copies.names, TABLE, np.repeat(other.parts, 10, 0))
    cases = ['a'] * 10 + ['b'] * 10
    assert differences(copies, worse)['mIoU'] < 0.05
    assert differences(copies, worse, cases=cases) == differences(two, other)
    narrow, wide = (intervals(copies, cases=chosen)['mIoU'] for chosen in (None, cases))
    assert wide[1] - wide[0] > narrow[1] - narrow[0]
    assert compare_sets({'a': copies, 'b': worse}, cases=cases)['mIoU'].cases == 2
    with pytest.raises(DataError, match='20 images, but cases of 2'):
        intervals(copies, cases=['a', 'b'])


def test_p_is_uniform_if_methods_are_alike():
    """At a level of 10 % about one in ten pairs of equal methods differs."""
    levels = [differences(masks(2 * seed, 0.5, images=7), masks(2 * seed + 1, 0.5, images=7))['mIoU']
              for seed in range(1, 31)]
    assert np.sum(np.array(levels) <= 0.1) <= 8
    assert 0.35 < np.mean(levels) < 0.65


def test_methods_must_be_scored_alike():
    with pytest.raises(DataError, match='b lacks 1 of 5 images: 04'):
        compare_sets({'a': masks(1, 1., images=5), 'b': masks(1, 1., images=4)})
    with pytest.raises(DataError, match='no method'):
        compare_sets({})
