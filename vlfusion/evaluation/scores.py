"""Former module of names now in `rows`, `statistics` and `tables` of this package and in `vlfusion.metrics`."""

from vlfusion.evaluation.rows import WORDS, Row, columns, computed, read_csv, write_csv
from vlfusion.evaluation.statistics import means, statistics
from vlfusion.evaluation.tables import controls_table, not_scored, summary_table
from vlfusion.metrics.columns import TRUTH, metric_of, other_variants
from vlfusion.metrics.columns import full_name as spelt_out
from vlfusion.metrics.scoring import DEFAULT_METRICS, DEFAULT_TRUTH_METRICS

__all__ = ['DEFAULT_METRICS', 'DEFAULT_TRUTH_METRICS', 'TRUTH', 'WORDS', 'Row', 'columns', 'computed',
           'controls_table', 'means', 'metric_of', 'not_scored', 'other_variants', 'read_csv', 'spelt_out',
           'statistics', 'summary_table', 'write_csv']
