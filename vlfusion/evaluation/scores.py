"""Former module of names now in `rows`, `statistics` and `tables` of this package and in `vlfusion.metrics`."""

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor

from vlfusion.evaluation.rows import WORDS, Row, columns, computed, read_csv, write_csv
from vlfusion.evaluation.statistics import means, statistics
from vlfusion.evaluation.tables import controls_table, not_scored, summary_table
from vlfusion.metrics.base import as_double, metric
from vlfusion.metrics.columns import TRUTH, metric_of, other_variants
from vlfusion.metrics.columns import full_name as spelt_out
from vlfusion.metrics.scoring import DEFAULT_METRICS, DEFAULT_TRUTH_METRICS
from vlfusion.metrics.sharing import sharing

__all__ = ['DEFAULT_METRICS', 'DEFAULT_TRUTH_METRICS', 'TRUTH', 'WORDS', 'Row', 'columns', 'computed',
           'controls_table', 'means', 'metric_of', 'not_scored', 'other_variants', 'read_csv', 'score', 'spelt_out',
           'statistics', 'summary_table', 'write_csv']


def score(fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
          source_b: Float[Tensor, 'batch 1 h w'], metrics: Iterable[str],
          code: str = '') -> dict[str, Float[Tensor, ' batch']]:
    """Former scorer of a batch; `vlfusion.metrics.scoring.score_planes` scores each image."""
    with sharing():
        images = [as_double(image) for image in (fused, source_a, source_b)]
        return {name: metric(name, code)(*images) for name in metrics}
