"""A misspelt word gets a guess."""

import pytest

from vlfusion.cli import main


@pytest.mark.parametrize(('words', 'meant'), [
    (['fse'], 'fuse'), (['benchmrak', 'x.py'], 'benchmark'), (['leaderbord'], 'leaderboard'),
    (['convert_weights'], 'convert-weights'), (['prepare-data', 'sampel'], 'sample'),
    (['contact-sheet', '--source-a', 'a', '--source-b', 'b', '--out', 'x.png', '--inset', 'insid'], 'inside')])
def test_what_a_misspelt_word_was_meant_to_be(words, meant, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2 and f'Did you mean {meant}?' in capsys.readouterr().err
