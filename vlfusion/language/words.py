"""Numbers as words: places, shares and digits, for descriptions without figures."""

import re
from collections.abc import Sequence

#: Nine regions of an image, in rows from the top.
PLACES = (('upper left', 'upper middle', 'upper right'),
          ('middle left', 'centre', 'middle right'),
          ('lower left', 'lower middle', 'lower right'))

_SHARES = ((0.03, 'almost none'), (0.15, 'a small part'), (0.29, 'about a quarter'), (0.41, 'about a third'),
           (0.58, 'about half'), (0.70, 'about two thirds'), (0.85, 'about three quarters'), (0.97, 'most'))
_DIGITS = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine')


def place(box: tuple[float, float, float, float]) -> str:
    """Return the region of the middle of a box `(x0, y0, x1, y1)` in fractions of the image.

    >>> place((0.0, 0.0, 0.2, 0.3))
    'upper left'
    """
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return PLACES[min(int(3 * y), 2)][min(int(3 * x), 2)]


def share(fraction: float) -> str:
    """Return a fraction of the image in words.

    >>> share(0.5), share(0.02)
    ('about half', 'almost none')
    """
    return next((words for limit, words in _SHARES if fraction < limit), 'nearly all')


def join(words: Sequence[str]) -> str:
    """Join words to an enumeration.

    >>> join(['red', 'green', 'blue'])
    'red, green and blue'
    """
    return ' and '.join(filter(None, [', '.join(words[:-1]), words[-1]]))


def spell_digits(text: str) -> str:
    """Replace each digit of a text by a word.

    >>> spell_digits('2 dogs in a T2-weighted image, 15 in all')
    'two dogs in a T two-weighted image, one five in all'
    """
    apart = re.sub(r'(?<=\w)(?=\d)|(?<=\d)(?=\w)', ' ', text)
    return re.sub(r'\d', lambda digit: _DIGITS[int(digit[0])], apart)
