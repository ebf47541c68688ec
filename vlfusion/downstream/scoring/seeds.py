"""Scores of several networks that differ in their seed only: the mean of each score over the seeds."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from vlfusion.downstream.scoring.set_scores import SetScores
from vlfusion.errors import DataError
from vlfusion.evaluation.rows import Row


class AcrossSeeds(SetScores):
    """Mean scores of several seeds on the same images.

    A drawn or swapped image takes its results of all seeds along. So intervals and significance are about images, with
    these networks; they do not cover what another seed would give. `by_seed` shows that.

    Args:
        by_seed: scores of each seed, by one definition.

    Raises:
        DataError: the seeds have other images.
    """

    def __init__(self, by_seed: Sequence[SetScores]):
        self.by_seed = tuple(by_seed)
        first = self.by_seed[0]
        if other := sorted({name for scores in self.by_seed for name in {*scores.names} ^ {*first.names}}):
            raise DataError(f'The seeds differ in their images: {", ".join(other[:5])} ({len(other)} in all).',
                            'Score the networks of all seeds on the same images.')
        self.names, self.classes, self.variant = first.names, first.classes, first.variant
        self.parts: list[tuple[Any, ...]] = list(zip(*(scores.parts for scores in self.by_seed), strict=True))

    @property
    def columns(self) -> tuple[str, ...]:
        return self.by_seed[0].columns

    def score(self, parts: Sequence[tuple[Any, ...]]) -> Float[np.ndarray, ' column']:
        """Mean over the seeds of the scores of a set of images."""
        return np.mean([scores.score(np.stack(own) if isinstance(scores.parts, np.ndarray) else own)
                        for scores, own in zip(self.by_seed, zip(*parts, strict=True), strict=True)], 0)

    def pooled(self, others: Sequence['AcrossSeeds'] = ()) -> Callable[[np.ndarray], Float[np.ndarray, ' column']]:
        pools = [scores.pooled([other.by_seed[seed] for other in others]) for seed, scores in enumerate(self.by_seed)]
        return lambda counts: np.mean([pool(counts) for pool in pools], 0)

    @cached_property
    def per_class(self) -> dict[str, dict[str, float]]:
        """Means over the seeds, by class."""
        tables = [scores.per_class for scores in self.by_seed]
        return {name: {key: float(np.mean([table[name][key] for table in tables])) for key in facts}
                for name, facts in tables[0].items()}

    @property
    def unlabelled(self) -> list[str]:
        return self.by_seed[0].unlabelled

    @cached_property
    def rows(self) -> list[Row]:
        """Means over the seeds of the scores of each image alone; NaN where a seed has none."""
        first, *others = ({row['name']: row for row in scores.rows} for scores in self.by_seed)
        return [{key: value if key == 'name' else float(np.mean([value, *(
            other.get(name, {}).get(key, np.nan) for other in others)])) for key, value in row.items()}
                for name, row in first.items()]
