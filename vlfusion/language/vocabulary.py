"""Words of English descriptions: find content words, and make the forms of a word equal."""

import re
from collections.abc import Iterator, Sequence

_FUNCTION_WORDS = (
    'a about above across after against all along also although among an and any appears are around as at be because '
    'been before behind being below beneath beside between beyond both but by can could does down during each either '
    'else even every few for from further had has have having he her here him himself his how i if in inside into is '
    'it its itself just less like many may me more most much near nearly neither no nor not nothing of off on once '
    'one only or other others our out outside over own rather same seem seems several she should since so some such '
    'than that the their them then there these they this those through to together too toward towards under until up '
    'upon very was we were what when us where whereas which while who whose will with within without would yet you '
    'your')
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
#: Words that fit any image and name no object.
_OF_IMAGES = (
    'appear area aspect background bottom capture center centre central clear clearly contain contrast corner depict '
    'describe description detail different display edge entire evident feature features first focus foreground frame '
    'give half image include kind large left lie locate located lower main middle object observe overall part '
    'particular photo photograph picture place portion position present primarily prominent region right scene second '
    'section shot show side situate situated size small stand top two three four five six seven upper various view '
    'visible visual well whole')
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, without digits and punctuation.

    >>> words_of("A man's 2 dogs.")
    ['a', "man's", 'dogs']
    """
    return _WORD.findall(text.lower())


def grams(words: Sequence[str], length: int) -> Iterator[tuple[str, ...]]:
    """Yield every run of `length` words.

    >>> list(grams(['a', 'red', 'car'], 2))
    [('a', 'red'), ('red', 'car')]
    """
    return (tuple(words[start:start + length]) for start in range(len(words) - length + 1))


def fold(word: str) -> str:
    """Reduce a word to a stem, so that the forms of a word are equal. The stem need not be a word.

    >>> [fold(word) for word in ('Benches', 'cities', 'focused', 'running', 'brightly', "man's", 'glass', 'image')]
    ['bench', 'city', 'focus', 'run', 'bright', 'man', 'glass', 'imag']
    """
    word = re.sub(r"['’]s?$", '', word.lower())
    for ending, singular in (('ies', 'y'), ('sses', 'ss'), ('shes', 'sh'), ('ches', 'ch'), ('xes', 'x')):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            word = word.removesuffix(ending) + singular
            break
    else:
        if word.endswith('s') and not word.endswith(('ss', 'us', 'is')) and len(word) > 3:
            word = word[:-1]
    for ending in ('ing', 'ed', 'ly', 'ness'):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            if ending in ('ing', 'ed') and word[-1] == word[-2] and word[-1] not in 'sl':
                word = word[:-1]
            break
    return word.removesuffix('e') if len(word) > 3 else word


def content_words(text: str) -> dict[str, str]:
    """Return the stems of the words that name something, each with the first form in the text.

    >>> content_words('The image shows two dogs, and a dog house on the left.')
    {'dog': 'dogs', 'hous': 'house'}
    """
    words: dict[str, str] = {}
    for word in words_of(text):
        if len(word) > 2 and fold(word) not in _FOLDED_STOP:
            words.setdefault(fold(word), word)
    return words


_FOLDED_STOP = frozenset(map(fold, f'{_FUNCTION_WORDS} {_OF_IMAGES}'.split()))
