"""Two images, or two folders, fused into files by a classical method."""

import sys
from importlib.util import find_spec

import numpy as np
import psutil
import pytest
import tifffile

from vlfusion.console.progress import ShowProgress
from vlfusion.errors import CheckpointError, ConfigError, DataError
from vlfusion.imaging.images import read_image
from vlfusion.inference.folders import fuse, plan_files
from vlfusion.inference.stack_files import plan_stacks
from vlfusion.system.ray_cluster import Cluster
from vlfusion.system.workers import one_thread_each
from vlfusion.testing.toys import draw_pairs


@pytest.fixture
def method():
    pytest.importorskip('vlfusion_classical', reason='pip install --editable plugins/classical')
    return 'classical/laplacian_ivf'


@pytest.fixture
def folders(tmp_path):
    draw_pairs(tmp_path, ['p', 'q'], size=(40, 48))
    return tmp_path / 'ir', tmp_path / 'vi', tmp_path / 'out'


def test_two_folders(method, folders):
    done = fuse(method, *folders)
    assert done.written == {name: folders[2] / f'{name}.png' for name in 'pq'} and not done.kept and not done.failed
    assert read_image(done.written['p']).shape == (40, 48, 3)
    again = fuse(method, *folders, skip_existing=True, names=['q'])
    assert not again.written and again.kept == {'q': folders[2] / 'q.png'}


def test_two_images_in_grey(method, folders):
    ir, vi, out = folders
    done = fuse(method, ir / 'p.png', vi / 'p.png', out / 'x.png', grey=True)
    assert done.written == {'p': out / 'x.png'} and read_image(out / 'x.png').shape == (40, 48)


def test_a_pair_that_fails_does_not_stop_the_others(method, folders):
    ir, _, out = folders
    (ir / 'p.png').write_bytes(b'no image')
    done = fuse(method, *folders)
    assert list(done.written) == ['q'] and 'p.png' in str(done.failed['p'])
    with pytest.raises(DataError, match=r'p\.png'):
        fuse(method, *folders, names=['p'])


def write_geotiff(path):
    """A GeoTIFF file, as far as its header says."""
    tifffile.imwrite(path, np.zeros((40, 48), np.uint8), extratags=[(33550, 'd', 3, (10., 10., 0.), True)])
    return path


def test_a_single_picture_without_a_georeference_needs_no_rasterio(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'rasterio', None)
    sources = [write_geotiff(tmp_path / f'{name}.tif') for name in 'ab']
    (tmp_path / 'out').mkdir()
    assert list(plan_files(*sources, tmp_path / 'x.png').values()) == [tmp_path / 'x.png']
    assert list(plan_stacks(sources, tmp_path / 'x.png').values()) == [tmp_path / 'x.png']
    assert list(plan_files(*sources, tmp_path / 'out', suffix='png').values()) == [tmp_path / 'out/a.png']
    for plan in (lambda out: plan_files(*sources, out), lambda out: plan_stacks(sources, out)):
        for out in (tmp_path / 'x.tif', tmp_path / 'out'):
            with pytest.raises(ConfigError, match='rasterio'):
                plan(out)


def test_an_empty_tiff_file_fails_its_pair_alone(method, folders):
    ir, _, out = folders
    (ir / 'p.png').unlink()
    (ir / 'p.tif').write_bytes(b'')
    done = fuse(method, *folders)
    assert done.written == {'q': out / 'q.png'} and 'it is empty' in str(done.failed['p'])


def test_a_text_for_a_model_that_reads_none(method, folders, tmp_path):
    with pytest.raises(ConfigError, match='the model reads none'):
        fuse(method, *folders, text=tmp_path)


def test_mistakes_are_told_before_a_model_is_loaded(folders):
    ir, vi, out = folders
    with pytest.raises(CheckpointError, match='No checkpoint'):
        fuse('no.pth', *folders)
    with pytest.raises(DataError, match='is a file'):
        plan_files(ir / 'p.png', vi, out)
    with pytest.raises(DataError, match='the same file'):
        plan_files(ir / 'p.png', ir / 'p.png', out / 'x.png')
    with pytest.raises(DataError, match='go into a folder'):
        plan_files(ir, vi, out / 'x.png')
    with pytest.raises(DataError, match='No image or folder at'):
        plan_files(ir, vi / 'no', out)


@pytest.mark.slow
@pytest.mark.skipif(find_spec('ray') is None, reason="pip install 'vlfusion[ray]'")
def test_workers_of_a_cluster_write_the_same_files(tmp_path):
    """One and three workers, also if one is killed in the middle; pairs that fail are named as by one process."""
    pytest.importorskip('vlfusion_film_weights', reason='pip install --editable plugins/film_weights')
    draw_pairs(tmp_path, [f'p{number:02}' for number in range(12)], size=(64, 72))
    sources = tmp_path / 'ir', tmp_path / 'vi'
    (sources[0] / 'p05.png').write_bytes(b'no image')
    options = dict(text=tmp_path / 'words.npy')
    np.save(options['text'], np.random.default_rng(0).normal(size=(7, 384)).astype(np.float32))
    with one_thread_each():
        plain = fuse('film-ivf', *sources, tmp_path / 'plain', **options)
    files = {path.name: path.read_bytes() for path in sorted((tmp_path / 'plain').iterdir())}
    assert len(files) == 11

    with Cluster('local', workers=3) as cluster:
        for cluster.workers in (3, 1):
            out, show = tmp_path / str(cluster.workers), KillsAWorker(quiet=True)
            done = fuse('film-ivf', *sources, out, cluster=cluster, show=show, **options)
            assert {path.name: path.read_bytes() for path in sorted(out.iterdir())} == files and len(show.killed) == 1
            assert list(done.failed) == ['p05'] and str(done.failed['p05']) == str(plain.failed['p05'])


class KillsAWorker(ShowProgress):
    """End one worker of the cluster once some pairs are fused."""

    killed = ()

    def __call__(self, step, done, total, **options):
        if step == 'fusing' and 0 < done < total and not self.killed:
            self.killed = [child for child in psutil.Process().children(recursive=True)
                           if ' '.join(child.cmdline()).startswith('ray::_Actor')][:1]
            for process in self.killed:
                process.kill()
