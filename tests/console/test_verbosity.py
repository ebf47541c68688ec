"""`-q` and `-v` of every verb."""

import io
import logging

import pytest
from rich.console import Console

from vlfusion.cli import main, parse
from vlfusion.console.notes import LOG, new_run, note
from vlfusion.console.progress import ShowProgress
from vlfusion.console.verbosity import Verbosity, is_quiet, verbosity


def test_quiet_shows_neither_progress_nor_notes(caplog):
    shown = {}
    for value in (Verbosity.QUIET, Verbosity.NORMAL):
        caplog.clear()
        with verbosity(value):
            new_run()
            note('kind', 'a surprise')
            with ShowProgress(console=Console(file=io.StringIO())) as show:
                show('fusing', 1, 1)
                show.print('a line')
        shown[value] = caplog.messages, show.console.file.getvalue()
    assert shown[Verbosity.QUIET] == ([], '')
    messages, lines = shown[Verbosity.NORMAL]
    assert messages == ['note: a surprise'] and 'fusing: 1 of 1' in lines and 'a line' in lines


def test_the_amount_of_output_ends_with_its_block():
    level, handlers = LOG.level, [*LOG.handlers]
    with pytest.raises(ValueError), verbosity(Verbosity.VERBOSE):
        assert LOG.isEnabledFor(logging.DEBUG)
        raise ValueError
    assert (LOG.level, LOG.handlers, is_quiet()) == (level, handlers, False)


def test_verbose_says_where_an_error_was_raised(capsys):
    assert main(['models', 'no-such-model-at-all']) == 2
    assert 'Traceback' not in capsys.readouterr().err
    assert main(['models', 'no-such-model-at-all', '-v']) == 2
    error = capsys.readouterr().err
    assert 'zoo/cards.py' in error and error.count('error: ') == 1


def test_quiet_and_verbose_exclude_each_other(capsys):
    with pytest.raises(SystemExit):
        parse(['models', '-q', '--verbose'])
    assert '-q asks for less' in capsys.readouterr().err
