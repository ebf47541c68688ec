"""Changes of the scene."""

import cv2
import numpy as np

from vlfusion.imaging.video.scenes import SceneChanges


def test_cuts_are_found_and_motion_is_not():
    rng = np.random.default_rng(0)
    noise = (rng.integers(0, 256, (40, 60, 3), np.uint8) for _ in range(2))
    first, second = (cv2.normalize(cv2.GaussianBlur(image, (0, 0), 6), None, 0, 255, cv2.NORM_MINMAX)
                     for image in noise)
    frames = [np.roll(first, n, 1) for n in range(4)] + [np.roll(second, n, 1) for n in range(4)]
    changes = SceneChanges()
    assert [changes(frame) for frame in frames] == [True, False, False, False, True, False, False, False]
    smooth = [np.full((40, 60), 10 * n, np.uint16) * 257 for n in range(6)]
    changes = SceneChanges()
    assert [changes(image) for image in smooth] == [True] + [False] * 5
