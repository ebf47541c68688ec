"""Windows: the values of a volume that become black and white, by named rules."""

import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped, UInt16

from vlfusion.errors import ConfigError, DataError, did_you_mean
from vlfusion.imaging.reading.rule import Reading, rescale
from vlfusion.volumes.suv import SUV
from vlfusion.volumes.volume import Volume

#: Level and width of common windows of CT, in Hounsfield units (Radiopaedia, "Windowing (CT)", doi:10.53347/rID-52108).
CT = {'brain': (40, 80), 'subdural': (75, 215), 'stroke': (40, 40), 'bone': (400, 1800), 'soft-tissue': (50, 400),
      'lung': (-600, 1500), 'liver': (30, 150)}
RULES = ('percentile', 'percentile:LOW,HIGH', 'minmax', *(f'ct:{name}' for name in CT), 'suv:LOW,HIGH', 'LEVEL,WIDTH')
DEFAULT = 'percentile'
_NUMBER = r'[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?'


@dataclass(frozen=True)
class Window:
    """A window with its numbers.

    Attributes:
        rule: the rule that gave it, one of `RULES`.
        low: value that is black; lower values are black too.
        high: value that is white; higher values are white too.
        unit: unit of both; empty if it is not known.
    """

    rule: str
    low: float
    high: float
    unit: str = ''

    def __str__(self) -> str:
        return f'{self.rule} ({self.low:g} to {self.high:g}{f" {self.unit}" if self.unit else ""})'

    def levels(self, values: Shaped[np.ndarray, 'h w']) -> UInt16[np.ndarray, 'h w']:
        """Return 16-bit grey levels of a slice; pixels without a value are black."""
        if not np.isfinite(values).any():  # a slice outside of the volume
            return np.zeros(values.shape, np.uint16)
        return rescale(values, Reading('values', self.low, self.high))


def find_window(rule: str | None, volume: Volume) -> Window:
    """Find the numbers of a rule for a volume.

    Percentiles and extremes are those of all voxels of the volume, so all its slices share one window.

    Args:
        rule: `percentile` (of 1 and 99), `percentile:LOW,HIGH`, `minmax`, `ct:NAME` for a window in Hounsfield units,
            `suv:LOW,HIGH`, or `LEVEL,WIDTH`: from `LEVEL - WIDTH/2` to `LEVEL + WIDTH/2`, as DICOM's function
            LINEAR_EXACT. By default `percentile`.
        volume: the volume.

    Raises:
        ConfigError: there is no such rule, or its numbers are not valid.
        DataError: the rule does not fit the volume: it is not CT or has no SUV, or no value lies in the window.
    """
    rule = rule or DEFAULT
    low, high = _ends(rule, volume)
    least, most = float(np.nanmin(volume.values)), float(np.nanmax(volume.values))
    if low == high and least < most:
        raise DataError(f'The window {rule} of {volume.path} is empty: both its ends are {low:g}, while values go from '
                        f'{least:g} to {most:g}.', 'Most voxels hold one value. Use minmax or LEVEL,WIDTH.')
    if most < low or least > high:
        raise DataError(f'No voxel of {volume.path} lies in the window {rule}, {low:g} to {high:g}: values go from '
                        f'{least:g} to {most:g}.', 'Use percentile, minmax or another LEVEL,WIDTH.')
    return Window(rule, low, high, volume.unit)


def _ends(rule: str, volume: Volume) -> tuple[float, float]:
    kind, _, rest = rule.partition(':')
    if kind in ('percentile', 'minmax'):
        reading = Reading.of('percentile:1,99' if rule == 'percentile' else rule)
        values = volume.values[np.isfinite(volume.values)]
        ends = (0, 100) if reading.stretch == 'minmax' else (reading.low, reading.high)
        low, high = np.percentile(values, ends)
        return float(low), float(high)
    if kind == 'ct' and rest in CT:
        if volume.modality not in ('', 'CT'):
            raise DataError(f'The window {rule} is in Hounsfield units, but {volume.path} is {volume.modality}.',
                            'Use percentile, minmax or LEVEL,WIDTH.')
        level, width = CT[rest]
        return level - width / 2, level + width / 2
    numbers = re.fullmatch(rf'(suv:)?\s*({_NUMBER})\s*,\s*({_NUMBER})', rule)
    if not numbers:
        raise ConfigError(f'Unknown window {rule!r}.', did_you_mean(rule, RULES))
    first, second = float(numbers[2]), float(numbers[3])
    if numbers[1]:
        if volume.unit != SUV:
            raise DataError(f'The window {rule} needs SUV, but {volume.path} has none'
                            f'{f": {volume.remark}" if volume.remark else ""}.',
                            'Give a PET series of DICOM whose header has weight, dose and times; or use LEVEL,WIDTH.')
        if not first < second:
            raise ConfigError(f'The window {rule!r} does not rise.', 'Write the value of black first.')
        return first, second
    if not second > 0:
        raise ConfigError(f'The width of the window {rule!r} is not above 0.', 'Write LEVEL,WIDTH, such as 40,80.')
    return first - second / 2, first + second / 2
