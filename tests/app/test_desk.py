"""Common ground of the tabs: how long files are kept, what a model does not read, errors without names of files."""

import os
import time

import pytest

pytest.importorskip('gradio', reason="pip install 'vlfusion[app]'")

import gradio as gr  # noqa: E402

from vlfusion.app.desk import LIFETIME, Desk, with_messages  # noqa: E402
from vlfusion.app.models import Settings  # noqa: E402
from vlfusion.app.pair_tab import Answer, PairTab  # noqa: E402


@pytest.fixture
def desk(models, limits, tmp_path):
    return Desk(models, limits, tmp_path)


def test_old_files_are_removed_and_kept_ones_stay(desk, tmp_path):
    with desk.work(keep=True) as old, desk.work(keep=True) as busy:
        pass
    paths = [old / 'a.png', busy / 'a.png', busy / 'deep/b.png', tmp_path / 'uploads/1/mri.png',
             tmp_path / 'uploads/2/pet.png', tmp_path / 'text/features/9f/9f.npy', tmp_path / 'sample/a.png']
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    long_ago = time.time() - LIFETIME - 5
    for path in [old, busy, busy / 'deep', *paths]:
        if path not in (paths[2], paths[4]):
            os.utime(path, (long_ago, long_ago))
    desk.sweep()
    assert [path.exists() for path in paths] == [False, True, True, False, True, False, True]
    assert not old.exists()


def test_an_instruction_of_a_hidden_box_is_dropped(desk):
    chosen = desk.settings('laplacian', 'infrared', 'visible', None, None, 'Make it brighter.')
    assert chosen == Settings('laplacian', 'infrared', 'visible')


def test_an_unexpected_error_is_logged_without_its_words(caplog):
    def fail():
        raise ValueError('okonkwo_adaeze.png')

    with pytest.raises(gr.Error) as error:
        with_messages(fail)()
    assert 'ValueError' in caplog.text and 'in fail' in caplog.text
    assert 'okonkwo' not in caplog.text and 'okonkwo' not in str(error.value)


def test_late_words_do_not_reach_other_sources(desk):
    tab, asked = PairTab(desk), ('a.png', 'b.png', '', '', 'laplacian', 'MRI', 'PET')
    answer = Answer(['About A.', 'About B.'], Settings('laplacian', 'MRI', 'PET'), asked)
    assert [box['value'] for box in tab.show_words(answer, *asked)] == ['About A.', 'About B.']
    for place, value in enumerate(('c.png', 'c.png', 'typed', 'typed', 'film-ivf', 'CT', 'SPECT')):
        now = [*asked[:place], value, *asked[place + 1:]]
        assert not any('value' in box for box in tab.show_words(answer, *now))
