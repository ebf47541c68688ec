"""Words on pictures, in any script: fonts that have the letters, and lines that fit."""

import logging
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from vlfusion.errors import one_line, printable

#: A font of placeholders, which seems to have every letter.
LAST_RESORT = 'Last Resort'
#: Where a line may end: after a word, or after a letter of a script without blanks.
_WORDS = re.compile(r'[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]\s*|'
                    r'[^\s\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]+\s*|\s+')


@dataclass(frozen=True)
class Fonts:
    """Installed fonts that have the letters of some texts between them.

    Attributes:
        paths: their files; a letter is taken from the first that has it.
        families: their names, as matplotlib knows them.
        missing: the letters that no installed font has.
    """

    paths: tuple[str, ...]
    families: tuple[str, ...]
    missing: str = ''

    @property
    def note(self) -> str:
        """One sentence on the letters that are missing; empty where there are none."""
        if not self.missing:
            return ''
        more = f' and {len(self.missing) - 12} more' if len(self.missing) > 12 else ''
        return (f'No installed font has {printable(self.missing[:12])}{more}: boxes stand in their place. '
                'Install a font for this script, such as Noto Sans CJK.')


def fonts_for(texts: Iterable[str]) -> Fonts:
    """The font that matplotlib is set to, and as few others as have the letters that it lacks."""
    from matplotlib.font_manager import FontProperties, findfont, fontManager
    base = findfont(FontProperties())
    wanted = {letter for text in texts for letter in one_line(text) if not letter.isspace()}
    paths, families, missing = [base], FontProperties().get_family(), wanted - _letters(base)
    if missing:
        entries = sorted({(entry.style != 'normal', abs(_weight(entry.weight) - 400), entry.name, entry.fname)
                          for entry in fontManager.ttflist if not entry.name.startswith(LAST_RESORT)})
        while missing and entries:
            best = max(entries, key=lambda entry: len(missing & _letters(entry[-1])))
            if not (found := missing & _letters(best[-1])):
                break
            missing -= found
            paths.append(best[-1])
            families = [*families, best[-2]]
    return Fonts(tuple(paths), tuple(families), ''.join(sorted(missing)))


@contextmanager
def without_font_warnings() -> Iterator[None]:
    """Keep matplotlib from a warning for each letter and each font; `Fonts.note` says what is missing."""
    log = logging.getLogger('matplotlib.font_manager')
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', 'Glyph .* missing from font')
            yield
    finally:
        log.setLevel(before)


def wrap(text: str, width: float, length: Callable[[str], float]) -> list[str]:
    """Lines of a text of at most that length; a word that is longer is cut.

    >>> wrap('two words and more', 9, len)
    ['two words', 'and more']
    >>> wrap('夜间 场景', 2, len)
    ['夜间', '场景']
    """
    lines, line = [], ''
    for word in _WORDS.findall(one_line(text)):
        if line and length((line + word).rstrip()) > width:
            lines, line = [*lines, line.rstrip()], ''
        line += word
        while len(line) > 1 and length(line.rstrip()) > width:
            fits = max(1, sum(length(line[:end]) <= width for end in range(1, len(line) + 1)))
            lines, line = [*lines, line[:fits]], line[fits:]
    return [*lines, line.rstrip()] if line.strip() else lines


class Pen:
    """Writes on pictures of OpenCV.

    Args:
        fonts: that have the letters, see `fonts_for`.
        size: of the letters, in pixels.
    """

    def __init__(self, fonts: Fonts, size: int):
        self.fonts, self.size = fonts, size

    @cached_property
    def _faces(self) -> list[tuple[frozenset[str], ImageFont.FreeTypeFont]]:
        return [(_letters(path), ImageFont.truetype(path, self.size)) for path in self.fonts.paths]

    def length(self, text: str) -> float:
        """The length of a line in pixels."""
        return sum(face.getlength(part) for part, face in self._parts(text))

    def write(self, picture: UInt8[np.ndarray, 'h w 3'], lines: Iterable[tuple[int, int, str]]) -> np.ndarray:
        """The picture with lines in black, each given as its left end, its base line and its words."""
        image = Image.fromarray(picture)
        canvas = ImageDraw.Draw(image)
        for left, base, text in lines:
            for part, face in self._parts(text):
                canvas.text((left, base), part, fill=(0, 0, 0), font=face, anchor='ls')
                left += face.getlength(part)
        return np.array(image)

    def _parts(self, text: str) -> list[tuple[str, ImageFont.FreeTypeFont]]:
        """The text in parts that one font has."""
        parts: list[tuple[str, ImageFont.FreeTypeFont]] = []
        for letter in text:
            face = next((face for letters, face in self._faces if letter in letters), self._faces[0][1])
            if parts and (parts[-1][1] is face or letter.isspace()):
                parts[-1] = parts[-1][0] + letter, parts[-1][1]
            else:
                parts.append((letter, face))
        return parts


@cache
def _letters(path: str) -> frozenset[str]:
    """The letters of a font; none of a file that cannot be read."""
    from matplotlib.ft2font import FT2Font
    try:
        return frozenset(map(chr, FT2Font(path).get_charmap()))
    except (OSError, RuntimeError, ValueError):
        return frozenset()


def _weight(weight: int | str) -> int:
    """The weight of a font as a number."""
    from matplotlib.font_manager import weight_dict
    return weight if isinstance(weight, int) else weight_dict.get(weight, 400)
