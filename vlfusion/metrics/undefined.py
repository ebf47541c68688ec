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
    """A score that is not a finite number.

    Attributes:
        name: name of the image.
        metric: name of the column of scores.
        value: NaN or an infinity; None if the metric could not be computed.
        reasons: traits of the images that explain it; several may apply.
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
    """Scores of one image that are not finite, each with its reasons.

    Args:
        name: name of the image.
        scores: values per channel, by metric; their mean is the score.
        images: compared images, by their names in messages: `the fused image`, `source A`.
    """
    scores_without_value = []
    for metric, values in scores.items():
        value = values.mean().item()
        if not math.isfinite(value):
            causes = {}  # a dict instead of a set, because it keeps the order
            for i in (~values.isfinite()).nonzero().flatten().tolist():
                channel = f' (in {CHANNELS[i]})' if len(values) > 1 else ''
                causes |= {f'{cause}{channel}': None
                           for cause in reasons({what: image[i, 0] for what, image in images.items()})}
            scores_without_value.append(Undefined(name, metric, value, tuple(causes)))
    return scores_without_value


def reasons(images: Mapping[str, Float[Tensor, 'h w']]) -> list[str]:
    """Traits of images that may leave a metric without a value; or a single sentence that there are none.

    >>> import torch
    >>> reasons({'the fused image': torch.ones(2, 2), 'source A': torch.eye(2)})
    ['the fused image is constant']
    >>> reasons({'the fused image': torch.eye(2), 'source A': torch.eye(2) + 1})
    ['the fused image differs from source A by a constant']
    """
    constant = [what for what, image in images.items() if image.min() == image.max()]
    traits = [f'{what} is constant' for what in constant]
    for (what, first), (other, second) in combinations(images.items(), 2):
        low, high = (first - second).aminmax()
        if low == high == 0:
            traits.append(f'{what} equals {other}')
        elif low == high and what not in constant:
            traits.append(f'{what} differs from {other} by a constant')
    return traits or [NO_CAUSE]
