"""Numbers behind an instruction."""

from dataclasses import dataclass, fields
from math import isfinite

from vlfusion.errors import ConfigError

#: Regions that an instruction can concern; '' is the whole picture. `box:LABEL` is a thing that has a box.
REGIONS = ('', 'left', 'right', 'top', 'bottom', 'upper_left', 'upper_right', 'lower_left', 'lower_right', 'centre',
           'bright', 'dark')


@dataclass(frozen=True)
class Ask:
    """Numbers that an instruction asks for. The defaults ask for nothing.

    Attributes:
        intensity_a: share of source A in the intensity, 0 to 1. What A and B leave stays as without an instruction.
        intensity_b: the same of source B.
        gradient_a: share of source A in edges and texture, 0 to 1.
        gradient_b: the same of source B.
        gain: factor of the brightness.
        contrast: factor of the distance of grey levels from their mean.
        detail: factor of fine structures.
        colour: factor of the saturation.

    Raises:
        ConfigError: a share is below 0, the shares of A and B exceed 1 together, or a factor is not above 0.
    """

    intensity_a: float = 0.
    intensity_b: float = 0.
    gradient_a: float = 0.
    gradient_b: float = 0.
    gain: float = 1.
    contrast: float = 1.
    detail: float = 1.
    colour: float = 1.

    def __post_init__(self):
        for share in ('intensity', 'gradient'):
            a, b = (getattr(self, f'{share}_{source}') for source in 'ab')
            if not (a >= 0 and b >= 0 and a + b <= 1):
                raise ConfigError(f'{share}_a and {share}_b are {a} and {b}.',
                                  'Give shares from 0 to 1 that do not exceed 1 together.')
        for factor in ('gain', 'contrast', 'detail', 'colour'):
            if not (isfinite(value := getattr(self, factor)) and value > 0):
                raise ConfigError(f'{factor} is {value}.', 'Give a factor above 0; 1 changes nothing.')

    @property
    def asked(self) -> dict[str, float]:
        """Return the numbers that differ from their defaults.

        >>> Ask(gain=1.3).asked
        {'gain': 1.3}
        """
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) != field.default}


@dataclass(frozen=True)
class Instruction:
    """A sentence, and the numbers behind it.

    Attributes:
        text: the sentence.
        intent: the aim, such as `lead_a` or `brighter`; two aims are joined by `+`.
        degree: `slightly`, '' or `strongly`; those of two aims are joined by `+`.
        region: one of `REGIONS`, or `box:LABEL`.
        ask: the numbers, which hold inside the region.
    """

    text: str
    intent: str
    degree: str
    region: str
    ask: Ask
