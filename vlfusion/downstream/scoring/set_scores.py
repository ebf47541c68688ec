"""The common face of scores of detections and of masks."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from vlfusion.downstream.classes import ClassTable
from vlfusion.evaluation.rows import Row


class SetScores(ABC):
    """Scores of the predictions for a set of images, which can also score samples of its images.

    Attributes:
        names: names of the images, sorted.
        classes: the class table.
        parts: what scores of any set need to know about each image, in the order of `names`: a list or an array.
        variant: name of the definition of the scores; empty for the default.
    """

    names: tuple[str, ...]
    classes: ClassTable
    parts: Sequence[Any] | np.ndarray
    variant: str

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Names of the scores, the first of which is the usual one. Higher is better in each of them."""

    @cached_property
    def values(self) -> dict[str, float]:
        """Scores of the set in [0, 1] by column; NaN if not defined."""
        return dict(zip(self.columns, self.score(self.parts).tolist(), strict=True))

    @abstractmethod
    def score(self, parts: Sequence[Any] | np.ndarray) -> Float[np.ndarray, ' column']:
        """Scores of a set of images in the order of `columns`, from their parts, which may repeat."""

    def pooled(self, others: Sequence['SetScores'] = ()) -> Callable[[np.ndarray], Float[np.ndarray, ' column']]:
        """Return a function that scores drawn sets, many times and fast.

        Its argument `(method, image)` says how often each image is in the set, with the predictions of this method in
        the first row, and with those of the others, on the same images, in the next ones. It returns scores in the
        order of `columns`.
        """
        sides = [self.parts, *(other.parts for other in others)]

        def score(counts: Int[np.ndarray, 'method image']) -> Float[np.ndarray, ' column']:
            images, methods = np.nonzero(counts.T)
            drawn = np.repeat(np.stack([methods, images], 1), counts[methods, images], axis=0)
            parts = [sides[method][image] for method, image in drawn]
            return self.score(np.stack(parts) if isinstance(self.parts, np.ndarray) else parts)
        return score

    @property
    @abstractmethod
    def per_class(self) -> dict[str, dict[str, float]]:
        """Scores and counts by class; NaN for a class that does not occur."""

    @property
    @abstractmethod
    def unlabelled(self) -> list[str]:
        """Images without a score of their own, because they have no label."""

    @property
    @abstractmethod
    def rows(self) -> list[Row]:
        """Scores of each image alone, without those that are `unlabelled`. They do not depend on other images."""
