import pytest

from vlfusion.errors import DataError, listing, printable


@pytest.mark.parametrize(('text', 'shown'), [
    ('a\x1b]0;owned\x07', r'a\x1b]0;owned\x07'), ('a\x9b31m', r'a\x9b31m'), ('a\r\b\x7f', r'a\r\x08\x7f'),
    ('a\u202eb', r'a\u202eb'), ('a\ud800', r'a\ud800'), ('two\n\tlines é 夜', 'two\n\tlines é 夜')])
def test_a_terminal_obeys_no_text(text, shown):
    assert printable(text) == shown
    assert str(DataError(text, text)) == f'{shown}\n  -> {shown}'
    assert listing([text]) == f'    {shown}'
