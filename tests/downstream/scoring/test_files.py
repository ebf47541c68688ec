"""Predictions in files are scored as those in memory, and the record says how."""

import json
from unicodedata import normalize

import numpy as np
import pytest

from vlfusion.data.pairs import Pair
from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.labels import YOLOLabels
from vlfusion.downstream.predictions import write_yolo_results
from vlfusion.downstream.scoring.detections import score_detections
from vlfusion.downstream.scoring.files import score_predictions
from vlfusion.downstream.sets import LabelledSet, load_labelled
from vlfusion.errors import ConfigError, DataError
from vlfusion.imaging.images import write_image
from vlfusion.testing.labelled import BOXES, SIZE, draw_labelled, write_yolo


@pytest.fixture
def labels(tmp_path):
    for name in ('1', '2', '3'):
        write_yolo(tmp_path / f'labels/{name}.txt', BOXES if name != '3' else [])
        write_image(tmp_path / f'ir/{name}.png', np.zeros(SIZE, np.uint8))
    found = Boxes(np.array([box for _, box in BOXES]) + 2., np.array([0, 1]), np.array([0.9, 0.8]))
    write_yolo_results(tmp_path / 'found', {'1': found, '3': found}, lambda _: SIZE)
    return YOLOLabels('labels', 'M3FD', tmp_path)


def test_files_and_memory_agree(labels, tmp_path):
    result = score_predictions(tmp_path / 'found', labels, images=tmp_path / 'ir')
    read = {name: labels.read(name, SIZE) for name in labels.names()}
    again = score_detections(result.predictions.images, read, labels.classes)
    assert result.scores.values == again.values
    assert result.record['values'] == again.values
    assert result.notes == ['1 image without a prediction file or entry, which counts as no detections: 2',
                            '1 image without labels, which count in the set but have no score of their own: 3']


def test_what_is_written(labels, tmp_path):
    result = score_predictions(tmp_path / 'found', labels, images=tmp_path / 'ir', names=['1', '3'])
    table, record = result.write(tmp_path / 'scores/mine.csv')
    assert [line.split(',')[0] for line in table.read_text().splitlines()] == ['name', '1']
    facts = json.loads(record.read_text())
    assert facts['unlabelled'] == ['3'] and facts['silent'] == []
    assert facts['classes']['names'][3] == 'Lamp'
    assert [*facts['inputs']['labels']['files']] == ['1.txt', '3.txt']
    result.write(tmp_path / 'scores/mine.csv')
    (tmp_path / 'scores/other.json').write_text('{}')
    with pytest.raises(ConfigError, match='was not written with scores'):
        result.write(tmp_path / 'scores/other.csv')


def test_a_split_knows_its_images_and_names(tmp_path):
    draw_labelled('m3fd', tmp_path)
    config = dict(data_root=str(tmp_path), classes='M3FD', labels=dict(type='YOLOLabels', place='labels'),
                  test=dict(source_a='ir', source_b='vi', names='ImageSets/Main/test.txt'))
    split = load_labelled(config)['test']
    perfect = {name: Boxes(split.labels.read(name, SIZE).corners, np.array([0, 1]), np.ones(2))
               for name in split.labels.names()}
    write_yolo_results(tmp_path / 'found', perfect, lambda _: SIZE)
    result = score_predictions(tmp_path / 'found', split)
    assert result.scores.names == ('00000',)
    assert result.scores.values['AP50'] == 1
    assert result.predictions.unscored == ('00001', '00002')


def test_faults(labels, tmp_path):
    with pytest.raises(DataError, match='do not state the size of 3 images, such as 1'):
        score_predictions(tmp_path / 'found', labels)
    with pytest.raises(DataError, match="'4' is in .*no labelled image has that name"):
        (tmp_path / 'names.txt').write_text('1\n4\n')
        score_predictions(tmp_path / 'found', labels, names=tmp_path / 'names.txt')
    (tmp_path / 'ir/2.png').unlink()
    with pytest.raises(DataError, match='2 has no image in .*ir'):
        score_predictions(tmp_path / 'found', labels, images=tmp_path / 'ir')


def test_images_are_found_under_every_spelling_and_in_folders(tmp_path):
    name = normalize('NFD', 'é/1')
    write_yolo(tmp_path / f'labels/{name}.txt', BOXES)
    write_image(tmp_path / f'ir/{name}.png', np.zeros(SIZE, np.uint8))
    labels = YOLOLabels('labels/*', 'M3FD', tmp_path)
    found = Boxes(labels.read(name, SIZE).corners, np.array([0, 1]), np.ones(2))
    write_yolo_results(tmp_path / 'found', {name: found}, lambda _: SIZE)
    result = score_predictions(tmp_path / 'found', LabelledSet('test', (Pair(name, tmp_path, tmp_path),), labels),
                               images=tmp_path / 'ir')
    assert result.scores.values['AP50'] == 1 and result.notes == []
    assert {side: len(part['files']) for side, part in result.record['inputs'].items()} == dict(predictions=1, labels=1)
