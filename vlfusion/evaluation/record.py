"""The record of a scoring: inputs, protocol, versions, results. It is a JSON file beside the CSV file of the scores."""

import hashlib
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from vlfusion import __version__
from vlfusion.evaluation.controls import CONTROLS
from vlfusion.evaluation.rows import Row, write_csv
from vlfusion.evaluation.statistics import summary
from vlfusion.files import write_json
from vlfusion.imaging.protocol import Protocol
from vlfusion.metrics.columns import metric_of
from vlfusion.metrics.undefined import Undefined
from vlfusion.plugins import distribution_of

#: Raised when the record changes its form.
SCHEMA = 1
#: Fields of `MetricInfo` in the record.
FACTS = ('name', 'variant', 'title', 'direction', 'unit', 'over', 'source')

write_record = write_json  # its former name


def record(protocol: Protocol, metrics: Sequence[str], rows: Sequence[Row], *, task: str | None = None,
           inputs: Mapping[str, dict] | None = None, controls: Sequence[Row] = (),
           undefined: Sequence[Undefined] = (), by_channel: int = 0) -> dict[str, Any]:
    """Make the record of a scoring. The records of two equal runs differ in `created` only.

    Args:
        protocol: protocol under which images were scored.
        metrics: columns of the rows.
        rows: rows of the fused images.
        task: name of the task, if it was given.
        inputs: for `fused`, `source_a`, ... the given `folder`, the SHA-256 of each of its `files`, and the `reading`
            as options, if the files were read by a rule. None if images came from memory.
        controls: rows of the control images, if there are any.
        undefined: scores of the fused images that are not finite or could not be computed.
        by_channel: number of colour images that were scored channel by channel.
    """
    by_control = {name: [row for row in controls if row['control'] == name] for name in CONTROLS if controls}
    return {
        **facts(protocol, metrics),
        'task': task,
        'images': len(rows),
        'images_by_channel': by_channel,
        'summary': summary(rows),
        'undefined': [asdict(item) for item in undefined],
        'controls': {name: summary(part) for name, part in by_control.items()},
        'inputs': {key: {**part, 'sha256': digest_of(part['files'])} for key, part in (inputs or {}).items()},
    }


def facts(protocol: Protocol, metrics: Sequence[str]) -> dict[str, Any]:
    """Facts in every record of scores: date, versions, protocol, and the metric of each column."""
    return {
        'schema': SCHEMA,
        'created': datetime.now(UTC).isoformat(timespec='seconds'),
        'versions': {'vlfusion': __version__, 'python': platform.python_version(), 'torch': torch.__version__,
                     'numpy': np.__version__, 'opencv': cv2.__version__},
        'protocol': {'label': protocol.label, **asdict(protocol)},
        'metrics': [_column(column, protocol.code) for column in metrics],
    }


def write_scores(path: str | os.PathLike, rows: Sequence[Row], record: Mapping[str, Any]) -> None:
    """Write a CSV and its record, which has the same name and the ending `.json`.

    Raises:
        DataError: there is no row.
        OSError: a file cannot be written.
    """
    write_csv(path, rows)
    write_json(Path(path).with_suffix('.json'), record)


def _column(column: str, code: str) -> dict[str, str]:
    metric = metric_of(column, code)
    chosen = {fact: getattr(metric.info, fact) for fact in FACTS}
    return {'column': column, **chosen, 'package': distribution_of(metric)}


def digest_of(files: Mapping[str, str]) -> str:
    """A hash of a folder, over lines with the sorted names and hashes of its files."""
    return hashlib.sha256(''.join(f'{name}\0{files[name]}\n' for name in sorted(files)).encode()).hexdigest()
