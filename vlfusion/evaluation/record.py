"""The record of a scoring: what was scored, how, and what came out, as strict JSON."""

import hashlib
import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import cv2
import numpy as np
import torch

from vlfusion import __version__
from vlfusion.evaluation.controls import CONTROLS
from vlfusion.evaluation.scores import Row, columns, computed, metric_of, statistics
from vlfusion.evaluation.undefined import Undefined
from vlfusion.files import whole_file
from vlfusion.imaging.protocol import Protocol
from vlfusion.plugins import distribution_of

#: Raised when the record changes its form.
SCHEMA = 1
#: What of `MetricInfo` goes into the record.
FACTS = ('name', 'variant', 'title', 'direction', 'unit', 'over', 'source')


def record(protocol: Protocol, task: str | None, metrics: Sequence[str], inputs: Mapping[str, dict],
           rows: Sequence[Row], controls: Sequence[Row], undefined: Sequence[Undefined],
           by_channel: int) -> dict[str, Any]:
    """The record of one scoring. Of two equal runs only `created` differs.

    Args:
        protocol: under which images were scored.
        task: its name, where it was said.
        metrics: the columns of the rows.
        inputs: for `fused`, `source_a`, ... the `folder` as it was given, and for each of the `files` its SHA-256;
            and the `reading` in words, if the files were read by a rule.
        rows: of the fused images.
        controls: of the control images, if there are any.
        undefined: the scores of the fused images that are not finite or could not be computed.
        by_channel: how many images were in colour and scored channel by channel.
    """
    by_control = {name: [row for row in controls if row['control'] == name] for name in CONTROLS if controls}
    return {
        'schema': SCHEMA,
        'created': datetime.now(UTC).isoformat(timespec='seconds'),
        'versions': {'vlfusion': __version__, 'python': platform.python_version(), 'torch': torch.__version__,
                     'numpy': np.__version__, 'opencv': cv2.__version__},
        'protocol': {'label': protocol.label, **asdict(protocol)},
        'task': task,
        'images': len(rows),
        'images_by_channel': by_channel,
        'metrics': [_facts(column, protocol.code) for column in metrics],
        'summary': _summary(rows),
        'undefined': [asdict(item) for item in undefined],
        'controls': {name: _summary(part) for name, part in by_control.items()},
        'inputs': {key: {**part, 'sha256': _digest(part['files'])} for key, part in inputs.items()},
    }


def _facts(column: str, code: str) -> dict[str, str]:
    metric = metric_of(column, code)
    facts = {fact: getattr(metric.info, fact) for fact in FACTS}
    return {'column': column, **facts, 'package': distribution_of(metric)}


def write_record(path: str | os.PathLike, content: Mapping[str, Any]) -> None:
    """Write a record, with NaN and infinity as strings; a reader never sees half a file."""
    with whole_file(path) as file:
        json.dump(_strict(content), file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write('\n')


def _summary(rows: Sequence[Row]) -> dict[str, dict[str, float | int]]:
    """Statistics of each column over the images that it could be computed of."""
    found = {}
    for name in columns(rows):
        values = computed(rows, name)
        found[name] = statistics(values) if len(values) else {}
        found[name] |= {'not_finite': int(np.count_nonzero(~np.isfinite(values)))}
        if lacking := len(rows) - len(values):
            found[name]['not_scored'] = lacking
    return found


def _digest(files: Mapping[str, str]) -> str:
    """One hash of a folder, over the sorted names and hashes of its files, one line for each."""
    return hashlib.sha256(''.join(f'{name}\0{files[name]}\n' for name in sorted(files)).encode()).hexdigest()


def _strict(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return 'NaN' if math.isnan(value) else 'Infinity' if value > 0 else '-Infinity'
    if isinstance(value, Mapping):
        return {key: _strict(item) for key, item in value.items()}
    return [_strict(item) for item in value] if isinstance(value, list | tuple) else value
