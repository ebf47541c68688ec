"""FILM's shipped weights: every one belongs to its log, does what its loss asks for, and reads its own words."""

import csv

import numpy as np
import pytest
from safetensors import safe_open

import vlfusion
from vlfusion.imaging.images import luminance
from vlfusion.testing.shared import shared
from vlfusion.testing.toys import draw_pairs
from vlfusion.zoo.entries import find_models
from vlfusion.zoo.metadata import read_meta

pytest.importorskip('vlfusion_film_weights', reason='pip install --editable plugins/film_weights')

ENTRIES = {name: entry for name, entry in find_models().items() if entry.package == 'vlfusion_film_weights'}
#: Two sources of test pairs by task, each brighter than the other somewhere, and the modality of source B.
PAIRS = {'mif': ('data/mif/Harvard/CT-MRI/test/MRI', 'data/mif/Harvard/CT-MRI/test/CT', 'CT'),
         'ivf': ('data/ivf/RoadScene/ir', 'data/ivf/RoadScene/vi', 'visible'),
         'mef': ('data/mef/MEFB/{}/{}_B', 'data/mef/MEFB/{}/{}_A', 'under-exposed'),
         'mff': ('data/mff/Lytro/near', 'data/mff/Lytro/far', 'far-focused')}
#: Test scenes of MEFB, where each has a folder of its own.
SCENES = ['House', 'Stream']


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
    assert weights == entry.method.parameters and path.stat().st_size < 6e6
    assert f'{meta["iter"]:,} steps' in entry.trained


def planes_of(name, tmp_path, count=4):
    """The fused luminance and both sources' of some test pairs, in grey levels."""
    source_a, source_b, modality = PAIRS[ENTRIES[name].tasks[0]]
    sources = [[next(shared('data/mef/MEFB').glob(f'{scene}/{scene}_{end[-1]}.*')) for scene in SCENES] if '{}' in end
               else sorted(shared(end).iterdir())[:count] for end in (source_a, source_b)]
    fuser = vlfusion.Fuser(name, modality_b=modality, store=tmp_path / 'text', protocol='plain')
    for pair in zip(*sources, strict=True):
        yield fuser(*pair).grey, *(luminance(vlfusion.read_image(path)) * 255 for path in pair)
    assert len(list((tmp_path / 'text').rglob('*.npy'))) == 2 * len(sources[0])


@pytest.mark.slow
@pytest.mark.parametrize('name', sorted(ENTRIES.keys() - {'film-mff'}))
def test_it_has_the_brightness_that_its_loss_asks_for(name, tmp_path):
    """That of the brighter source, or the mean of two exposures. A copy of one source fails, whatever its scores."""
    def asked(a, b):
        return (a + b) / 2 if ENTRIES[name].tasks == ('mef',) else np.maximum(a, b)
    distances = [[np.abs(plane - asked(a, b)).mean() for plane in (fused, a, b)]
                 for fused, a, b in planes_of(name, tmp_path)]
    ours, *copies = np.mean(distances, 0)
    assert ours < 0.75 * min(copies), (ours, copies)


@pytest.mark.slow
@pytest.mark.parametrize(('name', 'share', 'of_all'), [('film-mff', 0.8, 0.9), ('film-mef', 0.5, 0.85)])
def test_it_is_sharp_where_either_source_is(name, share, of_all, tmp_path):
    """Most blocks keep this share of the sharper source's edges. A copy of one source has too few of such blocks."""
    def sharpness(plane):
        """Mean change from pixel to pixel in each block of 40x40."""
        change = np.abs(np.diff(plane.astype(float)))
        height, width = (length // 40 * 40 for length in change.shape)
        return change[:height, :width].reshape(height // 40, 40, -1, 40).mean((1, 3))

    for fused, a, b in planes_of(name, tmp_path, count=2):
        sharper = np.maximum(sharpness(a), sharpness(b))
        ours, *copies = ((sharpness(plane) > share * sharper).mean() for plane in (fused, a, b))
        assert ours > of_all > 0.05 + max(copies), (ours, copies)


@pytest.mark.parametrize(('task', 'modality_b'), [('mif', 'PET'), ('ivf', None)])
def test_instructions_steer_film_guide_and_nothing_else_changes_it(task, modality_b, tmp_path):
    """Brightness falls, on the named side more than on the other; without an instruction it is film to the bit."""
    draw_pairs(tmp_path, ['p'], source_a='a', source_b='b', size=(64, 64))
    pair = tmp_path / 'a/p.png', tmp_path / 'b/p.png'
    options = dict(modality_b=modality_b, store=tmp_path / 'text', protocol='plain')
    guide, film = (vlfusion.Fuser(name, **options) for name in (f'film-guide-{task}', f'film-{task}'))
    plain, darker, left = (guide(*pair, instruction=words).grey.astype(float) for words in (
        None, 'Make the picture much darker.', 'Make the picture much darker on the left.'))
    assert (plain == film(*pair).grey).all()
    assert darker.mean() < 0.9 * plain.mean()
    fall = (plain - left).mean(0)
    assert fall[:24].mean() > 5 > 2 * abs(fall[40:].mean())
