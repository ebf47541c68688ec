"""The metrics against published code: FILM's evaluator on real pairs, and the MATLAB originals on four triples."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vlfusion.imaging.images import luminance, read_image
from vlfusion.metrics import metric
from vlfusion.metrics.base import CODES, metric_names
from vlfusion.testing.shared import shared

DATA = Path(__file__).with_name('data')
FILM = {name: name for name in ('EN', 'SD', 'SF', 'AG', 'MI', 'MSE', 'CC', 'PSNR', 'SCD', 'Qabf', 'SSIM')}
FILM['VIF'] = 'VIFF'
FOLDERS = {'ivf': ('ir', 'vi'), 'mff': ('near', 'far'), 'mef': ('over', 'under')}
TOLERANCE = {torch.float32: 1e-6, torch.float64: 4e-7}  # the numbers are printed with eight digits, from float32

#: For each published function the metrics that equal it.
ORIGINALS = {
    'xingchenzhang/VIFB': {
        'metricsCross_entropy': 'CE', 'metricsEntropy': 'EN', 'metricsMutinf': 'MI', 'metricsPsnr': 'PSNR',
        'metricsRmse': 'RMSE', 'metricsSsim': 'SSIM', 'metricsAvg_gradient': 'AG', 'metricsEdge_intensity': 'EI',
        'metricsVariance': 'VI SD', 'metricsSpatial_frequency': 'SF', 'metricsQabf': 'Qabf', 'metricsQcb': 'Qcb',
        'metricsQcv': 'Qcv'},
    'xingchenzhang/MEFB': {
        'metricsCross_entropy': 'CE', 'metricsNMI': 'NMI', 'metricsPsnr': 'PSNR', 'metricsQabf': 'Qabf',
        'metricsQc': 'Qc', 'metricsQcb': 'Qcb', 'metricsQcv': 'Qcv', 'metricsQncie': 'Qncie', 'metricsQp': 'Qp',
        'metricsQw': 'Qw', 'metricsQy': 'Qy', 'metricsTE': 'Qte', 'metricsVIF': 'VIFF',
        'metricsMEF_SSIM': 'MEF_MS_SSIM'},
    'VIFF_Public.m (Han et al. 2013)': {'VIFF_Public': 'VIFF'},
    'Linfeng-Tang/Evaluation-for-Image-Fusion': {
        'Nabf_correct': 'Nabf', 'MI': 'MI', 'VIF': 'VIF', 'Qabf': 'Qabf', 'PSNR': 'PSNR', 'AG': 'AG', 'SF': 'SF',
        'SCD': 'SCD', 'CC': 'CC', 'MS_SSIM(mef)': 'MEF_MS_SSIM', 'mef_ssim': 'MEF_SSIM'},
    'zhengliu6699/imageFusionMetrics': {
        'metricXydeas': 'Qabf', 'metricZheng': 'Qsf', 'metricZhao': 'Qp', 'metricPeilla sw=1': 'Qs',
        'metricPeilla sw=2': 'Qw', 'metricCvejic sw=2': 'Qc', 'metricYang': 'Qy', 'metricChen': 'Qcv',
        'metricChenBlum': 'Qcb', 'metricWang': 'Qncie', 'metricMI sw=1 (revised MI, Hossny)': 'NMI',
        'metricMI sw=2 (Tsallis)': 'Qte', 'metricMI sw=3 (Nava)': 'Qte:nava', 'metricPWW': 'Qm'},
}
CODE = dict(zip(ORIGINALS, ('vifb', 'mefb', 'han', 'tang', 'liu'), strict=True))
LEFT_OUT = {'Nabf_as_called': 'its arguments are swapped', 'metricCvejic sw=1': 'unfinished, it returns 0'}
PRINTED = 5e-9  # half a unit of the eighth digit after the point
#: Windows in which one source is flat: by rounding the original takes the weight for negative or not.
UNDECIDED = {('tno01', 'Qc'): 0.0017, ('mef11', 'Qc'): 0.25}


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


def tensors(images: list[np.ndarray], dtype: torch.dtype) -> list[torch.Tensor]:
    return [torch.tensor(image, dtype=dtype)[None, None] for image in images]


@pytest.fixture(scope='module')
def triples() -> list[tuple[dict[str, str], list[np.ndarray]]]:
    """Each row of FILM's table with its fused image and the two sources."""
    rows = list(csv.DictReader(shared('golden/metrics/film_evaluator.csv').open()))
    pairs = {row['pair']: sources(row['pair']) for row in rows}
    return [(row, [fuse(*pairs[row['pair']], row['fused']), *pairs[row['pair']]]) for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize('dtype', TOLERANCE, ids=str)
@pytest.mark.parametrize('name', FILM)
def test_equals_the_released_evaluator_of_film(name, dtype, triples):
    assert len(triples) == 24
    for row, images in triples:
        got = metric(name, code='film')(*tensors(images, dtype)).item()
        expected = float(row[FILM[name]])
        assert got == pytest.approx(expected, rel=TOLERANCE[dtype], nan_ok=True), f'{row["pair"]} {row["fused"]}'


@pytest.mark.parametrize('name', [name for name in FILM if name != 'SSIM'])
def test_cddfuse_has_the_evaluator_of_film_but_for_ssim(name, triples):
    assert metric(name, code='cddfuse').info.label.partition(':')[0] == name
    _, images = triples[0]
    images = tensors(images, torch.float64)
    assert metric(name, code='cddfuse')(*images).equal(metric(name, code='film')(*images))


@pytest.fixture(scope='module')
def originals() -> list[tuple[dict[str, str], list[np.ndarray]]]:
    """Values of the MATLAB originals, run in Octave, with their images."""
    crops = shared('golden/metrics/crops')
    rows = [row for table in (shared('golden/metrics/matlab_originals.csv'), DATA / 'originals.csv')
            for row in csv.DictReader(table.open())]
    images = {name: [cv2.imread(str(crops / f'{name}_{which}.png'), cv2.IMREAD_GRAYSCALE) for which in 'fab']
              for name in {row['triple'] for row in rows}}
    return [(row, images[row['triple']]) for row in rows]


@pytest.mark.parametrize(('origin', 'function', 'name'), [
    (origin, function, name) for origin in ORIGINALS for function, names in ORIGINALS[origin].items()
    for name in names.split()])
def test_equals_the_matlab_original(origin, function, name, originals):
    code = CODE[origin]
    ours = metric(name, code)
    assert ours.info.variant or code in ours.info.agrees, f'{name} does not claim to agree with {CODES[code]}'
    rows = [(row, images) for row, images in originals if (row['origin'], row['function']) == (origin, function)]
    assert len(rows) == 4
    for row, images in rows:
        got = ours(*tensors(images, torch.float64)).item()
        allowed = UNDECIDED.get((row['triple'], name), 0) + PRINTED
        assert got == pytest.approx(float(row['value']), rel=1e-6, abs=allowed), row['triple']


def test_every_original_is_reproduced_or_left_out_with_a_reason(originals):
    for row, _ in originals:
        assert row['function'] in ORIGINALS[row['origin']] or row['function'] in LEFT_OUT, row


def test_every_agreement_is_shown():
    """No metric claims to agree with published code, or offers a variant, that no test compares."""
    shown = {(metric(name, CODE[origin]).info.name, metric(name, CODE[origin]).info.variant or CODE[origin])
             for origin in ORIGINALS for names in ORIGINALS[origin].values() for name in names.split()}
    shown |= {(name, code) for name in FILM for code in ('film', 'cddfuse')}
    shown |= {({'none': 'FMI_pixel'}.get(row['feature'], f'FMI_{row["feature"]}'), row['code'])
              for row in csv.DictReader((DATA / 'fmi.csv').open())}  # in test_features.py
    claimed = {(name, code) for name in metric_names() if '.' not in name
               for code in (*metric(name).info.agrees, *metric(name).info.variants)}
    assert claimed <= shown
