"""A known misalignment is found again: in drawn pictures, and in real pairs of different modalities."""

import cv2
import numpy as np
import pytest

from vlfusion.errors import ConfigError, DataError
from vlfusion.imaging.images import read_image
from vlfusion.imaging.registration import mutual
from vlfusion.imaging.registration.alignment import Alignment, align, known_movement, move
from vlfusion.imaging.registration.motion import distance
from vlfusion.imaging.registration.warp import warp
from vlfusion.testing.moved_pairs import moved_pair
from vlfusion.testing.shared import shared

pytest.importorskip('SimpleITK', reason="pip install 'vlfusion[registration]'")

SHIFTED = dict(shift=(6.3, -4.6), rotation=2, scale=1.03)
FAR = dict(shift=(-11.4, 9.2), rotation=-6, scale=0.93)


def drawing(size=(128, 160), seed=0):
    """Overlapping shapes of random brightness, 8 bits."""
    rng = np.random.default_rng(seed)
    image = np.full(size, 90, np.uint8)
    for _ in range(60):
        x, y, angle = rng.integers(0, size[1]), rng.integers(0, size[0]), int(rng.integers(0, 180))
        axes = tuple(int(length) for length in rng.integers(4, 26, 2))
        cv2.ellipse(image, (int(x), int(y)), axes, angle, 0, 360, int(rng.integers(20, 240)), -1, cv2.LINE_AA)
    return image


def other_modality(image):
    """The same things in other brightness, which neither rises nor falls with the first."""
    return np.round(255 * np.abs(np.sin(image / 255 * 4)) ** 1.5).astype(np.uint8)


def test_a_rigid_movement_between_drawn_modalities_is_found():
    image = drawing()
    a, b, known = moved_pair(image, other_modality(image), known_movement(image.shape, shift=(5.4, -3.2), rotation=4))
    found = align(a, b, 'rigid')
    assert distance(found.matrix, known, a.shape) < 0.5
    assert abs(found.rotation - 4) < 0.3 and found.scale == pytest.approx(1)
    assert found.confidence == 'high' and found.verdict == 'misaligned' and found.measure == 'edges'
    assert found.mutual_information[1] > found.mutual_information[0]
    assert distance(align(a, move(b, found), 'rigid').matrix, np.eye(3), a.shape) < 0.5


@pytest.mark.parametrize(('offset', 'uncertainty', 'difference', 'longest', 'verdict'), [
    (2.5, 0.5, 9, 512, 'misaligned'), (0.9, 0.5, np.inf, 512, 'aligned'), (2.5, 0.5, 0.5, 512, 'misaligned'),
    (2.5, 1.9, 9, 1024, 'misaligned'), (1.8, 1.9, 9, 1024, 'aligned'), (2.5, 1.5, 2, 512, 'aligned'),
    (3.5, 1.5, 2, 512, 'misaligned'), (0.5, 4, 0.5, 512, 'unsure')])
def test_halves_that_agree_decide_within_a_pixel_or_their_difference(offset, uncertainty, difference, longest, verdict):
    assert Alignment(np.eye(3), (96, longest), 'rigid', offset, uncertainty, difference, 2., (0.5, 0.7), (4., 0.3),
                     'edges').verdict == verdict


def test_what_a_moved_image_does_not_show_is_black():
    image = drawing()
    size = image.shape
    moved = warp(image, np.linalg.inv(known_movement(size, shift=(20, 0))), size)
    found = align(image, moved, 'rigid')
    back = move(moved, found)
    assert back.dtype == np.uint8 and not back[:, -15:].any()
    assert np.abs(back[:, :-25].astype(float) - image[:, :-25]).mean() < 3


def test_pictures_without_edges_give_no_confidence():
    flat = np.full((96, 96), 128, np.uint8)
    assert align(flat, drawing((96, 96)), 'rigid').verdict != 'misaligned'


@pytest.mark.parametrize('size', [(8, 2000), (1, 40), (2, 2)])
def test_thin_pictures_are_unsure_since_neither_measure_finds_anything(size):
    image = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    found = align(image, 255 - image)
    assert found.verdict == 'unsure' and found.uncertainty == np.inf and found.offset == 0
    assert found.evidence == 'mutual information finds no movement'


def test_a_homography_that_edges_cannot_find_is_called_a_similarity():
    found = align(np.full((96, 96), 128, np.uint8), drawing((96, 96)), 'homography')
    assert found.measure == 'mutual information' and found.motion == 'similarity'


def test_mutual_information_finds_the_same_twice():
    a, b = drawing().astype(np.float32), drawing(seed=1).astype(np.float32)
    (first, _), (second, _) = (mutual.maximise(a, b, np.eye(3), 'similarity') for _ in range(2))
    assert np.array_equal(first, second)


def test_pictures_of_different_scenes_give_no_confidence():
    found = align(drawing((96, 128)), drawing((96, 128), seed=1), 'rigid')
    assert found.confidence == 'low' and found.verdict == 'unsure'


def test_sizes_and_motions_are_checked():
    with pytest.raises(DataError, match='differ in size'):
        align(drawing((64, 64)), drawing((64, 80)))
    with pytest.raises(ConfigError, match="Unknown motion 'afine'") as error:
        align(drawing((64, 64)), drawing((64, 64)), 'afine')
    assert 'affine' in error.value.remedy


@pytest.mark.slow
@pytest.mark.parametrize('motion', ['affine', 'homography'])
def test_shear_and_perspective_are_found(motion):
    image = drawing((220, 280))
    known = np.array([[1.02, 0.03, 4], [-0.02, 0.98, -3], [0, 0, 1]])
    if motion == 'homography':
        known[2, :2] = 1e-4, -8e-5
    moved = warp(other_modality(image), np.linalg.inv(known), image.shape)
    a, b = (np.ascontiguousarray(each[25:-25, 25:-25]) for each in (image, moved))
    corner = np.array([[1, 0, -25], [0, 1, -25], [0, 0, 1.]])
    found = align(a, b, motion)
    assert distance(found.matrix, corner @ known @ np.linalg.inv(corner), a.shape) < 0.3
    assert found.residual[1] < 0.5 < found.residual[0] and found.confidence == 'high'


def _real(folder_a, folder_b, stem):
    folders = [shared(f'data/{folder}') for folder in (folder_a, folder_b)]
    return [read_image(next(folder.glob(f'{stem}.*'))) for folder in folders]


def _published_and_moved(source_a, source_b, stem, motion, margin, **by):
    """Alignments of a real pair as published and after source B was moved, and the distance that should be 0.

    The estimate of the pair as it is published is the reference: no real pair is perfectly aligned.
    """
    a, b = _real(source_a, source_b, stem)
    published = align(*moved_pair(a, b, np.eye(3), margin)[:2], motion)
    moved_a, moved_b, known = moved_pair(a, b, known_movement(a.shape[:2], **by), margin)
    found = align(moved_a, moved_b, motion)
    return published, found, distance(found.matrix, known @ published.matrix, moved_a.shape[:2])


@pytest.mark.slow
@pytest.mark.parametrize(('source_a', 'source_b', 'stem', 'motion', 'by'), [
    ('ivf/RoadScene/ir', 'ivf/RoadScene/vi', 'FLIR_05105', 'similarity', SHIFTED),
    ('ivf/RoadScene/ir', 'ivf/RoadScene/vi', 'FLIR_06795', 'similarity', FAR),
    ('ivf/TNO/ir', 'ivf/TNO/vi', '08', 'similarity', FAR),
    ('mif/MRI_CT/MRI', 'mif/MRI_CT/CT', '14', 'rigid', {**FAR, 'scale': 1})])
def test_a_real_pair_is_found_within_half_a_pixel(source_a, source_b, stem, motion, by):
    margin = 0.15 if motion == 'similarity' else 0
    published, found, error = _published_and_moved(source_a, source_b, stem, motion, margin, **by)
    assert error < 0.5
    assert found.confidence in ('high', 'fair') and found.measure == 'edges' and found.verdict == 'misaligned'
    assert published.offset < found.offset and found.residual[1] < found.residual[0]


@pytest.mark.slow
def test_a_homography_that_worsens_an_aligned_pair_is_not_kept():
    a, b = _real('ivf/RoadScene/ir', 'ivf/RoadScene/vi', 'FLIR_00977')
    found = align(a, b, 'homography')
    assert found.motion == 'similarity' and found.verdict == 'aligned' and found.offset < 1
    assert found.residual[1] <= found.residual[0]
    sheared = align(a, b, 'affine')
    assert sheared.motion == 'affine' and sheared.residual[1] < found.residual[1]


@pytest.mark.slow
def test_mri_and_pet_are_found_by_mutual_information_alone_and_never_with_high_confidence():
    _, found, error = _published_and_moved('mif/MRI_PET/MRI', 'mif/MRI_PET/PET', '24', 'rigid', 0, shift=(6.3, -4.6),
                                           rotation=2)
    assert found.measure == 'mutual information' and found.confidence == 'fair'
    assert error < 0.5


def test_images_of_few_pixels_are_never_certain_by_their_edges():
    found = align(drawing((9, 12)), drawing((9, 12)), 'rigid')
    assert found.distinctness == 0 and found.measure == 'mutual information'
