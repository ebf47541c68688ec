"""Scores that are NaN, infinite or could not be computed, and the reasons."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from jaxtyping import Float
from torch import Tensor

#: The channels of a colour image, in the order of files.
CHANNELS = ('blue', 'green', 'red')
NO_CAUSE = 'no image is constant, and no two are equal or differ by a constant'


@dataclass(frozen=True)
class Undefined:
    """One score that is not a finite number.

    Attributes:
        name: of the image.
        metric: as the row of scores has it.
        value: NaN or an infinity; None where the metric could not be computed.
        reasons: what in the images explains it; several may apply.
    """

    name: str
    metric: str
    value: float | None
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        what = 'was not scored' if self.value is None else f'is {self.value}'
        return f'{self.name}: {self.metric} {what}: {", ".join(self.reasons)}'


def undefined(name: str, scores: Mapping[str, Float[Tensor, ' channel']],
              images: Mapping[str, Float[Tensor, 'channel 1 h w']]) -> list[Undefined]:
    """The scores of one image that are not finite, each with its reasons.

    Args:
        name: of the image.
        scores: for each metric one value per channel; their mean is the score.
        images: what was compared, by what messages call it: `the fused image`, `source A`.
    """
    found = []
    for metric, values in scores.items():
        value = values.mean().item()
        if not math.isfinite(value):
            causes = {}  # in place of a set, for it keeps the order
            for i in (~values.isfinite()).nonzero().flatten().tolist():
                channel = f' (in {CHANNELS[i]})' if len(values) > 1 else ''
                causes |= {f'{cause}{channel}': None
                           for cause in reasons({what: image[i, 0] for what, image in images.items()})}
            found.append(Undefined(name, metric, value, tuple(causes)))
    return found


def reasons(images: Mapping[str, Float[Tensor, 'h w']]) -> list[str]:
    """Traits of images that may leave a metric without a value; one sentence that says so where nothing does.

    >>> import torch
    >>> reasons({'the fused image': torch.ones(2, 2), 'source A': torch.eye(2)})
    ['the fused image is constant']
    >>> reasons({'the fused image': torch.eye(2), 'source A': torch.eye(2) + 1})
    ['the fused image differs from source A by a constant']
    """
    constant = [what for what, image in images.items() if image.min() == image.max()]
    found = [f'{what} is constant' for what in constant]
    for (one, first), (other, second) in combinations(images.items(), 2):
        low, high = (first - second).aminmax()
        if low == high == 0:
            found.append(f'{one} equals {other}')
        elif low == high and one not in constant:
            found.append(f'{one} differs from {other} by a constant')
    return found or [NO_CAUSE]
