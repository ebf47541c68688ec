"""Progress: the remaining time is known after one piece of work; a file gets a line now and then."""

import io

import pytest
from rich.console import Console

from vlfusion.console.progress import ShowProgress, track


class Clock:
    """A clock that is set by hand."""

    seconds = 1000.0

    def __call__(self):
        return self.seconds


def shown(pieces, seconds, until=None, terminal=False, **options):
    """The output of a step of so many pieces that take so many seconds each, at its end or when some are done."""
    clock, file = Clock(), io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=120, color_system=None)
    with ShowProgress(console=console, clock=clock) as show:
        for done in range((pieces if until is None else until) + 1):
            show('training', done, pieces, **options)
            clock.seconds += seconds
        clock.seconds -= seconds
    return file.getvalue()


@pytest.mark.parametrize(('seconds', 'left'), [(1, '0:00:09'), (31, '0:04:39'), (3600, '9:00:00')])
def test_a_bar_knows_the_remaining_time_after_one_piece_however_long_it_takes(seconds, left):
    assert '-:--:--' in shown(10, seconds, until=0, terminal=True)
    assert f'eta {left}' in shown(10, seconds, until=1, terminal=True)


@pytest.mark.slow
@pytest.mark.parametrize(('pieces', 'seconds', 'lines'), [
    (1, 5, 2), (5, 0.01, 2), (1000, 0.001, 2), (10, 2, 11), (1000, 0.1, 11), (1000, 60, 80), (100_000, 7, 120)])
def test_a_file_gets_a_line_now_and_then(pieces, seconds, lines):
    output = shown(pieces, seconds).splitlines()
    assert output[0] == f'training: 0 of {pieces:,}'
    assert output[-1].startswith(f'training: {pieces:,} of {pieces:,}')
    assert lines / 2 < len(output) <= lines


def test_a_line_states_the_remaining_time_and_the_note():
    output = shown(10, 40, note='loss 0.5').splitlines()
    assert output[1] == 'training: 1 of 10, about 6 min left, loss 0.5'
    assert output[-1] == 'training: 10 of 10 in 6 min 40 s, loss 0.5'


def test_an_inner_step_is_silent_unless_one_takes_long():
    assert shown(10, 1, inner=True) == ''
    assert shown(10, 40, inner=True).splitlines()[0] == 'training: 1 of 10, about 6 min left'


def test_a_step_that_is_done_again_starts_anew():
    clock, file = Clock(), io.StringIO()
    with ShowProgress(console=Console(file=file), clock=clock) as show:
        for done in [*range(4), *range(4)]:
            show('scoring', done, 3)
            clock.seconds += 0.1
    assert file.getvalue().splitlines() == ['scoring: 0 of 3', 'scoring: 3 of 3'] * 2


def test_threads_may_come_out_of_order():
    file = io.StringIO()
    with ShowProgress(console=Console(file=file), clock=Clock()) as show:
        for done in (0, 2, 1, 4, 3):
            show('fusing', done, 4)
    assert file.getvalue().splitlines() == ['fusing: 0 of 4', 'fusing: 4 of 4']


def test_names_with_brackets_are_printed_as_they_are():
    file = io.StringIO()
    with ShowProgress(console=Console(file=file)) as show:
        show('[red]set[/red]: a', 1, 2)
    assert file.getvalue() == '[red]set[/red]: a: 1 of 2\n'


def test_quiet_shows_nothing(capsys):
    assert list(track([1, 2, 3], 'fusing', quiet=True)) == [1, 2, 3]
    assert capsys.readouterr() == ('', '')


def test_track_writes_to_stderr(capsys):
    assert list(track([1, 2, 3], 'fusing')) == [1, 2, 3]
    assert capsys.readouterr() == ('', 'fusing: 0 of 3\nfusing: 3 of 3\n')
