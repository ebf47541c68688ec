"""Texts of a folder, as an audit takes them; those of a config are in tests/cli/test_text.py."""

import pytest

from vlfusion.data.texts_to_audit import texts_of_folder
from vlfusion.errors import DataError


def test_texts_are_grouped_by_folder(tmp_path):
    for place, text in (('set/near/1', 'A dog.'), ('set/far/1', 'A cat.')):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f'{place}.txt').write_text(text)
    texts = texts_of_folder(tmp_path / 'set')
    assert [(text.group, text.text) for text in texts] == [('set/far', 'A cat.'), ('set/near', 'A dog.')]


def test_a_folder_without_texts_and_a_file_of_other_bytes(tmp_path):
    with pytest.raises(DataError, match=r'no \.txt files'):
        texts_of_folder(tmp_path)
    (tmp_path / 'a.txt').write_bytes(b'\xff\xfe')
    with pytest.raises(DataError, match='UTF-8'):
        texts_of_folder(tmp_path)
