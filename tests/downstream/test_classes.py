"""Class tables: published ones by name, those of a config, and what is refused."""

import pytest

from vlfusion.downstream.classes import TABLES, ClassTable, get_classes, reordered
from vlfusion.errors import ConfigError, UnknownNameError


def test_published_tables_are_found_by_name():
    assert get_classes('m3fd').names[3:5] == ('Lamp', 'Motorcycle')
    assert get_classes('MSRS_detection') is TABLES['MSRS detection']
    assert get_classes(TABLES['FMB']) is TABLES['FMB'] and len(TABLES['FMB']) == 15


def test_tables_with_void_have_a_colour_for_each_class():
    for table in TABLES.values():
        assert table.palette == () or len({*table.palette}) == len(table) and table.void == 0


def test_coco_has_the_80_names_in_the_order_of_yolo():
    names = get_classes('COCO').names
    assert len(names) == 80 and (names[0], names[2], names[79]) == ('person', 'car', 'toothbrush')


def test_an_unknown_name_is_guessed():
    with pytest.raises(UnknownNameError, match='Did you mean M3FD'):
        get_classes('M3DF')


def test_a_config_gives_a_table_of_its_own():
    table = get_classes(dict(names=['void', 'Person'], void=0, palette=[[0, 0, 0], [255, 0, 0]]))
    assert table == ClassTable(('void', 'Person'), 0, ((0, 0, 0), (255, 0, 0))) and table.number_of('person') == 1
    assert get_classes(['a', 'b']).names == ('a', 'b') and get_classes(['a']).number_of('b') is None


@pytest.mark.parametrize(('classes', 'message'), [
    ([], 'expected a list of words'), (dict(names=['a', 3]), 'expected a list of words'),
    (['a', 'A'], "names 'a' twice"),
    (dict(names=['a'], viod=0), 'Did you mean void'), (dict(names=['a'], void=1), 'numbered 0 to 0'),
    (dict(names=['a', 'b'], palette=[[0, 0, 0]]), 'does not fit 2 classes'),
    (dict(names=['a'], palette=[[0, 0, 256]]), 'does not fit 1 classes')])
def test_wrong_tables_are_refused(classes, message):
    with pytest.raises(ConfigError, match=message):
        get_classes(classes)


def test_the_same_names_in_another_order_are_recognised():
    assert reordered(get_classes(['people', 'car', 'bus', 'motorcycle', 'lamp', 'truck'])) == 'M3FD'
    assert reordered(get_classes('M3FD')) == reordered(get_classes(['person', 'lamp'])) == ''
