"""The verb scores what other programs wrote, prints where the numbers come from, and compares methods."""

import json

import numpy as np
import pytest
from mmengine.logging import MMLogger

import vlfusion
from vlfusion.cli import main
from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import get_classes
from vlfusion.downstream.predictions import write_coco_results, write_masks, write_yolo_results
from vlfusion.testing.labelled import SIZE, draw_labelled, write_mask, write_voc, write_yolo

NAMES = [f'{k:05d}' for k in range(8)]
PLACES = {name: [(k % 2, (4. + k, 6, 24. + k, 30)), (1, (36., 8, 60, 40))] for k, name in enumerate(NAMES)}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def predicted(shift):
    """The labelled boxes, moved by some pixels."""
    return {name: Boxes(np.array([box for _, box in boxes]) + shift, np.array([number for number, _ in boxes]),
                        np.array([0.9, 0.4 + 0.05 * k])) for k, (name, boxes) in enumerate(PLACES.items())}


def test_detections_of_two_methods(place, capsys):
    for name, boxes in PLACES.items():
        write_voc(f'labels/{name}.xml', boxes, get_classes('M3FD').names)
    write_yolo_results('near', predicted(1.), lambda _: SIZE)
    write_coco_results('far.json', predicted(9.))
    scoring = ['downstream', 'score', 'detections', 'Near=near', 'far.json', '--labels', 'labels', '--classes', 'M3FD',
               '--resamples', '128']
    assert main([*scoring, '--per-class', '--out', 'scores']) == 0
    printed = capsys.readouterr().out
    assert '| **1 (1)** |' in printed, 'Markdown for a pipe, the winner in bold'
    assert '8 images, AP as the mean precision at 101 points of recall' in printed
    assert 'People' in printed
    board = json.loads((place / 'scores/board.json').read_text())
    assert board['metrics']['AP50']['means'] == {'Near': 1., 'far': 0.}
    assert board['metrics']['AP50']['pairs'] == [{'methods': ['Near', 'far'], 'p': 1 / 2 ** 7}]
    assert vlfusion.leaderboard({name: f'scores/{name}.csv' for name in ('Near', 'far')}).comparisons[
        'AP50'].winner == 'Near', 'and by the images alone'
    assert main([*scoring, '--json', '--resamples', '1']) == 0
    facts = json.loads(capsys.readouterr().out)['methods']['Near']
    assert facts['values']['AP50'] == 1
    assert [*facts['inputs']['predictions']['files']] == [f'{name}.txt' for name in NAMES]


def test_a_set_by_its_config(place, capsys):
    """Numbers of COCO, pictures of other classes among them, and an image without a file."""
    draw_labelled('msrs_detection', place / 'data')
    write_yolo('labels/00004N.txt', [])
    (place / 'labels/00004N.txt').write_text('0 0.25 0.54166 0.25 0.58333 0.9\n63 0.5 0.5 0.1 0.1 0.8\n')
    scoring = ['downstream', 'score', 'detections', 'labels', '--set', 'downstream/msrs_detection', '--cfg-options',
               'data_root=data', '--ids', '0', '2']
    assert main(scoring) == 2
    assert '00004N.txt:2: the class is 63; expected one of 0, 2' in capsys.readouterr().err
    assert main([*scoring, '--leave-out-others', '--out', 'mine.csv']) == 0
    printed = capsys.readouterr().out
    assert '1 box of other classes, left out' in printed
    assert '1 image without a prediction file or entry' in printed
    record = json.loads((place / 'mine.json').read_text())
    assert record['silent'] == record['unlabelled'] == ['00024D']
    assert record['values']['AP50'] == 0.5
    assert (place / 'mine.csv').read_text().splitlines()[1].startswith('00004N,0.5,')
    assert main([*scoring, '--leave-out-others', '--out', 'mine.csv']) == 0, 'own files are replaced'


def test_masks(place, capsys):
    classes, rng = get_classes('MSRS'), np.random.default_rng(0)
    labels = {name: rng.integers(0, 4, (8, 9)) for name in NAMES}
    for name, label in labels.items():
        write_mask(f'labels/{name}.png', label)
    write_masks('good', {name: np.where(rng.random(label.shape) < 0.9, label, 0) for name, label in labels.items()},
                classes)
    write_masks('poor', {name: np.where(rng.random(label.shape) < 0.3, label, 1) for name, label in labels.items()},
                classes)
    scoring = ['downstream', 'score', 'masks', 'good', 'poor', '--labels', 'labels', '--classes', 'MSRS']
    assert main(scoring) == 0
    printed = capsys.readouterr().out
    assert '| **mIoU' not in printed and '| good | **' in printed
    assert main([*scoring[:4], '--labels', 'labels', '--classes', 'MSRS', '--variant', 'bubbliiiing', '--json']) == 0
    record = json.loads(capsys.readouterr().out)['methods']['good']
    assert [*record['values']][0] == 'mIoU:bubbliiiing'
    assert record['per_class']['bump']['IoU'] == 'NaN'
    assert record['definition'].endswith('counts as 0')


def test_places_may_hold_the_sign_of_names(place, capsys):
    for name, boxes in PLACES.items():
        write_voc(f'labels/{name}.xml', boxes, get_classes('M3FD').names)
    for folder in ('runs/lr=0.1/labels', 'lr=0.2', 'plain'):
        write_yolo_results(folder, predicted(1.), lambda _: SIZE)
    assert main(['downstream', 'score', 'detections', 'runs/lr=0.1/labels', 'lr=0.2', 'lr=plain',
                 'Mine=runs/lr=0.1/labels', '--labels', 'labels', '--classes', 'M3FD', '--resamples', '1',
                 '--json']) == 0
    assert [*json.loads(capsys.readouterr().out)['methods']] == ['labels', 'lr=0.2', 'lr', 'Mine']


def test_masks_with_pixels_without_a_label(place, capsys):
    write_mask('labels/1.png', np.array([[255, 1], [1, 0]]))
    write_masks('found', {'1': np.array([[1, 1], [1, 0]])}, get_classes(['void', 'car']))
    scoring = ['downstream', 'score', 'masks', 'found', '--labels', 'labels', '--classes', 'void,car']
    assert main(scoring) == 2
    assert 'write ignore=255 for the labels (on the command line --ignore 255)' in capsys.readouterr().err
    assert main([*scoring, '--ignore', '255']) == 2
    assert 'needs a void class' in capsys.readouterr().err
    assert main([*scoring, '--ignore', '255', '--void', 'void', '--variant', 'ignore', '--json']) == 0
    assert json.loads(capsys.readouterr().out)['methods']['found']['per_class']['car']['IoU'] == 1


def test_a_study_is_a_set(place, caplog):
    draw_labelled('msrs_detection', place / 'data')
    (place / 'study.py').write_text("_base_ = 'vlfusion::downstream/msrs_detection'\n"
                                    "methods = dict(Average='average')\nprotocol = 'y'\n"
                                    "network = dict(type='TorchvisionDetector')\n")
    (place / 'found').mkdir()
    (place / 'found/00004N.txt').touch()
    log = MMLogger.get_current_instance()
    log.addHandler(caplog.handler)
    try:
        assert main(['downstream', 'score', 'detections', 'found', '--set', 'study.py', '--cfg-options',
                     'data_root=data', '--ids', '0', '2', '--resamples', '1']) == 0
    finally:
        log.removeHandler(caplog.handler)
    assert [record.message for record in caplog.records if record.levelname == 'WARNING'] == []


@pytest.mark.parametrize(('words', 'message'), [
    (['detections', 'near', '--labels', 'labels'], '--labels need a class table'),
    (['detections', 'near', '--labels', 'labels', '--classes', 'M3FD'], 'do not state the size of 1 images'),
    (['detections', 'near', 'near', '--labels', 'labels', '--classes', 'M3FD'], "Two methods have the name 'near'"),
    (['detections', 'near', '--labels', '.', '--classes', 'M3FD'], 'holds no .txt, .xml or .json file'),
    (['detections', 'near', '--set', 'downstream/msrs', '--classes', 'MSRS'], '--classes has no effect with --set'),
    (['detections', 'near', '--set', 'downstream/msrs', '--ignore', '255'], '--ignore has no effect on detections'),
    (['masks', 'near', '--labels', 'labels', '--classes', 'MSRS'], 'There are no labels'),
    (['masks', 'near', '--labels', 'labels', '--classes', 'MSRS', '--ids', '1'], '--ids has no effect on masks'),
    (['detections', 'near', '--labels', 'labels', '--classes', 'M3FD', '--variant', 'sea'],
     "no average precision 'sea'"),
    (['masks', 'near', '--labels', 'labels', '--classes', 'a,b', '--void', 'x'], "No class is called 'x'"),
    (['detections', 'a', 'b', '--labels', 'labels', '--classes', 'M3FD', '--out', 'x.csv'],
     'one file, but there are 2'),
])
def test_mistakes(place, capsys, words, message):
    write_yolo('labels/00001.txt', PLACES['00001'])
    assert main(['downstream', 'score', *words]) == 2
    assert message in capsys.readouterr().err
