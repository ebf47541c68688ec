"""Volumes on the page: the files of `vlfusion.fuse_volumes`, and slices of sources and result."""

import numpy as np
import pytest

from vlfusion.app.models import Settings
from vlfusion.app.pair import Refused
from vlfusion.app.volume import fuse_uploads

for package in ('nibabel', 'SimpleITK', 'matplotlib', 'pydicom'):
    pytest.importorskip(package, reason="pip install 'vlfusion[medical,app]'")

from volumetric import grid, ramp, write_nifti  # noqa: E402

import vlfusion  # noqa: E402
from vlfusion.volumes.pair import VolumePair  # noqa: E402

SHAPE = (28, 24, 5)
MIF = Settings('laplacian-mif', 'MRI', 'PET')


@pytest.fixture
def volumes(tmp_path):
    """An MRI of five thick slices, and a PET on a coarser grid."""
    fine, coarse = grid(SHAPE, (1, 1, 4)), grid((16, 14, 8), (2, 2, 3))
    return [write_nifti(tmp_path / 'mri.nii.gz', ramp(SHAPE, fine), fine),
            write_nifti(tmp_path / 'pet.nii.gz', ramp((16, 14, 8), coarse, (-5, 2, 1)), coarse)]


@pytest.fixture
def laplacian(models):
    from vlfusion.app.models import Models
    return Models('laplacian-mif', models.store)


@pytest.mark.parametrize('colormap', ['', 'hot'])
def test_files_and_slices(colormap, laplacian, volumes, tmp_path, limits):
    import nibabel
    steps = []
    done = fuse_uploads(laplacian, MIF, volumes, tmp_path / 'work', limits, colormap=colormap,
                        step=lambda *step: steps.append(step))
    vlfusion.fuse_volumes('laplacian-mif', *volumes, tmp_path / 'own.nii.gz', colormap=colormap or None,
                          modality_a='MRI', modality_b='PET')
    names = ['fused.nii.gz', *(['fused_rgb.nii.gz'] if colormap else []), 'fused.json']
    assert [path.name for path in done.downloads] == names and done.count == 5 and steps[-1] == ('Fusing slices', 5, 5)
    for name in names[:-1]:
        own = tmp_path / name.replace('fused', 'own')
        assert (tmp_path / 'work' / name).read_bytes() == own.read_bytes()
    a, b, fused = done.slice(2)
    pair = VolumePair(*map(vlfusion.read_volume, volumes))
    assert np.array_equal(a, np.round(pair.pictures(1)[0] / 257).astype(np.uint8))
    assert b.shape == fused.shape == ((24, 28, 3) if colormap else (24, 28))
    stored = np.asanyarray(nibabel.load(tmp_path / f'own{"_rgb" * bool(colormap)}.nii.gz').dataobj)[:, :, 1].T
    if colormap:
        stored = np.dstack([stored[channel] for channel in 'RGB'])
    assert any(np.array_equal(fused, stored[::x, ::y]) for x in (1, -1) for y in (1, -1))
    assert any('5 axial slices' in line for line in done.lines)
    assert not any(str(tmp_path) in line for line in done.lines)
    assert done.command == ('vlfusion fuse laplacian-mif mri.nii.gz pet.nii.gz -o fused.nii.gz --modality-b PET'
                            + ' --colormap hot' * bool(colormap))


def test_refused_volumes_are_named(laplacian, volumes, tmp_path, limits):
    big = write_nifti(tmp_path / 'big.nii.gz', np.zeros((60, 60, 60), np.uint8), np.eye(4))
    (tmp_path / 'broken.nii').write_bytes(b'broken')
    (tmp_path / 'picture.png').write_bytes(b'picture')
    for number, (other, said) in enumerate([
            (big, 'B/big.nii.gz has 60x60x60 voxels'), (tmp_path / 'broken.nii', 'Cannot'),
            (tmp_path / 'picture.png', 'B/picture.png is no NIfTI file')]):
        with pytest.raises(Refused, match=said) as error:
            fuse_uploads(laplacian, MIF, [volumes[0], other], tmp_path / f'work {number}', limits)
        assert str(tmp_path) not in str(error.value)
