"""Average precision is that of pycocotools, in each case that its definition has a corner for."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import ClassTable
from vlfusion.downstream.scoring.detections import score_detections
from vlfusion.downstream.scoring.variants import AVERAGE_PRECISIONS
from vlfusion.errors import DataError, UnknownNameError

TABLE = ClassTable(('People', 'Car', 'Bus'))
NONE = Boxes(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))


def corners(rng, count, side=200.):
    start = rng.uniform(0, side, (count, 2))
    return np.hstack([start, start + rng.uniform(2, 60, (count, 2))])


def drawn(seed, images=6, labels=5, noise=6, crowds=False, digits=None, absent=(), most=8):
    """Labels, and predictions that are labels moved by noise, with others among them."""
    rng, truth, found = np.random.default_rng(seed), {}, {}
    for image in range(images):
        count = int(rng.integers(0, labels + 1))
        boxes, classes = corners(rng, count), rng.integers(0, 3, count)
        keep = ~np.isin(classes, absent)
        boxes, classes = boxes[keep], classes[keep]
        ignored = rng.random(len(boxes)) < 0.4 if crowds else None
        truth[f'{image:03d}'] = Boxes(boxes, classes, ignored=ignored)
        extra = int(rng.integers(0, most + 1))
        near = np.sort((boxes + rng.normal(0, noise, boxes.shape)).reshape(-1, 2, 2), 1).reshape(-1, 4)
        moved = np.vstack([near, near[::-1] + 1, corners(rng, extra)])
        kinds = np.concatenate([classes, classes[::-1], rng.integers(0, 3, extra)])
        scores = rng.random(len(moved))
        found[f'{image:03d}'] = Boxes(moved, kinds, scores if digits is None else scores.round(digits))
    return found, truth


def by_pycocotools(found, truth, most=100):
    """The four scores of pycocotools, and AP50 of each class."""
    def annotations(sides):
        things = []
        for image, name in enumerate(sorted(sides)):
            boxes = sides[name]
            for k, (x0, y0, x1, y1) in enumerate(boxes.corners.tolist()):
                things.append(dict(id=len(things) + 1, image_id=image, category_id=int(boxes.classes[k]),
                                   bbox=[x0, y0, x1 - x0, y1 - y0], area=(x1 - x0) * (y1 - y0),
                                   iscrowd=int(boxes.ignored is not None and boxes.ignored[k])))
                if boxes.scores is not None:
                    things[-1]['score'] = float(boxes.scores[k])
        dataset = COCO()
        dataset.dataset = dict(images=[dict(id=image) for image in range(len(sides))], annotations=things,
                               categories=[dict(id=k) for k in range(3)])
        dataset.createIndex()
        return dataset
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = COCOeval(annotations(truth), annotations(found), 'bbox')
        evaluator.params.maxDets = [1, 10, most]
        evaluator.evaluate()
        evaluator.accumulate()
    precision, recall = evaluator.eval['precision'][:, :, :, 0, 2], evaluator.eval['recall'][:, :, 0, 2]

    def mean(values):
        return values[values > -1].mean() if (values > -1).any() else np.nan
    return [mean(precision[0]), mean(precision[5]), mean(precision), mean(recall)], [
        mean(precision[0, :, k]) for k in range(3)]


CASES = {
    **{f'drawn {seed}': drawn(seed) for seed in range(8)},
    **{f'crowds {seed}': drawn(seed, crowds=True, noise=9) for seed in range(8)},
    **{f'ties {seed}': drawn(seed, digits=1, images=12) for seed in range(8)},
    'all scores alike': drawn(3, digits=0, images=12),
    'one image': drawn(5, images=1, labels=9),
    'a class absent': drawn(1, absent=(1,)),
    'no labels': ({'a': drawn(0)[0]['000']}, {'a': NONE}),
    'no detections': ({name: NONE for name in drawn(2)[1]}, drawn(2)[1]),
    'neither': ({'a': NONE}, {'a': NONE}),
    'crowds only': ({'a': Boxes(np.array([[0., 0, 9, 9]] * 3), np.zeros(3, int), np.array([.9, .8, .7]))},
                    {'a': Boxes(np.array([[0., 0, 20, 20]]), np.zeros(1, int), ignored=np.array([True]))}),
    'more than count': drawn(7, images=2, labels=40, most=400, noise=3),
    'perfect': ({name: Boxes(boxes.corners, boxes.classes, np.ones(len(boxes))) for name, boxes in drawn(4)[1].items()},
                drawn(4)[1]),
    'a box of no area': ({'a': Boxes(np.array([[5., 5, 5, 5]]), np.zeros(1, int), np.ones(1))},
                         {'a': Boxes(np.array([[5., 5, 5, 5], [0, 0, 9, 9]]), np.zeros(2, int))}),
    'the threshold itself': ({'a': Boxes(np.array([[0., 0, 10, 5]]), np.zeros(1, int), np.ones(1))},
                             {'a': Boxes(np.array([[0., 0, 10, 10]]), np.zeros(1, int))}),
}


@pytest.mark.parametrize('case', CASES)
def test_scores_are_those_of_pycocotools(case):
    found, truth = CASES[case]
    scores = score_detections(found, truth, TABLE)
    values, of_classes = by_pycocotools(found, truth)
    np.testing.assert_allclose([*scores.values.values()], values, rtol=0, atol=1e-9)
    np.testing.assert_allclose([row['AP50'] for row in scores.per_class.values()], of_classes, rtol=0, atol=1e-9)
    np.testing.assert_allclose(scores.pooled()(np.ones((1, len(truth)), int)), values, rtol=0, atol=1e-9)


@pytest.mark.parametrize('case', ['drawn 1', 'crowds 2', 'ties 3'])
def test_an_image_has_the_same_scores_alone_and_in_its_set(case):
    found, truth = CASES[case]
    scores = score_detections(found, truth, TABLE)
    assert {row['name'] for row in scores.rows} | {*scores.unlabelled} == {*truth}
    assert scores.rows
    for row in scores.rows:
        name = row['name']
        alone = score_detections({name: found[name]}, {name: truth[name]}, TABLE)
        assert alone.rows == [row]
        assert {column: row[column] for column in alone.columns} == alone.values


@pytest.mark.parametrize('variant', AVERAGE_PRECISIONS)
@pytest.mark.parametrize(('crowds', 'digits'), [(False, None), (True, None), (False, 1)], ids=str)
def test_drawn_sets_are_scored_as_sets_of_copies(variant, crowds, digits):
    """Also with the detections of another method in some images. Ties inside an image have no order in copies of it."""
    sides = [drawn(11, images=9, crowds=crowds, digits=digits, noise=noise) for noise in (4, 9)]
    one, other = (score_detections(found, sides[0][1], TABLE, variant=variant) for found, _ in sides)
    pool, rng = one.pooled([other]), np.random.default_rng(0)
    for _ in range(4):
        counts = rng.integers(0, 3, (2, 9)) if digits is None else np.eye(3, dtype=int)[rng.integers(0, 3, 9)].T[:2]
        picked = [(method, image) for image in range(9) for method in (0, 1) for _ in range(counts[method, image])]
        copies = score_detections(
            {f'{k:02d}': sides[method][0][f'{image:03d}'] for k, (method, image) in enumerate(picked)},
            {f'{k:02d}': sides[0][1][f'{image:03d}'] for k, (_, image) in enumerate(picked)}, TABLE, variant=variant)
        np.testing.assert_allclose(pool(counts), [*copies.values.values()], rtol=0, atol=1e-12)
    parts = [one.parts[image] for image in (0, 0, 3, 8)]
    counts = np.bincount([0, 0, 3, 8], minlength=9)[None]
    np.testing.assert_allclose(one.score(parts), one.pooled()(counts), rtol=0, atol=1e-12)


def test_detections_beyond_the_most_do_not_count():
    found, truth = drawn(7, images=2, labels=40, most=400, noise=3)
    few, many = (score_detections(found, truth, TABLE, most=most).values for most in (10, 100))
    assert few != many
    np.testing.assert_allclose([*few.values()], by_pycocotools(found, truth, 10)[0], rtol=0, atol=1e-9)


@pytest.mark.parametrize('seed', range(6))
def test_variants_of_pascal_voc(seed):
    """One class, labels far apart: COCO's and VOC's ways to match agree there, and a curve is easy to write down."""
    rng = np.random.default_rng(seed)
    places = np.arange(8) * 100.
    truth = {'a': Boxes(np.stack([places, places * 0, places + 50, places * 0 + 50], 1), np.zeros(8, int))}
    right = rng.random(14) < 0.5
    right[np.cumsum(right) > 8] = False
    position = np.where(right, places[np.minimum(np.cumsum(right) - 1, 7)], 2000.)
    score = np.sort(rng.random(14))[::-1]
    found = {'a': Boxes(np.stack([position, position * 0, position + 50, position * 0 + 50], 1), np.zeros(14, int),
                        score)}
    precision, recall = np.cumsum(right) / np.arange(1, 15), np.cumsum(right) / 8
    eleven = [max(precision[recall >= point], default=0) for point in np.linspace(0, 1, 11)]
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    area = np.sum(np.diff(recall, prepend=0) * envelope)
    table = ClassTable(('car',))
    values = {variant: score_detections(found, truth, table, variant=variant) for variant in ('voc07', 'voc10')}
    assert values['voc07'].values['AP50:voc07'] == pytest.approx(np.mean(eleven), abs=1e-12)
    assert values['voc10'].values['AP50:voc10'] == pytest.approx(area, abs=1e-12)
    assert values['voc10'].per_class['car']['found'] == right.sum()
    assert values['voc07'].values['AR'] == values['voc10'].values['AR']


def test_counts():
    found, truth = CASES['crowds 1']
    scores = score_detections(found, truth, TABLE)
    for column, sides in (('labels', truth), ('predictions', found)):
        counted = sum(len(boxes) - (0 if boxes.ignored is None else int(boxes.ignored.sum()))
                      for boxes in sides.values())
        assert sum(row[column] for row in scores.per_class.values()) == counted
    assert sum(row['found'] for row in scores.per_class.values()) == sum(row['found'] for row in scores.rows) > 0


def test_faults_name_the_image():
    box, kind = np.array([[0., 0, 9, 9]]), np.zeros(1, int)
    good = {'a': Boxes(box, kind)}
    for boxes, words in ((Boxes(box, kind), 'a: 1 boxes without a score'),
                         (Boxes(box[:, [2, 1, 0, 3]], kind, np.ones(1)), 'a: box 1 ends before it begins'),
                         (Boxes(box * np.nan, kind, np.ones(1)), 'a: box 1 has corners that are not finite'),
                         (Boxes(box, kind + 3, np.ones(1)), 'a: box 1 has an unknown class'),
                         (Boxes(box, kind, np.array([np.nan])), 'a: box 1 has a score that is not finite')):
        with pytest.raises(DataError, match=words):
            score_detections({'a': boxes}, good, TABLE)
    with pytest.raises(DataError, match=r'a: no prediction\n    b: no label'):
        score_detections({'b': NONE}, good, TABLE)
    with pytest.raises(DataError, match='no labelled image'):
        score_detections({}, {}, TABLE)
    with pytest.raises(UnknownNameError, match='voc10'):
        score_detections({'a': NONE}, good, TABLE, variant='voc11')
