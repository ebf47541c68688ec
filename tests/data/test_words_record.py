"""Records of words belong to pictures by content, and other files of that name stay."""

import json

import pytest

from vlfusion.data.words_record import RECORD, check_records, read_words, write_words
from vlfusion.errors import DataError


@pytest.fixture
def pictures(tmp_path):
    (tmp_path / 'sub').mkdir()
    files = {name: tmp_path / f'{name}.png' for name in ('a', 'b', 'sub/c')}
    for name, path in files.items():
        path.write_bytes(name.encode())
    return files


def test_words_are_those_of_the_picture_and_earlier_ones_stay(pictures, tmp_path):
    write_words(pictures, {'a': {'MRI': 'A brain.'}, 'sub/c': {'pair': 'A wall.'}})
    write_words(pictures, {'b': {'instruction': 'Brighten it.'}})
    assert [read_words(path) for path in pictures.values()] == [
        {'MRI': 'A brain.'}, {'instruction': 'Brighten it.'}, {'pair': 'A wall.'}]
    assert (tmp_path / 'sub' / RECORD).is_file() and '.png' not in (tmp_path / RECORD).read_text(), 'no names'
    pictures['a'].write_bytes(b'another picture')
    assert read_words(pictures['a']) is None and read_words(tmp_path / 'sub/none/x.png') is None


def test_another_file_of_that_name_is_no_record_and_is_not_replaced(pictures, tmp_path):
    for content in ('{"shapes": []}', '[]', 'no json', '{"vlfusion": 1, "pairs": 3}'):
        (tmp_path / RECORD).write_text(content)
        assert read_words(pictures['a']) is None
        with pytest.raises(DataError, match='is no record of fused pictures'):
            check_records(pictures)
    (tmp_path / RECORD).unlink()
    check_records(pictures)


def test_records_of_the_page_are_read(pictures, tmp_path):
    from vlfusion.files import file_digest
    record = {'vlfusion': '1', 'instruction': 'Brighten it.', 'source_a': {'modality': 'MRI'},
              'source_b': {'modality': 'PET'}, 'words': ['A brain.', 'A blue brain.'],
              'fused': {'sha256': file_digest(pictures['a'])}}
    (tmp_path / RECORD).write_text(json.dumps(record))
    assert read_words(pictures['a']) == {'MRI': 'A brain.', 'PET': 'A blue brain.', 'instruction': 'Brighten it.'}
    batch = {'vlfusion': '1', 'instruction': 'Darken it.', 'pairs': [{'fused': file_digest(pictures['b'])}]}
    (tmp_path / RECORD).write_text(json.dumps(batch))
    assert read_words(pictures['b']) == {'instruction': 'Darken it.'} and read_words(pictures['a']) is None
