"""Training patches as CDDFuse cuts them: a fixed grid over each pair, without patches of low contrast."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from mmengine.logging import print_log

from vlfusion.data import Pair, PairDataset
from vlfusion.data.pairs import Names
from vlfusion.data.transforms import LoadPair
from vlfusion.errors import DataError, listing
from vlfusion.registry import DATASETS


@DATASETS.register_module()
class PatchDataset(PairDataset):
    """Patches of image pairs, each a sample of its own. Text is not read.

    The patches of a pair lie `stride` apart, from the top left corner on. Pixels at the right and bottom that do not
    fill a patch are not used. Patches are cut when they are read; no copy is written to disk.

    Args:
        task, data_root, source_a, source_b, names, subsets, modality_a, modality_b, name: as in `PairDataset`.
        size: side of the patches in pixels.
        stride: distance between neighbouring patches in pixels.
        contrast: smallest contrast of a patch (see `contrast_below`); if either patch of a pair has less, both are
            dropped.
        luminance: rule of `vlfusion.imaging.images.luminance`; the released code does not round.
        pipeline: configs of transforms up to `PackPair`, without `LoadPair`: the samples already hold patches.

    Attributes:
        patches: for each sample, the index of its pair and the top and left of the patch.

    Raises:
        DataError: as in `PairDataset`; an image is smaller than a patch; no patch has enough contrast.
    """

    def __init__(self, task: str, data_root: str | os.PathLike, source_a: str | None = None,
                 source_b: str | None = None, names: Names | None = None, subsets: Mapping[str, Mapping] | None = None,
                 modality_a: str | None = None, modality_b: str | None = None, size: int = 128, stride: int = 200,
                 contrast: float = 0.1, luminance: str = 'bt601', pipeline: Sequence[dict] = (),
                 name: str | None = None):
        super().__init__(task, data_root, source_a, source_b, names, subsets, modality_a, modality_b,
                         pipeline=pipeline, check=False, name=name)  # the loop below decodes every image
        self.size, self.read = size, LoadPair(luminance)
        self.patches, dropped, small = [], 0, []
        for index, pair in enumerate(self.pairs):
            images = self._images(pair)
            height, width = images[0].shape
            if min(height, width) < size:
                small.append(f'{pair.path_a} and its partner: {width}x{height}')
            for top in range(0, height - size + 1, stride):
                for left in range(0, width - size + 1, stride):
                    if any(contrast_below(contrast, self._cut(image, top, left)) for image in images):
                        dropped += 1
                    else:
                        self.patches.append((index, top, left))
        if small:
            raise DataError(f'{len(small)} pairs are smaller than a patch of {size}x{size}:\n{listing(small)}',
                            'Choose a smaller size, or remove them from the split.')
        if not self.patches:
            raise DataError(f'None of the {dropped} patches of {self.name} has a contrast of {contrast:g}.',
                            'Check the images, or lower `contrast`.')
        print_log(f'{self.name}: {len(self.patches)} patches of {size}x{size} from {len(self.pairs)} pairs; '
                  f'{dropped} dropped for low contrast.', logger='current')

    def __len__(self) -> int:
        return len(self.patches)

    def record(self, index: int) -> dict:
        pair_index, top, left = self.patches[index]
        pair = self.pairs[pair_index]
        img_a, img_b = (self._cut(image, top, left) for image in self._images(pair))
        return dict(name=f'{pair.name}_{top}_{left}', path_a=str(pair.path_a), path_b=str(pair.path_b),
                    img_a=img_a, img_b=img_b)

    def _images(self, pair: Pair) -> tuple[Float[np.ndarray, 'h w'], Float[np.ndarray, 'h w']]:
        read = self.read(dict(name=pair.name, path_a=pair.path_a, path_b=pair.path_b, reading_a=pair.reading_a,
                              reading_b=pair.reading_b))
        return read['img_a'], read['img_b']

    def _cut(self, image: Float[np.ndarray, 'h w'], top: int, left: int) -> Float[np.ndarray, 'size size']:
        return image[top:top + self.size, left:left + self.size]


def contrast_below(threshold: float, patch: Float[np.ndarray, 'h w']) -> bool:
    """Check `(p90 - p10) / p90 < threshold` with the 10th and 90th percentiles of a patch.

    If the 90th percentile is zero, the result is False: the released code compares NaN there and keeps the patch.

    >>> contrast_below(0.1, np.full((8, 8), 0.5)), contrast_below(0.1, np.zeros((8, 8)))
    (True, False)
    """
    low, high = np.percentile(patch, (10, 90))
    return bool(high - low < threshold * high)
