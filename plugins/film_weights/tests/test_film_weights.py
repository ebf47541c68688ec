"""FILM's shipped weights: every one belongs to its log, keeps more edges than averaging, and reads its own words."""

import csv

import numpy as np
import pytest
from safetensors import safe_open

import vlfusion
from vlfusion.engine.states import read_meta
from vlfusion.testing.shared import shared
from vlfusion.zoo.entries import find_models

pytest.importorskip('vlfusion_film_weights', reason='pip install --editable plugins/film_weights')

ENTRIES = {name: entry for name, entry in find_models().items() if entry.package == 'vlfusion_film_weights'}
#: Two sources of test pairs by task, and the modality of source B.
PAIRS = {'mif': ('data/mif/Harvard/PET-MRI/test/MRI', 'data/mif/Harvard/PET-MRI/test/PET', 'PET'),
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


@pytest.mark.slow
@pytest.mark.parametrize('name', [name for name, entry in ENTRIES.items() if entry.tasks[0] in PAIRS])
def test_it_keeps_more_edges_than_averaging(name, tmp_path):
    source_a, source_b, modality = PAIRS[ENTRIES[name].tasks[0]]
    sources = [sorted(shared(source).iterdir())[:2] for source in (source_a, source_b)]
    fuser = vlfusion.Fuser(name, modality_b=modality, store=tmp_path / 'text')
    for image_a, image_b in zip(*sources, strict=True):
        fused, mean = fuser(image_a, image_b), vlfusion.Fuser('average')(image_a, image_b)
        ours, floor = (vlfusion.score(result, image_a, image_b, 'Qabf')['Qabf'] for result in (fused, mean))
        assert ours > floor + 0.05
    assert len(list((tmp_path / 'text').rglob('*.npy'))) == 4
