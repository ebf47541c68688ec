"""Messages stay on their lines and guess what was meant."""

import pytest

from vlfusion.cli import main
from vlfusion.errors import ConfigError, DataError, did_you_mean, listing, needs, printable


@pytest.mark.parametrize(('text', 'shown'), [
    ('a\x1b]0;owned\x07', r'a\x1b]0;owned\x07'), ('a\x9b31m', r'a\x9b31m'), ('a\r\b\x7f', r'a\r\x08\x7f'),
    ('a\u202eb', r'a\u202eb'), ('a\u200bb', r'a\u200bb'), ('a\ud800', r'a\ud800'),
    ('two\n\tlines é 夜 “ok” 😀', 'two\n\tlines é 夜 “ok” 😀')])
def test_a_terminal_obeys_no_text(text, shown):
    assert printable(text) == shown
    assert str(DataError(text, text)) == f'{shown}\n  -> {shown}'
    assert listing([text]) == f'    {shown}'


@pytest.mark.parametrize(('name', 'guess'), [('vif', 'VIF'), ('qABF', 'Qabf'), ('SSIN', 'SSIM')])
def test_a_guess_heeds_no_letter_case(name, guess):
    assert did_you_mean(name, ['VIF', 'Qabf', 'SSIM']).startswith(f'Did you mean {guess}? ')


def test_a_guess_finds_the_name_behind_a_package():
    assert did_you_mean('SizeCaptoner', ['OpenAICaptioner', 'mine.SizeCaptioner']).startswith(
        'Did you mean mine.SizeCaptioner? ')


def test_a_name_stays_on_its_line():
    assert printable('a\n\tb', lines=False) == r'a\n\tb' and printable(3) == '3'


def test_what_an_error_names_reaches_no_terminal_raw(capsys):
    assert main(['text', 'show', 'no\x1b[2J.py', 'p0', '--cfg-options',
                 'language.llm.base_url=http://me:hunter2@host']) == 2
    said = capsys.readouterr().err
    assert '\x1b' not in said and r'no\x1b[2J.py' in said and 'hunter2' not in said


def test_a_package_that_is_missing_is_named_with_its_part_and_its_command():
    with pytest.raises(ConfigError) as caught, needs('MyNet', 'no_such_package', remedy='pip install it'):
        import no_such_package  # noqa: F401
    assert caught.value.problem == ("MyNet needs no_such_package, which cannot be imported: "
                                    "No module named 'no_such_package'.")
    assert caught.value.remedy == 'pip install it'


def test_other_errors_are_not_taken_for_a_missing_package():
    with pytest.raises(ZeroDivisionError), needs('MyNet', 'math'):
        _ = 1 / 0
