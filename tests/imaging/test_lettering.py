"""Letters of any script are drawn with installed fonts, or one sentence says that none has them."""

import numpy as np
import pytest
from fonts import installer

from vlfusion.imaging.lettering import Fonts, Pen, fonts_for, wrap


@pytest.fixture
def install(tmp_path, monkeypatch):
    return installer(tmp_path, monkeypatch)


#: Letters for private use, which no font on a machine has.
PRIVATE = '\ue8f0\ue8f1\ue8f2\ue8f3'


@pytest.mark.slow
def test_letters_are_taken_from_as_few_installed_fonts_as_have_them(install):
    assert fonts_for(['plain', 'été']).paths == fonts_for(['']).paths and len(fonts_for(['']).paths) == 1
    few, many = install('Few', PRIVATE[:2]), install('Many', PRIVATE[1:])
    fonts = fonts_for([f'a{PRIVATE[1:]}\tb'])
    assert fonts.paths[1:] == (many,) and fonts.families[-1] == 'Many' and not fonts.missing and not fonts.note
    assert fonts_for([PRIVATE]).paths[1:] == (many, few)


def test_letters_that_no_font_has_are_one_sentence(install):
    install('One', PRIVATE[0])
    fonts = fonts_for([PRIVATE, 'a'])
    assert fonts.missing == PRIVATE[1:] and fonts.note.startswith('No installed font has ')
    assert '\n' not in fonts.note and Fonts((), (), 'x' * 30).note.count(' and 18 more') == 1


def test_a_pen_changes_fonts_within_a_line(install):
    install('Wide', PRIVATE)
    pen = Pen(fonts_for([PRIVATE, 'ab']), 20)
    assert pen.length(PRIVATE[0]) == 12 and pen.length(f'a{PRIVATE[0]}b') == pytest.approx(pen.length('ab') + 12, abs=1)
    picture = pen.write(np.full((30, 100, 3), 255, np.uint8), [(10, 25, PRIVATE[:1])])
    dark = np.argwhere(picture[..., 0] < 128)
    assert dark.min(0).tolist() == [11, 11] and dark.max(0).tolist() == [24, 20]
    pen.write(picture, [(0, 25, '夜')])  # a box where there is no letter


@pytest.mark.parametrize(('text', 'width', 'lines'), [
    ('', 5, []), ('  ', 5, []), ('one', 5, ['one']), ('one two', 5, ['one', 'two']), ('longerword x', 5,
                                                                                    ['longe', 'rword', 'x']),
    ('a\nb\tc', 9, ['a b c']), ('夜间场景 x', 3, ['夜间场', '景 x']), ('ab', 0.5, ['a', 'b'])])
def test_lines_fit(text, width, lines):
    assert wrap(text, width, len) == lines
