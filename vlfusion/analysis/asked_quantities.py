"""Quantities that instructions ask to change, and the judgement of a picture: did they change the asked way?

A quantity counts as changed if it moves by more than its margin. Margins are small changes far above rounding. They are
the same for every degree, so "slightly" has to be seen too, and "strongly" gets no easier test.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vlfusion.language.instructions import Ask
from vlfusion.metrics.detail import fine
from vlfusion.metrics.lead import lead
from vlfusion.metrics.weighted import weighted_mean
from vlfusion.metrics.windows import smooth

Images = Float[Tensor, 'picture 1 h w']
Values = Float[Tensor, ' picture']


@dataclass(frozen=True)
class Quantity:
    """A quantity of a picture: the metric of its name, inside a region.

    `Colour` is no metric but the factor of the saturation, which a picture gets with its colour.

    Attributes:
        name: name of the metric.
        margin: change above which it counts as changed.
        relative: True if changes are shares of its value without an instruction; otherwise they are differences.
        unit: unit of the margin in words.
    """

    name: str
    margin: float
    relative: bool = False
    unit: str = ''

    def change(self, before: Values, after: Values, balance: bool = False) -> Values:
        """Return the change of the quantity; with `balance`, the change of its absolute value."""
        if balance:
            before, after = before.abs(), after.abs()
        return (after - before) / before if self.relative else after - before


#: Quantities by name, in the order of the tables.
QUANTITIES = {quantity.name: quantity for quantity in (
    Quantity('LeadA', 0.05), Quantity('TextureLeadA', 0.05), Quantity('Level', 2.0, unit='grey levels'),
    Quantity('SD', 0.03, relative=True), Quantity('Detail', 0.03, relative=True),
    Quantity('Colour', 0.05, relative=True))}
#: Mean change of a pixel in grey levels, below which a picture stays as it is.
STILL = 1.0
#: Least share of the picture that a region must have to be judged.
LEAST_REGION = 0.01
#: Kinds of requests, with the numbers of `Ask` that they set.
KINDS = {'leading source': ('intensity_a', 'intensity_b'), 'texture': ('gradient_a', 'gradient_b'),
         'brightness': ('gain',), 'contrast': ('contrast',), 'detail': ('detail',), 'colour': ('colour',)}


def kind_of(ask: Ask) -> str:
    """Return the kind of a request, such as `brightness`; `balance` if both sources get one share, and `neutral`.

    >>> kind_of(Ask(gain=1.3)), kind_of(Ask(intensity_b=0.7, gradient_b=0.7)), kind_of(Ask())
    ('brightness', 'leading source', 'neutral')
    """
    if 0 in wanted(ask).values():
        return 'balance'
    return next((kind for kind, numbers in KINDS.items() if ask.asked.keys() & {*numbers}), 'neutral')


def wanted(ask: Ask) -> dict[str, int]:
    """Return the quantities that should change, and their direction: 1, -1, or 0 for both sources alike.

    >>> wanted(Ask(gain=0.75)), wanted(Ask(gradient_a=1)), wanted(Ask(intensity_a=0.35, intensity_b=0.35))
    ({'Level': -1}, {'TextureLeadA': 1}, {'LeadA': 0})
    """
    directions = {name: (a > b) - (a < b) for name, a, b in (
        ('LeadA', ask.intensity_a, ask.intensity_b), ('TextureLeadA', ask.gradient_a, ask.gradient_b)) if a or b}
    return directions | {name: 1 if factor > 1 else -1 for name, factor in (
        ('Level', ask.gain), ('SD', ask.contrast), ('Detail', ask.detail), ('Colour', ask.colour)) if factor != 1}


def measure(pictures: Images, source_a: Images, source_b: Images, region: Images, colour: Values) -> dict[str, Values]:
    """Measure each quantity of each picture inside its region.

    Args:
        pictures: grey levels in 0..255.
        source_a, source_b: sources of the pair, for each picture.
        region: weight of each pixel in [0, 1].
        colour: factor of the saturation; NaN if the network has none.
    """
    level = weighted_mean(pictures, region)
    spread = weighted_mean((pictures - level[:, None, None, None]).square(), region).sqrt()
    return dict(LeadA=lead(*map(smooth, (pictures, source_a, source_b)), region),
                TextureLeadA=lead(*map(fine, (pictures, source_a, source_b)), region),
                Level=level, SD=spread, Detail=weighted_mean(fine(pictures).abs(), region), Colour=colour)


def changes(before: Mapping[str, Values], after: Mapping[str, Values],
            balance: Bool[Tensor, ' picture']) -> dict[str, Values]:
    """Return the change of each quantity, as `Quantity.change` does; `balance` holds for the two leads."""
    return {name: torch.where(balance & ('Lead' in name), quantity.change(before[name], after[name], True),
                              quantity.change(before[name], after[name])) for name, quantity in QUANTITIES.items()}


def is_changed(name: str, change: float, direction: int) -> bool:
    """Tell whether a quantity changed by more than its margin in a direction; 0 asks its absolute value to shrink."""
    return (direction or -1) * change > QUANTITIES[name].margin


def judge(ask: Ask, change: Mapping[str, float], target: Mapping[str, float], pixels: float) -> bool | None:
    """Tell whether a picture obeys.

    Every asked quantity must change the asked way by more than its margin. Quantities that hardly change even in the
    asked picture do not count: a black region cannot become darker.

    Args:
        ask: the numbers behind the instruction.
        change: changes of the picture by quantity.
        target: changes of the picture that is asked for, `vlfusion.imaging.asked_picture`.
        pixels: mean absolute change of a pixel in grey levels. If nothing is asked for, it must be below `STILL`, and
            the colour must stay.

    Returns:
        None if nothing can be judged, because no asked quantity changes in the asked picture.
    """
    if not (directions := wanted(ask)):
        return pixels < STILL and not abs(change['Colour']) > QUANTITIES['Colour'].margin  # it may be NaN
    possible = {name: direction for name, direction in directions.items() if is_changed(name, target[name], direction)}
    if not possible:
        return None
    return all(is_changed(name, change[name], direction) for name, direction in possible.items())
