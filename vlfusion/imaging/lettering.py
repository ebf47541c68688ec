"""Text on pictures, in any script: fonts that have the letters, and lines that fit."""

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

#: A font of placeholders. It claims to have every letter.
LAST_RESORT = 'Last Resort'
#: Units after which a line may end: a word, or a letter of a script without blanks.
_WORDS = re.compile(r'[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]\s*|'
                    r'[^\s\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]+\s*|\s+')


@dataclass(frozen=True)
class Fonts:
    """Installed fonts that together have the letters of some texts.

    Attributes:
        paths: font files; a letter is taken from the first that has it.
        families: font names, as matplotlib knows them.
        missing: the letters that no installed font has.
    """

    paths: tuple[str, ...]
    families: tuple[str, ...]
    missing: str = ''

    @property
    def note(self) -> str:
        """A note on missing letters; empty if no letter is missing."""
        if not self.missing:
            return ''
        more = f' and {len(self.missing) - 12} more' if len(self.missing) > 12 else ''
        return (f'No installed font has {printable(self.missing[:12])}{more}; boxes are drawn instead. '
                'Install a font for this script, such as Noto Sans CJK.')


def fonts_for(texts: Iterable[str]) -> Fonts:
    """Matplotlib's chosen font, and as few others as possible for the letters that it lacks."""
    from matplotlib.font_manager import FontProperties, findfont, fontManager
    base = findfont(FontProperties())
    letters = {letter for text in texts for letter in one_line(text) if not letter.isspace()}
    paths, families, missing = [base], FontProperties().get_family(), letters - _letters(base)
    if missing:
        entries = sorted({(entry.style != 'normal', abs(_weight(entry.weight) - 400), entry.name, entry.fname)
                          for entry in fontManager.ttflist if not entry.name.startswith(LAST_RESORT)})
        while missing and entries:
            best = max(entries, key=lambda entry: len(missing & _letters(entry[-1])))
            if not (added := missing & _letters(best[-1])):
                break
            missing -= added
            paths.append(best[-1])
            families = [*families, best[-2]]
    return Fonts(tuple(paths), tuple(families), ''.join(sorted(missing)))


@contextmanager
def without_font_warnings() -> Iterator[None]:
    """Silence matplotlib's warnings for each letter and font; `Fonts.note` names the missing letters."""
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
    """Break a text into lines of at most `width`, as `length` measures them; longer words are cut.

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
    """A writer of text on pictures in OpenCV's form.

    Args:
        fonts: fonts that have the letters, see `fonts_for`.
        size: font size in pixels.
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
        """Return the picture with lines of black text, each given as left end, base line and text."""
        image = Image.fromarray(picture)
        canvas = ImageDraw.Draw(image)
        for left, base, text in lines:
            for part, face in self._parts(text):
                canvas.text((left, base), part, fill=(0, 0, 0), font=face, anchor='ls')
                left += face.getlength(part)
        return np.array(image)

    def _parts(self, text: str) -> list[tuple[str, ImageFont.FreeTypeFont]]:
        """Split the text into parts, each with a font that has its letters."""
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
    """The letters of a font; empty if the file cannot be read."""
    from matplotlib.ft2font import FT2Font
    try:
        return frozenset(map(chr, FT2Font(path).get_charmap()))
    except (OSError, RuntimeError, ValueError):
        return frozenset()


def _weight(weight: int | str) -> int:
    """The weight of a font as a number."""
    from matplotlib.font_manager import weight_dict
    return weight if isinstance(weight, int) else weight_dict.get(weight, 400)
