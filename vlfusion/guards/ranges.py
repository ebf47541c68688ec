"""Ranges of numbers, for command-line options and config keys."""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from vlfusion.errors import ConfigError


@dataclass(frozen=True)
class Number:
    """A range of numbers. Calling it parses a word of the command line, so it serves as argparse's `type`.

    Args:
        kind: `int` or `float`.
        words: the range in words, for messages.
        fits: returns True for numbers in the range.
    """

    kind: type
    words: str
    fits: Callable[[float], bool]

    def __call__(self, word: str) -> int | float:
        try:
            number = self.kind(word)
        except ValueError:
            number = math.nan
        if not self.fits(number):
            raise argparse.ArgumentTypeError(f'{word!r} is not {self.words}')
        return number

    def check(self, key: str, value: Any) -> None:
        """Raise ConfigError, which names the key, if its value has another type or is out of range."""
        kind = Integral if self.kind is int else Real
        if isinstance(value, bool) or not isinstance(value, kind) or not self.fits(value):
            raise ConfigError(f'{key} is {value!r}.', f'Give {self.words}.')


COUNT = Number(int, 'a whole number of at least 1', lambda number: number >= 1)
WHOLE = Number(int, 'a whole number of at least 0', lambda number: number >= 0)
PORT = Number(int, 'a port from 1 to 65535', lambda number: 1 <= number <= 65535)
SEED = Number(int, f'a whole number from 0 to {2 ** 32 - 1}', lambda number: 0 <= number < 2 ** 32)
FRACTION = Number(float, 'a number above 0 and below 1', lambda number: 0 < number < 1)
NOT_NEGATIVE = Number(float, 'a number of at least 0', lambda number: number >= 0)
FINITE = Number(float, 'a finite number', math.isfinite)
POSITIVE = Number(float, 'a finite number above 0', lambda number: 0 < number < math.inf)
