"""Scores of referring expressions equal a plain computation, and follow the published definitions."""

import numpy as np
import pytest

from vlfusion.downstream.scoring.comparing import intervals
from vlfusion.downstream.scoring.referring import score_referring
from vlfusion.errors import DataError


def drawn(count, seed=0):
    generator = np.random.default_rng(seed)
    labels = {f'{index // 2}-{index % 2}': generator.random((9, 11)) > 0.6 for index in range(count)}
    return {name: mask ^ (generator.random(mask.shape) > 0.9) for name, mask in labels.items()}, labels


def test_scores_equal_a_plain_computation():
    found, labels = drawn(30)
    scores, ious, over, both = score_referring(found, labels), [], 0, 0
    for name, mask in labels.items():
        shared = sum(bool(a and b) for a, b in zip(found[name].flat, mask.flat, strict=True))
        either = sum(bool(a or b) for a, b in zip(found[name].flat, mask.flat, strict=True))
        ious.append(shared / either)
        over, both = over + either, both + shared
    assert scores.values['mIoU'] == pytest.approx(np.mean(ious), abs=1e-12)
    assert scores.values['oIoU'] == pytest.approx(both / over, abs=1e-12)
    for threshold in (0.5, 0.6, 0.7, 0.8, 0.9):
        assert scores.values[f'P@{threshold}'] == np.mean([iou >= threshold for iou in ious])
    assert {row['name']: row['mIoU'] for row in scores.rows} == pytest.approx(dict(zip(labels, ious, strict=True)))


def test_an_iou_at_a_threshold_reaches_it_and_empty_masks_score_nothing():
    half, whole, empty = np.array([[1, 0]]), np.array([[1, 1]]), np.array([[0, 0]])
    scores = score_referring({'a': half, 'b': empty, 'c': whole * 255}, {'a': whole, 'b': empty, 'c': whole})
    assert scores.values == {'mIoU': 0.5, 'oIoU': 0.75, 'P@0.5': 2 / 3,
                             **{f'P@{threshold}': 1 / 3 for threshold in (0.6, 0.7, 0.8, 0.9)}}


def test_a_sentence_alone_has_the_score_of_its_row():
    found, labels = drawn(6)
    for row in score_referring(found, labels).rows:
        alone = score_referring({row['name']: found[row['name']]}, {row['name']: labels[row['name']]})
        assert alone.values['mIoU'] == alone.values['oIoU'] == row['mIoU']


def test_intervals_draw_whole_pairs():
    found, labels = drawn(20)
    scores = score_referring(found, labels)
    low, high = intervals(scores, resamples=200, cases=[name.partition('-')[0] for name in scores.names])['mIoU']
    assert low < scores.values['mIoU'] < high


def test_other_sentences_and_sizes_are_refused():
    found, labels = drawn(2)
    with pytest.raises(DataError, match='0-1: no prediction'):
        score_referring({'0-0': found['0-0']}, labels)
    with pytest.raises(DataError, match=r'The mask of 0-0 has the shape \(9, 5\), but its label \(9, 11\)'):
        score_referring({**found, '0-0': found['0-0'][:, :5]}, labels)
