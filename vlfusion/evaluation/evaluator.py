"""The metrics inside MMEngine: what validates a model during training and tests it afterwards."""

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
from vlfusion.metrics.columns import full_name
from vlfusion.metrics.scoring import DEFAULT_METRICS, score_planes
from vlfusion.metrics.undefined import Undefined
from vlfusion.registry import METRICS


@METRICS.register_module()
class FusionEvaluator(BaseMetric):
    """Score each fused image under a protocol; report the means, and write one line per image.

        val_evaluator = dict(type='FusionEvaluator', names=['EN', 'VIF'], protocol='film', csv='scores.csv')

    To report two protocols side by side, put two of them in a list, each with a prefix of its own.

    Args:
        names: of metrics in `FUSION_METRICS`, with a variant if need be: `MI`, `MI:tang`. (MMEngine takes a config with
            the key `metrics` for another thing.) Those that compare to a true image are for files only.
        protocol: a name in `vlfusion.imaging.protocol.PROTOCOLS`. Luminance is scored whatever its `colour` says:
            a network gives nothing else.
        csv: the file for the scores of each image by the metrics' full names, written again by each evaluation, with
            its record beside it (`.json`); None for no file.
        prefix: what stands before each mean's name: `film` reports `film/VIF`, None plain `VIF`.
        collect_device: through what the processes of a distributed run exchange their scores: `cpu` or `gpu`.

    Raises:
        UnknownNameError: a metric has no such name.
        ConfigError: the protocol has no such name, or `names` is not a list.
    """

    default_prefix = ''  # unlike None, accepted by MMEngine without a warning

    def __init__(self, names: Sequence[str] = DEFAULT_METRICS, protocol: str = 'film',
                 csv: str | os.PathLike | None = None, prefix: str | None = None, collect_device: str = 'cpu'):
        super().__init__(collect_device, prefix)
        self.protocol = get_protocol(protocol)
        if isinstance(names, str):
            raise ConfigError(f'Expected a list of metrics, but got {names!r}.', f'Write names=[{names!r}].')
        #: The column of each metric; an unknown one is refused here.
        self.columns = {name: full_name(name, self.protocol.code) for name in names}
        self.names, self.csv = names, csv

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Score one batch.

        Args:
            data_batch: `source_a` and `source_b`, `(batch, 1, h, w)` in [0, 1], and `name`, a list of `batch` strings.
            data_samples: for each image its `name`, and `fused`, `(1, h, w)` in [0, 1] before quantisation.

        Raises:
            DataError: names differ, or the images do not suit each other or a metric.
        """
        names = [sample['name'] for sample in data_samples]
        if names != list(data_batch['name']):
            raise DataError(f'The model returned results for {names}, but its input was {list(data_batch["name"])}.',
                            'Its `predict` must return one result per image, in the order of the batch.')
        try:
            fused = self.protocol.quantise(torch.stack([sample['fused'] for sample in data_samples])).float()
            sources = [self.protocol.grey_levels(data_batch[key].to(fused)) for key in ('source_a', 'source_b')]
        except DataError as error:
            raise DataError(f'Cannot score {", ".join(names)}. {error.problem}', error.remedy) from error
        columns = dict.fromkeys(self.columns.values())
        for name, *images in zip(names, *(image.split(1) for image in (fused, *sources)), strict=True):
            try:
                scores, undefined = score_planes(name, images, columns, code=self.protocol.code)
            except DataError as error:
                raise DataError(f'Cannot score {name}. {error.problem}', error.remedy) from error
            self.results.append(({'name': name, 'protocol': self.protocol.label} | scores, undefined))

    def compute_metrics(self, results: list[tuple[Row, list[Undefined]]]) -> dict[str, float]:
        """The means over all images by the metrics as `names` has them, on the main process.

        Where a sampler repeats images so that every process gets equally many, MMEngine has cut the rows to the size of
        the data set. Unique names then prove that each image counts once.

        Raises:
            DataError: two rows have the same name.
        """
        rows = [row for row, _ in results]
        repeated = sorted(name for name, count in Counter(row['name'] for row in rows).items() if count > 1)
        if repeated:
            raise DataError(f'Several results have the same name:\n{listing(repeated)}',
                            'Give each image its own name; in a distributed run use a sampler that deals the images '
                            'out in turn, such as DefaultSampler.')
        undefined = [item for _, of_image in results for item in of_image]
        if self.csv is not None:
            write_scores(self.csv, rows, record(self.protocol, list(dict.fromkeys(self.columns.values())), rows,
                                                undefined=undefined))
        by_column = means(rows, undefined)
        return {name: by_column[column] for name, column in self.columns.items()}
