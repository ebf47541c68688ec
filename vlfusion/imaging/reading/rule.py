"""Reading rules: the page and bands of a source, and the values that are black and white."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt16

from vlfusion.errors import ConfigError, DataError, did_you_mean

RANGES = ('full', 'minmax', 'percentile:LOW,HIGH', 'LOW,HIGH')
#: Ways to give a range, for messages.
GIVE_RANGE = ('Say which values are black and white: minmax, percentile:1,99 or LOW,HIGH, with --range-a or --range-b, '
              'range_a or range_b of the data set, or Reading.of(range=...) in Python.')
_NUMBER = r'[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?'


@dataclass(frozen=True)
class Reading:
    """The rule by which a source is read. The default reads files as they are stored.

    Attributes:
        stretch: choice of black and white. `full`: 0 and the largest value of 8 or 16 bits. `minmax`: the least and the
            greatest value of each image. `percentile`: two percentiles of each image. `values`: two numbers.
        low: percentile or number that is black.
        high: percentile or number that is white.
        page: page or frame, counted from 1; None for a file with one.
        bands: bands of a multi-band file, counted from 1: one for grey, three for red, green and blue; empty for files
            of grey, colour, or colour with alpha.

    >>> Reading.of('percentile:1,99', bands='4,3,2')
    Reading(stretch='percentile', low=1.0, high=99.0, page=None, bands=(4, 3, 2))
    >>> str(Reading.of((7000, 8500))), str(Reading.of())
    ('range=7000,8500', '')
    """

    stretch: str = 'full'
    low: float = 0.0
    high: float = 0.0
    page: int | None = None
    bands: tuple[int, ...] = ()

    @classmethod
    def of(cls, range: str | float | Sequence[float | str] | None = None, page: float | str | None = None,
           bands: str | int | Sequence[int] | None = None) -> 'Reading':
        """Make a rule from options or keys of a config.

        Args:
            range: one of `RANGES`; two numbers may also be a pair.
            page: page or frame, from 1.
            bands: one band or three, from 1; three as `4,3,2` or a sequence.

        Raises:
            ConfigError: a value is not valid.
        """
        stretch, low, high = _parse_range(range)
        if page is not None and not (str(page).isdecimal() and int(page) > 0):
            raise ConfigError(f'Expected the number of a page from 1 on, but got {page!r}.', 'The first page is 1.')
        numbers = [bands] if isinstance(bands, int) else bands.split(',') if isinstance(bands, str) else bands or ()
        if bands is not None and (len(numbers) not in (1, 3)
                                  or not all(str(band).strip().isdecimal() and int(band) > 0 for band in numbers)):
            raise ConfigError(f'Expected one band or three, counted from 1, but got {bands!r}.',
                              'Write 4 for a grey image, 4,3,2 for red, green and blue.')
        return cls(stretch, low, high, None if page is None else int(page), tuple(int(band) for band in numbers))

    def __str__(self) -> str:
        """The rule as options; empty for the default."""
        limits = f'{self.low:.15g},{self.high:.15g}'
        words = {'full': '', 'minmax': 'minmax', 'percentile': f'percentile:{limits}', 'values': limits}[self.stretch]
        parts = {'range': words, 'page': self.page or '', 'bands': ','.join(map(str, self.bands))}
        return ' '.join(f'{key}={value}' for key, value in parts.items() if value)


#: The default rule: read a file as it is stored.
AS_STORED = Reading()


def readings_of(keys: Mapping[str, Any]) -> tuple[Reading, Reading]:
    """Make the rules for source A and source B.

    Args:
        keys: keys of a data set: `range_a`, `range_b`, `page_a`, `page_b`, `bands_a` and `bands_b`; others are ignored.

    Raises:
        ConfigError: a value is not a valid range, page or band.
    """
    rule_a, rule_b = (Reading.of(*(keys.get(f'{key}_{side}') for key in ('range', 'page', 'bands'))) for side in 'ab')
    return rule_a, rule_b


def _parse_range(value: object) -> tuple[str, float, float]:
    if value is None:
        return 'full', 0.0, 0.0
    text = ','.join(map(str, value)) if isinstance(value, list | tuple) else str(value).strip()
    if text in ('full', 'minmax'):
        return text, 0.0, 0.0
    if numbers := re.fullmatch(rf'(percentile:)?\s*({_NUMBER})\s*,\s*({_NUMBER})', text):
        stretch, low, high = 'percentile' if numbers[1] else 'values', float(numbers[2]), float(numbers[3])
        if low < high and (stretch == 'values' or low >= 0 and high <= 100):
            return stretch, low, high
        raise ConfigError(f'The range {text!r} does not rise{" within 0 to 100" if numbers[1] else ""}.',
                          'Write the value of black first, then the greater value of white.')
    raise ConfigError(f'Unknown range {text!r}.', did_you_mean(text, RANGES))


def rescale(image: Shaped[np.ndarray, 'h w *bgr'], reading: Reading, valid: np.ndarray | bool = True,
            what: str = 'The image') -> UInt16[np.ndarray, 'h w *bgr']:
    """Scale an image to 16 bits, black to white over its range. All bands of an image share one range.

    Args:
        image: values of any numeric type.
        reading: rule with another range than `full`.
        valid: mask, false where a pixel has no value; such pixels become black, and so do NaN and infinity.
        what: name of the image in messages.

    Raises:
        DataError: no pixel has a value.
    """
    valid = np.isfinite(image) & valid
    values = image[valid]
    if not values.size:
        raise DataError(f'{what} has no pixel with a value.', 'Take it out of the folder.')
    low, high = {'minmax': lambda: (values.min(), values.max()),
                 'percentile': lambda: np.percentile(values, (reading.low, reading.high)),
                 'values': lambda: (reading.low, reading.high)}[reading.stretch]()
    width = float(high) - float(low)
    levels = np.where(valid, image, low).astype(np.float64 if image.dtype.itemsize > 2 else np.float32)
    levels -= float(low)
    levels *= 65535 / width if width else 0
    return np.rint(levels, out=levels).clip(0, 65535).astype(np.uint16)
