"""All six metrics against the released FILM evaluator on real pairs."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from vlfusion_shared import shared

from vlfusion.images import luminance, read_image
from vlfusion.registry import FUSION_METRICS

COLUMNS = {'EN': 'EN', 'SD': 'SD', 'SF': 'SF', 'AG': 'AG', 'VIF': 'VIFF', 'Qabf': 'Qabf'}
FOLDERS = {'ivf': ('ir', 'vi'), 'mff': ('near', 'far'), 'mef': ('over', 'under')}
TOLERANCE = {torch.float32: 1e-6, torch.float64: 3e-7}  # the numbers are printed with eight digits, from float32


def grey(folder: Path, stem: str) -> np.ndarray:
    path, = folder.glob(f'{stem}.*')
    return luminance(read_image(path)) * 255


def sources(pair: str) -> list[np.ndarray]:
    task, dataset, stem = pair.split('/')
    folders = FOLDERS.get(task, ('MRI', dataset.removeprefix('MRI_')))
    return [grey(shared(f'data/{task}/{dataset}/{folder}'), stem) for folder in folders]


def fuse(a: np.ndarray, b: np.ndarray, kind: str) -> np.ndarray:
    mean = (a + b) / 2
    noise = np.random.default_rng(7).normal(0, 10, mean.shape)
    return {'floor_mean': np.floor(mean), 'max': np.maximum(a, b),
            'mean_plus_noise': (mean + noise).round().clip(0, 255)}[kind]


@pytest.fixture(scope='module')
def triples() -> list[tuple[dict[str, str], list[np.ndarray]]]:
    """Each row of the table with its fused image and the two sources."""
    rows = list(csv.DictReader(shared('golden/metrics/film_evaluator.csv').open()))
    pairs = {row['pair']: sources(row['pair']) for row in rows}
    return [(row, [fuse(*pairs[row['pair']], row['fused']), *pairs[row['pair']]]) for row in rows]


@pytest.mark.parametrize('dtype', TOLERANCE, ids=str)
@pytest.mark.parametrize('name', COLUMNS)
def test_equals_the_released_evaluator(name, dtype, triples):
    assert len(triples) == 24
    for row, images in triples:
        got = FUSION_METRICS.get(name)(*(torch.tensor(image, dtype=dtype)[None, None] for image in images)).item()
        expected = float(row[COLUMNS[name]])
        assert got == pytest.approx(expected, rel=TOLERANCE[dtype]), f'{row["pair"]} {row["fused"]}'
