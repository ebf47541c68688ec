"""Changes of the scene."""

import numpy as np

from vlfusion.imaging.video.scenes import SceneChanges


def test_cuts_are_found_and_motion_is_not():
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 256, (40, 60, 3), np.uint8) for _ in range(2))
    frames = [np.roll(first, n, 1) for n in range(4)] + [np.roll(second, n, 1) for n in range(4)]
    changes = SceneChanges()
    assert changes(frames[0])
    smooth = [np.full((40, 60), 10 * n, np.uint16) * 257 for n in range(6)]
    changes = SceneChanges()
    assert [changes(image) for image in smooth] == [True] + [False] * 5
