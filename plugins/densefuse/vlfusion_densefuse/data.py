"""Single images as a data set, for networks that learn to restore them."""

import os
from collections.abc import Sequence
from pathlib import Path

from vlfusion.data.dataset import FusionDataset
from vlfusion.data.pairs import find_files, read_images
from vlfusion.errors import DataError, listing
from vlfusion.registry import DATASETS


@DATASETS.register_module()
class ImageDataset(FusionDataset):
    """Images of one folder; both sources of a sample are the same image.

    Args:
        task: task of the network, such as `ivf`.
        data_root: folder that `images` is relative to.
        images: folder or pattern of the images, as in `vlfusion.data.pairs.find_pairs`, such as `train2014`.
        first: number of images to use, the first by name; None for all.
        pipeline: configs of transforms, from `LoadPair` to `PackPair`.
        check: whether to decode every image at construction, about ten seconds per thousand photographs.
        name: name of the data set in results; by default the last folder of `data_root`.

    Raises:
        DataError: no image is found, or some are damaged.
    """

    def __init__(self, task: str, data_root: str | os.PathLike, images: str, first: int | None = None,
                 pipeline: Sequence[dict] = (), check: bool = True, name: str | None = None):
        super().__init__(task, name or Path(data_root).absolute().name, pipeline)
        if not Path(data_root).is_dir():
            raise DataError(f'There is no folder {Path(data_root).absolute()} to read images from.',
                            'Move the images there, or set data_root to their folder.')
        files = find_files(data_root, {'the images': images}, remedy='Correct the pattern `images`.')
        self.paths = dict(list(files.items())[:first])
        self.names = list(self.paths)
        damaged = [problem for item in self.paths.items() for problem in read_images(*item)[1]] if check else []
        if damaged:
            raise DataError(f'{len(damaged)} images cannot be used:\n{listing(damaged)}',
                            'Copy them again from their source, or remove them.')

    def __len__(self) -> int:
        return len(self.names)

    def record(self, index: int) -> dict:
        name = self.names[index]
        path = str(self.paths[name][0])
        return dict(name=name, path_a=path, path_b=path)
