"""Fonts drawn on the spot, for letters that no font of the machine has."""

from collections.abc import Callable
from pathlib import Path


def installer(folder, monkeypatch) -> Callable[[str, str], str]:
    """A function that installs a font of a name and its letters for the time of a test, and returns its file."""
    from matplotlib.font_manager import fontManager
    monkeypatch.setattr(fontManager, 'ttflist', list(fontManager.ttflist))

    def install(name, letters):
        path = draw_font(folder / f'{name}.ttf', name, letters)
        fontManager.addfont(path)
        return str(path)
    return install


def draw_font(path: Path, name: str, letters: str, wide: int = 600) -> Path:
    """A font whose letters are filled squares."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    pen = TTGlyphPen(None)
    pen.moveTo((50, 0))
    for point in ((50, 700), (wide - 50, 700), (wide - 50, 0)):
        pen.lineTo(point)
    pen.closePath()
    square, builder = pen.glyph(), FontBuilder(1000, isTTF=True)
    names = ['.notdef', *(f'g{index}' for index in range(len(letters)))]
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(letter): glyph for letter, glyph in zip(letters, names[1:], strict=True)})
    builder.setupGlyf(dict.fromkeys(names, square))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (wide, 50)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({'familyName': name, 'styleName': 'Regular'})
    builder.setupOS2(sTypoAscender=800, sTypoDescender=-200, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    builder.save(path)
    return path
