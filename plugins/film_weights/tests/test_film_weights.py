"""FILM's shipped weights: every one belongs to its log, does what its loss asks for, and reads its own words."""

import csv

import numpy as np
import pytest
from safetensors import safe_open

import vlfusion
from vlfusion.imaging.images import luminance
from vlfusion.testing.shared import shared
from vlfusion.zoo.entries import find_models
from vlfusion.zoo.metadata import read_meta

pytest.importorskip('vlfusion_film_weights', reason='pip install --editable plugins/film_weights')

ENTRIES = {name: entry for name, entry in find_models().items() if entry.package == 'vlfusion_film_weights'}
#: Two sources of test pairs by task, each brighter than the other somewhere, and the modality of source B.
PAIRS = {'mif': ('data/mif/Harvard/CT-MRI/test/MRI', 'data/mif/Harvard/CT-MRI/test/CT', 'CT'),
         'ivf': ('data/ivf/RoadScene/ir', 'data/ivf/RoadScene/vi', 'visible'),
         'mff': ('data/mff/Lytro/near', 'data/mff/Lytro/far', 'far-focused')}


@pytest.mark.parametrize('name', ENTRIES)
def test_the_file_is_small_and_belongs_to_its_log(name):
    entry = ENTRIES[name]
    meta, path = read_meta(entry.source.path), entry.source.path
    steps = [int(row['step']) for row in csv.DictReader(path.with_suffix('.csv').open())]
    assert steps == sorted(set(steps)) and 0 <= meta['iter'] - steps[-1] < 50  # the interval of the log
    assert meta['vlfusion']['task'] == entry.tasks[0]
    with safe_open(path, 'numpy') as file:
        assert {file.get_slice(tensor).get_dtype() for tensor in file.keys()} == {'F16'}  # noqa: SIM118
        weights = sum(np.prod(file.get_slice(tensor).get_shape()) for tensor in file.keys())  # noqa: SIM118
    assert weights == entry.method.parameters and path.stat().st_size < 4.1e6
    assert f'{meta["iter"]:,} steps' in entry.trained


def planes_of(name, tmp_path, count=4):
    """The fused luminance and both sources' of some test pairs, in grey levels."""
    source_a, source_b, modality = PAIRS[ENTRIES[name].tasks[0]]
    sources = [sorted(shared(source).iterdir())[:count] for source in (source_a, source_b)]
    fuser = vlfusion.Fuser(name, modality_b=modality, store=tmp_path / 'text', protocol='plain')
    for pair in zip(*sources, strict=True):
        yield fuser(*pair).grey, *(luminance(vlfusion.read_image(path)) * 255 for path in pair)
    assert len(list((tmp_path / 'text').rglob('*.npy'))) == 2 * count


@pytest.mark.slow
@pytest.mark.parametrize('name', [name for name in ENTRIES if not name.endswith('mff')])
def test_it_follows_the_brighter_source(name, tmp_path):
    """Its loss asks for that. A copy of one source has better scores than most methods, and fails here."""
    distances = [[np.abs(plane - np.maximum(a, b)).mean() for plane in (fused, a, b)]
                 for fused, a, b in planes_of(name, tmp_path)]
    ours, *copies = np.mean(distances, 0)
    assert ours < 0.75 * min(copies), (ours, copies)


@pytest.mark.slow
def test_it_is_sharp_where_either_source_is(tmp_path):
    def sharpness(plane):
        """Mean change from pixel to pixel in each block of 40x40."""
        change = np.abs(np.diff(plane.astype(float)))[:520, :519 // 40 * 40]
        return change.reshape(13, 40, -1, 40).mean((1, 3))

    for fused, a, b in planes_of('film-mff', tmp_path, count=2):
        sharper = np.maximum(sharpness(a), sharpness(b))
        ours, *copies = ((sharpness(plane) > 0.8 * sharper).mean() for plane in (fused, a, b))
        assert ours > 0.9 > 0.8 > max(copies), (ours, copies)
