"""Formats of numbers in tables."""

import math
from collections.abc import Iterable

from vlfusion.console.progress import duration

#: Text for a mean over values that are not all finite.
UNDEFINED = 'n/a'
#: Largest number of decimals of a column; longer numbers are written with exponents.
MOST_DECIMALS = 6


def column_format(values: Iterable[float]) -> str:
    """A format that aligns the decimal points of a column; its largest number gets four digits.

    >>> column_format([0.5138, 12.25]), column_format([0.31]), column_format([3e-7])
    ('.2f', '.4f', '.3e')
    """
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.)
    decimals = 3 - math.floor(math.log10(largest)) if largest else 3
    return f'.{max(0, decimals)}f' if decimals <= MOST_DECIMALS else '.3e'


def numeral(value: float, form: str) -> str:
    """A number in a format, or `UNDEFINED` if it is not finite."""
    return format(value, form) if math.isfinite(value) else UNDEFINED


def span(first: int, last: int) -> str:
    """A range of places, from the first to the last.

    >>> span(1, 4), span(2, 2)
    ('1–4', '2')
    """
    return f'{first}–{last}' if first < last else str(first)


def without_zeros(text: str) -> tuple[str, str]:
    """A number without the zeros at its end, and these zeros.

    >>> without_zeros('6.250'), without_zeros('4.000'), without_zeros('400')
    (('6.25', '0'), ('4', '.000'), ('400', ''))
    """
    plain = text.rstrip('0').rstrip('.') if '.' in text and 'e' not in text else text
    return plain, text[len(plain):]


def measured_time(seconds: float) -> str:
    """A time in a suitable unit, with three digits below minutes.

    >>> measured_time(7.74), measured_time(0.0123), measured_time(3e-5), measured_time(150), measured_time(8000)
    ('7.74 s', '12.3 ms', '30 µs', '2 min 30 s', '2 h 13 min')
    """
    if seconds < 99.95:
        for size, unit in ((1., 's'), (1e-3, 'ms'), (1e-6, 'µs')):
            if seconds >= 0.9995 * size or unit == 'µs':
                return f'{three_digits(seconds / size)} {unit}'
    return duration(seconds)


def three_digits(value: float) -> str:
    """A positive number below 10,000 with three digits, never with an exponent.

    >>> three_digits(7.7412), three_digits(99.96), three_digits(1234.5)
    ('7.74', '100', '1234')
    """
    return f'{value:.0f}' if value >= 99.95 else f'{value:.3g}'
