"""Words of descriptions."""

import pytest

from vlfusion.language.vocabulary import fold


@pytest.mark.parametrize('forms', [
    ('tree', 'trees', "tree's"), ('bench', 'benches'), ('city', 'cities'), ('running', 'runs', 'run'),
    ('focus', 'focused', 'focusing'), ('glass', 'glasses'), ('bus', 'buses'), ('box', 'boxes'), ('house', 'houses'),
    ('leave', 'leaves', 'leaving'), ('dark', 'darkly', 'darkness'), ('grass',), ('roll', 'rolling', 'rolled')])
def test_forms_of_one_word_are_equal(forms):
    assert len({fold(form) for form in forms}) == 1
