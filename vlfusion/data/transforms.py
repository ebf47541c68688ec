"""Transforms of a data set's pipeline: read a pair, augment its images together, pack them into tensors.

Importing this module also registers mmcv's own transforms (`RandomFlip`, `Resize`, `Pad`, ...). A pipeline works on a
dict with `name`, `path_a`, `path_b` and the luminance images `img_a` and `img_b`, `(h, w)` in [0, 1]. A true image,
`img_truth`, and the maps of the pair, such as `map_mask`, go through all steps with them:

    pipeline=[
        dict(type='LoadPair'),
        dict(type='BothSources', transforms=[
            dict(type='RandomCrop', size=(96, 96)),
            dict(type='RandomFlip', prob=0.5),
            dict(type='RandomRotate90')]),
        dict(type='PackPair')]
"""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform

from vlfusion.data.names import is_keyword
from vlfusion.errors import DataError
from vlfusion.imaging.images import luminance, read_image
from vlfusion.imaging.reading.rule import AS_STORED
from vlfusion.registry import TRANSFORMS

#: Images of a pair: their keys in a pipeline, and their names in a sample. Maps follow, see `image_keys`.
IMAGES = {'img_a': 'source_a', 'img_b': 'source_b', 'img_truth': 'truth'}


def image_keys(results: Mapping) -> dict[str, str]:
    """Return the keys of the loaded images of a pair in a pipeline, with their names in a sample.

    Its maps are those that `maps` lists.

    >>> image_keys(dict(img_a=..., img_b=..., map_mask=..., maps=dict(mask='masks/12.png')))
    {'img_a': 'source_a', 'img_b': 'source_b', 'map_mask': 'mask'}
    """
    keys = IMAGES | {f'map_{name}': name for name in results.get('maps', ())}
    return {key: name for key, name in keys.items() if key in results}


def maps_in(sample: Mapping) -> list[str]:
    """Return the names of the maps of a sample: its images `(1, h, w)` beside the sources and the truth."""
    return [key for key, value in sample.items()
            if isinstance(value, torch.Tensor) and value.ndim == 3 and is_keyword(key)]


@TRANSFORMS.register_module()
class LoadPair(BaseTransform):
    """Read the luminance of both sources into `img_a` and `img_b`, float32 `(h, w)` in [0, 1].

    A true image becomes `img_truth`, and a map `mask` becomes `map_mask`, in the same form.

    Args:
        luminance: name of a rule of `vlfusion.imaging.images.luminance`.
    """

    def __init__(self, luminance: str = 'film'):
        self.luminance = luminance

    def transform(self, results: dict) -> dict:
        """Read the images; raise DataError if a file cannot be read or the sizes differ."""
        parts = ('a', 'b', 'truth')
        paths = {f'img_{part}': results[f'path_{part}'] for part in parts if f'path_{part}' in results}
        paths |= {f'map_{name}': path for name, path in results.get('maps', {}).items()}
        readings = {f'img_{part}': results[f'reading_{part}'] for part in parts if f'reading_{part}' in results}
        images = {key: luminance(read_image(path, readings.get(key, AS_STORED)), self.luminance)
                  for key, path in paths.items()}
        if len({image.shape for image in images.values()}) > 1:
            sizes = ', '.join(f'{paths[key]} is {image.shape}' for key, image in images.items())
            raise DataError(f'The images of {results["name"]} differ in size (h, w): {sizes}.',
                            'Register them to one size first.')
        return results | images


@TRANSFORMS.register_module()
class BothSources(BaseTransform):
    """Apply transforms to both sources together, and to the true image and the maps if there are any.

    Inside, they are the channels of one image `img`, `(h, w, 2)` or more. So random choices are the same for all,
    whatever random generator a transform uses. Do not use mmcv's colour transforms here: they would mix the channels.

    Args:
        transforms: configs of transforms of vlfusion, mmcv or a plugin, in order.
    """

    def __init__(self, transforms: Sequence[dict]):
        self.transforms = [TRANSFORMS.build(config) for config in transforms]

    def transform(self, results: dict) -> dict:
        keys = list(image_keys(results))
        results = {**results, 'img': np.dstack([results[key] for key in keys])}
        for transform in self.transforms:
            results = transform(results)
        return {**results, **dict(zip(keys, np.moveaxis(results.pop('img'), -1, 0), strict=True))}


@TRANSFORMS.register_module()
class RandomCrop(BaseTransform):
    """Crop a window of fixed size at a random place.

    Args:
        size: height and width of the window in pixels.
    """

    def __init__(self, size: Sequence[int]):
        self.size = tuple(size)

    def transform(self, results: dict) -> dict:
        """Crop the image; raise DataError if it is smaller than the window."""
        (height, width), (crop_height, crop_width) = results['img'].shape[:2], self.size
        if height < crop_height or width < crop_width:
            raise DataError(f'{results["path_a"]} and its partner are {width}x{height}, smaller than the crop of '
                            f'{crop_width}x{crop_height} (width x height).',
                            'Choose a smaller RandomCrop size, or remove the pair from the split.')
        top, left = np.random.randint(height - crop_height + 1), np.random.randint(width - crop_width + 1)
        results['img'] = results['img'][top:top + crop_height, left:left + crop_width]
        return results


@TRANSFORMS.register_module()
class RandomRotate90(BaseTransform):
    """Rotate a square image by 0, 90, 180 or 270 degrees, any other by 0 or 180, so that its size does not change."""

    def transform(self, results: dict) -> dict:
        height, width = results['img'].shape[:2]
        quarters = np.random.randint(4) if height == width else 2 * np.random.randint(2)
        results['img'] = np.rot90(results['img'], quarters)
        return results


@TRANSFORMS.register_module()
class FilmResize(BaseTransform):
    """Resize for training as the released FILM code does: bilinear, to one landscape size.

    An image that is not wider than high is resized to the portrait size and then transposed, not rotated.

    Args:
        size: height and width of the result in pixels.
    """

    def __init__(self, size: Sequence[int] = (288, 384)):
        self.size = tuple(size)

    def transform(self, results: dict) -> dict:
        image, (short, long) = results['img'], self.size
        height, width = image.shape[:2]
        if height < width:
            results['img'] = cv2.resize(image, (long, short), interpolation=cv2.INTER_LINEAR)
        else:
            results['img'] = cv2.resize(image, (short, long), interpolation=cv2.INTER_LINEAR).swapaxes(0, 1)
        return results


@TRANSFORMS.register_module()
class PackPair(BaseTransform):
    """Make the flat sample that torch's default collate can stack.

    `source_a`, `source_b`, the optional `truth` and each map are float32 tensors `(1, h, w)`. Each text is a float32
    tensor `(token, dim)`, and its mask (`text_mask` for `text`) a bool tensor `(token,)`. `name`, `path_a`, `path_b`
    and the optional `words` stay strings. Everything else is dropped.
    """

    def transform(self, results: dict) -> dict:
        strings = ('name', 'path_a', 'path_b', *(['words'] if 'words' in results else []))
        sample = {key: results[key] for key in strings}
        for key, name in image_keys(results).items():
            image = np.ascontiguousarray(results[key], np.float32)  # crops and rotations are views
            sample[name] = torch.from_numpy(image)[None]
        texts = [key for key in results if f'{key}_mask' in results]
        return sample | {key: torch.from_numpy(results[key]) for text in texts for key in (text, f'{text}_mask')}
