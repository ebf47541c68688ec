"""Scenes and modalities, the arguments of `Captioner.observe`, checked for all captioners in this folder."""

from collections.abc import Iterable

import numpy as np

from vlfusion.errors import DataError
from vlfusion.language.interfaces import Captioner, Image

#: For captioners of one image and of pairs: a scene, the modalities, and an example of a call.
_FORMS = {1: ('one image', 'one word', "observe([(image,)], ('infrared',))"),
          2: ('two images', 'two words', "observe([(image_a, image_b)], ('infrared', 'visible'))")}


def checked_scenes(captioner: Captioner, scenes: Iterable[tuple[Image, ...]],
                   modalities: tuple[str, ...]) -> list[tuple[Image, ...]]:
    """Return the scenes, if each has as many images as the captioner sees, with one modality for each image.

    Raises:
        DataError: a scene is not a tuple of that many images, or the modalities are not a tuple of that many words.
    """
    name, count, scenes = type(captioner).__name__, captioner.images, list(scenes)
    images, words, call = _FORMS[count]
    remedy = f'A scene is a tuple of images, and the modalities are a tuple of words: {call}.'
    if not isinstance(modalities, tuple | list) or len(modalities) != count:
        raise DataError(f'The modalities of {name}.observe must be a tuple of {words}, but are {modalities!r}.', remedy)
    for scene in scenes:
        if not isinstance(scene, tuple | list) or len(scene) != count:
            size = (f' of the shape {scene.shape}' if isinstance(scene, np.ndarray) else
                    f' of {len(scene)}' if isinstance(scene, tuple | list) else '')
            raise DataError(f'A scene of {name}.observe must be a tuple of {images}, but is a '
                            f'{type(scene).__name__}{size}.', remedy)
    return scenes
