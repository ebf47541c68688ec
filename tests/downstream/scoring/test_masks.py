"""Each mIoU is the arithmetic of the code that it is named after, written down here once more with loops."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.scoring.masks import confusion, score_masks
from vlfusion.downstream.scoring.variants import MEAN_IOUS
from vlfusion.errors import ConfigError, DataError, UnknownNameError

TABLE = ClassTable(('unlabelled', 'car', 'Bicycle', 'person', 'bump'), void=0)


def drawn(seed, images=5, absent=(), size=(12, 17), right=0.6):
    rng = np.random.default_rng(seed)
    kinds = [kind for kind in range(5) if kind not in absent]
    labels = {f'{k}': rng.choice(kinds, size) for k in range(images)}
    return {name: np.where(rng.random(size) < right, label, rng.choice(kinds, size))
            for name, label in labels.items()}, labels


def flat(sides):
    return np.concatenate([sides[name].ravel() for name in sorted(sides)])


def ratio(found, either):
    return found / either if either else np.nan


def by_loops(variant, predicted, label):
    """The mIoU of a flat prediction, class by class."""
    if variant in ('sea', 'sea13'):  # scikit-learn drops pixels whose label or prediction is not in `labels`
        kept = [1, 3, 4] if variant == 'sea13' else [1, 2, 3, 4]
        matrix = confusion_matrix(label, predicted, labels=kept).astype(float)
        return np.nanmean([ratio(matrix[k, k], matrix[k].sum() + matrix[:, k].sum() - matrix[k, k])
                           for k in range(len(kept))])
    if variant == 'ignore':
        predicted, label = predicted[label != 0], label[label != 0]
    values = [ratio(np.sum((label == k) & (predicted == k)), np.sum((label == k) | (predicted == k)))
              for k in range(5)]
    if variant == 'rtfnet':
        return np.mean(values)
    if variant == 'bubbliiiing':
        return np.mean([0 if np.isnan(value) else value for value in values])
    return np.nanmean(values if variant == 'mrfs' else values[1:])


@pytest.mark.parametrize('absent', [(), (3,), (1, 4), (0,)], ids=str)
@pytest.mark.parametrize('variant', MEAN_IOUS)
def test_each_definition_is_that_of_its_code(variant, absent):
    for seed in range(4):
        predicted, labels = drawn(seed, absent=absent)
        scores = score_masks(predicted, labels, TABLE, variant=variant)
        expected = by_loops(variant, flat(predicted), flat(labels))
        assert next(iter(scores.values.values())) == pytest.approx(expected, abs=1e-12, nan_ok=True)
        assert next(iter(scores.values)) == ('mIoU' if not variant else f'mIoU:{variant}')


def test_definitions_differ():
    predicted, labels = drawn(0, absent=(4,))
    values = [next(iter(score_masks(predicted, labels, TABLE, variant=variant).values.values()))
              for variant in MEAN_IOUS]
    assert len({round(value, 6) for value in values if not np.isnan(value)}) == len(values) - 1, 'and one is NaN'


def test_scores_of_classes_and_pixels():
    predicted, label = {'a': np.array([[1, 1, 0, 3]])}, {'a': np.array([[1, 3, 3, 3]])}
    scores = score_masks(predicted, label, TABLE)
    assert scores.per_class['car'] == {'IoU': 1 / 2, 'accuracy': 1., 'labels': 1, 'predictions': 2, 'found': 1}
    assert scores.per_class['person'] == {'IoU': 1 / 3, 'accuracy': 1 / 3, 'labels': 3, 'predictions': 1, 'found': 1}
    assert np.isnan(scores.per_class['bump']['IoU'])
    assert 'unlabelled' not in scores.per_class
    assert scores.values == pytest.approx({'mIoU': 5 / 12, 'mAcc': 2 / 3, 'accuracy': 2 / 4})


def test_an_image_has_the_same_scores_alone_and_in_its_set():
    predicted, labels = drawn(3)
    labels['4'][:] = 0
    scores = score_masks(predicted, labels, TABLE)
    assert scores.unlabelled == ['4']
    assert [row['name'] for row in scores.rows] == ['0', '1', '2', '3']
    for row in scores.rows:
        name = row['name']
        alone = score_masks({name: predicted[name]}, {name: labels[name]}, TABLE)
        assert alone.rows == [row] == [{'name': name, **alone.values}]


def test_a_mask_is_read_once():
    class Counted(dict):
        reads = 0

        def __getitem__(self, name):
            self.reads += 1
            return super().__getitem__(name)
    predicted, labels = map(Counted, drawn(1))
    score_masks(predicted, labels, TABLE)
    assert (predicted.reads, labels.reads) == (5, 5)


def test_255_is_not_counted_and_other_numbers_are_refused():
    label = np.array([[0, 255, 1]], np.uint8)
    assert confusion(np.array([[0, 1, 1]], np.uint8), label, 2).tolist() == [[1, 0], [0, 1]]
    with pytest.raises(DataError, match='The mask of 07 holds numbers.*\n    predicted: 255'):
        confusion(np.array([[0, 255, 1]], np.uint8), label, 2, '07')
    with pytest.raises(DataError, match='labelled: 3'):
        confusion(label * 0, label * 0 + 3, 2)


def test_small_types_do_not_overflow():
    mask = np.random.default_rng(0).integers(0, 200, (40, 50))
    assert np.array_equal(confusion(mask.astype(np.uint8), mask[::-1].astype(np.uint8), 200),
                          confusion(mask, mask[::-1], 200))


def test_faults_name_the_image():
    with pytest.raises(DataError, match=r'mask of a is 3 x 2, but its label is 2 x 3'):
        score_masks({'a': np.zeros((3, 2), int)}, {'a': np.zeros((2, 3), int)}, TABLE)
    with pytest.raises(DataError, match='a: no prediction'):
        score_masks({}, {'a': np.zeros((2, 3), int)}, TABLE)
    with pytest.raises(ConfigError, match='leaves out Bicycle, but the classes are a, b'):
        score_masks({}, {}, ClassTable(('a', 'b')), variant='sea13')
    with pytest.raises(UnknownNameError, match='Did you mean mrfs'):
        score_masks({}, {}, TABLE, variant='mrf')
