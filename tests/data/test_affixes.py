"""A prefix or suffix that all files share is found, or none is."""

import pytest

from vlfusion.data.affixes import affix_in_words, common_affix, find_affixes


@pytest.mark.parametrize(('names', 'files', 'affix'), [
    (['a1', 'b'], ['a1_fused', 'b_fused'], ('', '_fused')),
    (['a1', 'b'], ['fused-a1', 'fused-b'], ('fused-', '')),
    (['1', '2'], ['out1x', 'out2x'], ('out', 'x')),
    (['1', '12'], ['1_f', '12_f', 'notes'], ('', '_f')),
    (['夜间 1', '2'], ['夜间 1_融合', '2_融合'], ('', '_融合')),
    (['p0', 'p1'], ['p0', 'p1_f'], None),  # one has the name itself
    (['1', '2'], ['1_2', '2_2', '1_1'], None),  # the 2 of 1_2 may be the pair or the suffix
    (['1', '2'], ['1_f', '1_g', '2_f', '2_g'], None),  # two results
    (['1', '2'], ['1_f', '3_f'], None),  # one is lacking
    (['1'], ['21'], None),  # not a part of a number
    (['a'], ['area'], None),  # nor of a word
    ([], ['a'], None)])
def test_one_reading_fits_every_name_or_there_is_none(names, files, affix):
    assert common_affix(names, files) == affix


def test_folders_are_read_beside_the_one_with_plain_names():
    folders = {'ir': ['1_ir', '2_ir'], 'vi': ['1', '2'], 'fused': ['1_out', '2_out']}
    assert find_affixes(folders) == {'ir': ('', '_ir'), 'fused': ('', '_out')}
    assert find_affixes(folders | {'vi': ['1_vi', '2_vi']}) == {}, 'day_1 is no partner of night_1'
    assert find_affixes({'ir': ['1', '2', '3'], 'fused': ['2_out']}) == {}
    assert find_affixes({'ir': ['1', '2', '3'], 'fused': ['2_out']}, ['2']) == {'fused': ('', '_out')}


def test_the_sentence_names_what_is_left_out():
    assert affix_in_words('x', ('a_', '_b')) == 'All names of x begin with a_ and end in _b: pairing without them.'
