"""The mean over seeds, and what swaps and samples of images do to it."""

import numpy as np
import pytest

from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.scoring.comparing import compare_sets, differences
from vlfusion.downstream.scoring.detections import score_detections
from vlfusion.downstream.scoring.masks import score_masks
from vlfusion.downstream.scoring.seeds import AcrossSeeds
from vlfusion.downstream.scoring.variants import MEAN_IOUS
from vlfusion.errors import DataError
from vlfusion.evaluation.rows import read_csv, write_csv

CLASSES = ClassTable(('one', 'two'))
NAMES = [f'{index:02d}' for index in range(9)]


def masks(wrong, seed):
    generator = np.random.default_rng(seed)
    labels = {name: np.random.default_rng(int(name)).integers(0, 2, (6, 7)) for name in NAMES}
    wrongly = {name: np.where(generator.random((6, 7)) < wrong, 1 - label, label) for name, label in labels.items()}
    return wrongly, labels


def boxes(noise, seed):
    generator = np.random.default_rng(seed)
    corners = np.array([[2., 3, 20, 24], [30, 4, 44, 30]])
    labels = {name: Boxes(corners + int(name), np.array([0, 1])) for name in NAMES}
    return {name: Boxes(label.corners + generator.normal(0, noise, (2, 4)), label.classes,
                        generator.random(2)) for name, label in labels.items()}, labels


@pytest.mark.parametrize(('score', 'draw'), [(score_masks, masks), (score_detections, boxes)])
def test_each_score_is_the_mean_over_the_seeds(score, draw):
    by_seed = [score(*draw(0.3, seed), CLASSES) for seed in range(3)]
    both = AcrossSeeds(by_seed)
    assert both.columns == by_seed[0].columns and both.names == by_seed[0].names
    for column in both.columns:
        assert both.values[column] == pytest.approx(np.mean([one.values[column] for one in by_seed]), nan_ok=True)
        assert both.rows[4][column] == pytest.approx(np.mean([one.rows[4][column] for one in by_seed]), nan_ok=True)
        assert both.rows[4]['name'] == '04'
    assert both.per_class['two']['found'] == pytest.approx(np.mean([one.per_class['two']['found'] for one in by_seed]))
    assert AcrossSeeds(by_seed[:1]).values == pytest.approx(by_seed[0].values, nan_ok=True)


@pytest.mark.parametrize('variant', MEAN_IOUS)
def test_an_image_of_void_only_in_one_seed_keeps_its_row(variant, tmp_path):
    """A score that `sea` does not define is NaN, which a file of scores holds; the other images keep their own."""
    table = ClassTable(('void', 'one', 'two', 'Bicycle'), void=0)
    labels = {name: np.full((4, 4), 1) for name in 'abc'} | {'d': np.zeros((4, 4), int)}
    first = {name: np.where(np.arange(16).reshape(4, 4) < right, 1, 2) for name, right in zip('abcd', (4, 8, 12, 0),
                                                                                                    strict=True)}
    by_seed = [score_masks(found, labels, table, variant=variant) for found in (first, first | {'b': labels['d']})]
    rows = {row['name']: row for row in AcrossSeeds(by_seed).rows}
    column = by_seed[0].columns[0]
    alone = [{row['name']: row[column] for row in scores.rows} for scores in by_seed]
    assert rows.keys() == alone[0].keys() == alone[1].keys() >= {*'abc'}
    for name in rows:
        assert rows[name][column] == pytest.approx((alone[0][name] + alone[1][name]) / 2, nan_ok=True)
    if variant in ('sea', 'sea13'):
        assert np.isnan(rows['b'][column]) and rows['c'][column] == alone[0]['c'] > alone[0]['a']
    write_csv(tmp_path / 'scores.csv', list(rows.values()))
    assert read_csv(tmp_path / 'scores.csv')[1][column] == pytest.approx(rows['b'][column], nan_ok=True)
    with pytest.raises(DataError, match=r'differ in their images: d \(1 in all\)'):
        AcrossSeeds([by_seed[0], score_masks(*({name: side[name] for name in 'abc'} for side in (first, labels)), table,
                                             variant=variant)])


@pytest.mark.parametrize(('score', 'draw', 'column', 'good', 'bad'), [(score_masks, masks, 'mIoU', 0.1, 0.4),
                                                                      (score_detections, boxes, 'AP50', 0.5, 6)])
def test_methods_with_seeds_are_compared_by_image(score, draw, column, good, bad):
    rows = {name: AcrossSeeds([score(*draw(noise, seed), CLASSES) for seed in (1, 2)])
            for name, noise in (('good', good), ('bad', bad))}
    comparison = compare_sets(rows, resamples=300)[column]
    assert comparison.winner == 'good' and comparison.means['good'] == rows['good'].values[column]
    low, high = comparison.intervals['bad']
    assert low <= comparison.means['bad'] <= high < comparison.means['good']
    one_seed = {name: AcrossSeeds(scores.by_seed[:1]) for name, scores in rows.items()}
    assert differences(*one_seed.values(), resamples=300) == pytest.approx(
        differences(*(scores.by_seed[0] for scores in rows.values()), resamples=300), nan_ok=True)
