"""The metrics inside MMEngine, for validation during training and for tests."""

import os
from collections import Counter
from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric

from vlfusion.errors import ConfigError, DataError, listing
from vlfusion.evaluation.record import record, write_scores
from vlfusion.evaluation.rows import Row
from vlfusion.evaluation.statistics import means
from vlfusion.imaging.protocol import get_protocol
from vlfusion.metrics.columns import full_name, metric_of
from vlfusion.metrics.scoring import DEFAULT_METRICS, score_planes
from vlfusion.metrics.undefined import Undefined
from vlfusion.registry import METRICS


@METRICS.register_module()
class FusionEvaluator(BaseMetric):
    """Score each fused image under a protocol; report the means, and write a line per image.

        val_evaluator = dict(type='FusionEvaluator', names=['EN', 'VIF'], protocol='film', csv='scores.csv')

    To report two protocols, put two evaluators in a list, each with its own prefix.

    Args:
        names: names in `FUSION_METRICS`, perhaps with a variant: `MI`, `MI:tang`. (The key is not `metrics`, which has
            another meaning in MMEngine.) Metrics that compare to a true image are for files only.
        protocol: a name in `vlfusion.imaging.protocol.PROTOCOLS`. Its `colour` has no effect: networks return
            luminance.
        csv: file for the scores of each image by the metrics' full names, with its record beside it (`.json`); each
            evaluation replaces it. None writes no file.
        prefix: prefix of the means' names: `film` reports `film/VIF`, None plain `VIF`.
        collect_device: device by which the processes of a distributed run exchange scores: `cpu` or `gpu`.

    Raises:
        UnknownNameError: a metric is unknown.
        ConfigError: the protocol is unknown, or `names` is not a list.
    """

    default_prefix = ''  # unlike None, accepted by MMEngine without a warning

    def __init__(self, names: Sequence[str] = DEFAULT_METRICS, protocol: str = 'film',
                 csv: str | os.PathLike | None = None, prefix: str | None = None, collect_device: str = 'cpu'):
        super().__init__(collect_device, prefix)
        self.protocol = get_protocol(protocol)
        if isinstance(names, str):
            raise ConfigError(f'Expected a list of metrics, but got {names!r}.', f'Write names=[{names!r}].')
        #: The column of each metric; unknown names are refused here.
        self.columns = {name: full_name(name, self.protocol.code) for name in names}
        self.maps = {key for column in self.columns.values() for key in metric_of(column).info.maps}
        self.names, self.csv = names, csv

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Score a batch.

        Args:
            data_batch: `source_a`, `source_b` and the maps that metrics read, `(batch, 1, h, w)` in [0, 1], and `name`,
                a list of `batch` strings.
            data_samples: for each image its `name`, and `fused`, `(1, h, w)` in [0, 1] before quantisation.

        Raises:
            DataError: names or sizes differ, a metric does not support the images, or a map that it reads is missing.
        """
        names = [sample['name'] for sample in data_samples]
        if names != list(data_batch['name']):
            raise DataError(f'The model returned results for {names}, but its input was {list(data_batch["name"])}.',
                            'Its `predict` must return one result per image, in the order of the batch.')
        try:
            fused = self.protocol.quantise(torch.stack([sample['fused'] for sample in data_samples])).float()
            compared = {key: self.protocol.grey_levels(data_batch[key].to(fused))
                        for key in ('source_a', 'source_b', *self.maps) if key in data_batch}
        except DataError as error:
            raise DataError(f'Cannot score {", ".join(names)}. {error.problem}', error.remedy) from error
        columns = dict.fromkeys(self.columns.values())
        compared = dict(fused=fused, **compared)
        for name, *images in zip(names, *(image.split(1) for image in compared.values()), strict=True):
            try:
                scores, undefined = score_planes(name, dict(zip(compared, images, strict=True)), columns,
                                                 code=self.protocol.code)
            except DataError as error:
                raise DataError(f'Cannot score {name}. {error.problem}', error.remedy) from error
            self.results.append(({'name': name, 'protocol': self.protocol.label} | scores, undefined))

    def compute_metrics(self, results: list[tuple[Row, list[Undefined]]]) -> dict[str, float]:
        """The means over all images, by the entries of `names`, on the main process.

        Some samplers repeat images, so that all processes get the same number. MMEngine then cuts the rows to the size
        of the data set. So unique names prove that each image counts once.

        Raises:
            DataError: two rows have the same name.
        """
        rows = [row for row, _ in results]
        repeated = sorted(name for name, count in Counter(row['name'] for row in rows).items() if count > 1)
        if repeated:
            raise DataError(f'Several results have the same name:\n{listing(repeated)}',
                            'Give each image its own name. In a distributed run, use a sampler that deals out the '
                            'images in turn, such as DefaultSampler.')
        undefined = [item for _, of_image in results for item in of_image]
        if self.csv is not None:
            write_scores(self.csv, rows, record(self.protocol, list(dict.fromkeys(self.columns.values())), rows,
                                                undefined=undefined))
        by_column = means(rows, undefined)
        return {name: by_column[column] for name, column in self.columns.items()}
