"""Labelled sets: published layouts are read with their splits, and wrong ones are refused with the file's name."""

import cv2
import numpy as np
import pytest

from vlfusion.config import load_config
from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.check import check_labels
from vlfusion.downstream.sets import KEYS, load_labelled
from vlfusion.errors import ConfigError, DataError, UnknownNameError
from vlfusion.imaging.images import write_image
from vlfusion.testing.labelled import BOXES, LAYOUTS, SIZE, draw_labelled, drawn_mask, write_yolo


def drawn(name, root):
    """The config of a set that is drawn."""
    draw_labelled(name, root)
    return load_config(f'configs/downstream/{name}.py', {'data_root': str(root)}, known=KEYS)


def read(name, root):
    return load_labelled(drawn(name, root))


@pytest.mark.parametrize('name', LAYOUTS)
def test_configs_read_the_published_layouts(name, tmp_path):
    sets = read(name, tmp_path)
    assert [*sets] == {'msrs_detection': ['test'], 'mfnet': ['train', 'val', 'test']}.get(name, ['train', 'test'])
    for labelled in sets.values():
        for pair, label in labelled:
            assert pair.modality_a == 'infrared' and pair.path_a.is_file()
            if isinstance(label, Boxes):
                expected = [] if pair.name == '00024D' else [box for _, box in BOXES]
                numbers = {'llvip': [0, 0]}.get(name, [0, 1])
                assert np.allclose(label.corners, np.reshape(expected, (-1, 4)), atol=1e-4)
                assert label.classes.tolist() == numbers[:len(expected)]
            else:
                assert np.array_equal(label, drawn_mask(labelled.classes))


def test_a_set_gives_labels_by_name_and_subsets(tmp_path):
    train = read('m3fd', tmp_path)['train']
    assert train.names() == ['00001', '00002'] and len(train.label('00002')) == 2
    assert train.subset(['00002']).names() == ['00002']
    with pytest.raises(UnknownNameError, match='The split train has no pair .00003.'):
        train.subset(['00003'])


def test_pairs_without_a_label_are_listed(tmp_path):
    config = drawn('m3fd', tmp_path)
    (tmp_path / 'labels/00002.txt').unlink()
    with pytest.raises(DataError, match="00002: the pair of train has no label(.|\n)*missing='empty'"):
        load_labelled(config)
    config.labels.missing = 'empty'
    assert len(load_labelled(config)['train'].label('00002')) == 0


def test_a_missing_list_says_where_the_published_one_lies(tmp_path):
    config = drawn('m3fd', tmp_path)
    (tmp_path / 'ImageSets/Main/test.txt').unlink()
    with pytest.raises(DataError, match='no list of names at .*test.txt(.|\n)*E2E-MFD-HOD'):
        load_labelled(config)


def test_a_missing_data_root_says_how_to_get_the_set(tmp_path):
    config = load_config('configs/downstream/m3fd_xml.py', {'data_root': str(tmp_path / 'M3FD_Detection')}, known=KEYS)
    with pytest.raises(DataError, match='`vlfusion data M3FD-Detection` says where M3FD-Detection is'):
        load_labelled(config)


def test_pairs_in_train_and_test_are_refused_and_those_in_val_and_test_are_noted(tmp_path, caplog):
    config = drawn('mfnet', tmp_path)
    (tmp_path / 'val.txt').write_text('00003D\n')
    assert load_labelled(config).keys() == {'train', 'val', 'test'}
    assert '1 pairs of test are in val too, such as 00003D' in caplog.text
    (tmp_path / 'train.txt').write_text('00001D\n00003D\n')
    with pytest.raises(DataError, match='train and val: 1 pairs of val are in train too, such as 00003D'):
        load_labelled(config)


def test_names_of_m3fd_in_another_order_are_noted(tmp_path, caplog):
    config = drawn('m3fd', tmp_path)
    config.classes = ['People', 'Car', 'Bus', 'Motorcycle', 'Lamp', 'Truck']
    load_labelled(config)
    assert 'those of M3FD in another order' in caplog.text


def test_images_of_two_sizes_are_refused(tmp_path):
    test = read('m3fd', tmp_path)['test']
    cv2.imwrite(str(tmp_path / 'vi/00000.png'), np.zeros((SIZE[0], 32, 3), np.uint8))
    with pytest.raises(DataError, match=r'ir/00000.png is 64x48, but .*vi/00000.png is 32x48'):
        test.label('00000')


@pytest.mark.parametrize(('change', 'message'), [
    (dict(labels=None), "has no 'labels'"), (dict(test=None, train=None), 'has no split'),
    (dict(labels=dict(type='YOLOLabels')), 'have no place'), (dict(classes='M3DF'), 'Did you mean M3FD'),
    (dict(test=dict(source_a='ir', source='vi')), "no argument 'source'"), (dict(test=dict(source_a='ir')), 'source_b'),
    (dict(labels=dict(type='YOLOLabels', place='label')), r'no labels \(\*.txt\) in .*/label')])
def test_wrong_configs_are_refused(change, message, tmp_path):
    config = drawn('m3fd', tmp_path)
    with pytest.raises((ConfigError, DataError, UnknownNameError), match=message):
        load_labelled({**config.to_dict(), **change})


def test_labels_in_deeper_folders_have_the_names_of_their_pairs(tmp_path):
    from vlfusion.testing.toys import draw_pairs
    for day in ('day', 'night'):
        draw_pairs(tmp_path, ['1'], f'ir/{day}', f'vi/{day}', SIZE)
        write_yolo(tmp_path / f'labels/{day}/1.txt', BOXES[:1 + (day == 'night')])
    sets = load_labelled(dict(data_root=str(tmp_path), classes='M3FD', labels=dict(type='YOLOLabels', place='labels/*'),
                              test=dict(source_a='ir/*', source_b='vi/*')))
    assert [(pair.name, len(boxes)) for pair, boxes in sets['test']] == [('day/1', 1), ('night/1', 2)]


def test_the_names_of_pairs_decide_on_folders_of_labels(tmp_path):
    """Images repeat a stem, labels do not."""
    for name in ('day/0', 'night/0', 'night/1'):
        for side in ('ir', 'vi'):
            write_image(tmp_path / f'{name[:-2]}/{side}/{name[-1]}.png', np.zeros(SIZE, np.uint8))
    for name in ('day/0', 'night/1'):
        write_yolo(tmp_path / f'{name[:-2]}/labels/{name[-1]}.txt', [])
    config = dict(data_root=str(tmp_path), classes='M3FD', labels=dict(type='YOLOLabels', place='*/labels'),
                  test=dict(source_a='*/ir', source_b='*/vi', names=['day/0', 'night/1']))
    assert [pair.name for pair, _ in load_labelled(config)['test']] == ['day/0', 'night/1']
    result = check_labels(config)
    assert result.faults == []
    config['test'].pop('names')
    with pytest.raises(DataError, match='night/0: the pair of test has no label'):
        load_labelled(config)
    write_image(tmp_path / 'ir/0.png', np.zeros(SIZE, np.uint8))
    write_image(tmp_path / 'vi/0.png', np.zeros(SIZE, np.uint8))
    config['test'] = dict(source_a='**/ir', source_b='**/vi', names=['0', 'day/0'])
    with pytest.raises(DataError, match='day/0: the pair of test has the label of 0: .*day/labels/0.txt'):
        load_labelled(config)
