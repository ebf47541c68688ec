"""Names that a config can use, by kind; the printed lists are tested in tests/cli/test_list.py."""

import pytest

from vlfusion.catalogue import find_entries
from vlfusion.errors import UnknownNameError


def test_a_kind_and_a_word():
    assert [entry.name for entry in find_entries(['backbones', 'film'])['backbone']][0] == 'FILM'
    assert list(find_entries(['text', 'encoders'])) == ['text encoder']
    assert 'loss' in find_entries(['ssim'])


def test_models_are_the_registered_ones_and_those_with_a_name():
    groups = find_entries(['models'])
    assert [entry.name for entry in groups['model']][:2] == ['CleanTargetModel', 'FusionModel']
    assert 'film-ivf-authors' in [entry.name for entry in groups['named model']]
    assert [entry.name for entry in find_entries(['named', 'models', 'film-mef-authors'])['named model']] == [
        'film-mef-authors']


def test_without_words_the_registries_and_plugins():
    groups = find_entries()
    assert 'backbone' in groups and 'config' not in groups


@pytest.mark.parametrize(('words', 'message'), [(['configz'], 'Did you mean config'), (['tasks', 'zz'], 'No task has')])
def test_nothing_fits(words, message):
    with pytest.raises(UnknownNameError, match=message):
        find_entries(words)
