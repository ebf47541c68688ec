"""Changes of the scene in a sequence of frames."""

import cv2
import numpy as np
from jaxtyping import Shaped

from vlfusion.imaging.images import to_8bit

#: Least score of a change, in percent of the grey levels: the default of FFmpeg's filter `scdet`.
THRESHOLD = 10.


class SceneChanges:
    """Find the frames that begin a new scene, by the rule of FFmpeg's filter `scdet`.

    A frame's score is the mean absolute difference of grey levels to the frame before, in percent of 255; or the change
    of this difference since the frame before, if that is less, so that steady motion is no change of scene.

    >>> changes = SceneChanges()
    >>> dark, bright = np.zeros((4, 4), np.uint8), np.full((4, 4), 200, np.uint8)
    >>> [changes(frame) for frame in (dark, dark, bright, bright)]
    [True, False, True, False]
    """

    def __init__(self):
        self._grey, self._difference = None, 0.

    def __call__(self, image: Shaped[np.ndarray, 'h w *bgr']) -> bool:
        """Tell whether the next frame begins a scene; the first frame does."""
        image = to_8bit(image)
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image
        last, self._grey = self._grey, grey
        if last is None:
            return True
        before, self._difference = self._difference, float(cv2.absdiff(grey, last).mean()) * 100 / 255
        return min(self._difference, abs(self._difference - before)) >= THRESHOLD
