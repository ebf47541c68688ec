"""Stack samples into a batch."""

from collections.abc import Sequence

from torch.utils.data import default_collate

from vlfusion.errors import DataError
from vlfusion.registry import FUNCTIONS


@FUNCTIONS.register_module()
def stack_samples(samples: Sequence[dict]) -> dict:
    """Stack the samples of a data set, as torch's default does.

    Raises:
        DataError: images differ in size.
    """
    sizes = {tuple(sample['source_a'].shape[1:]): sample['name'] for sample in samples}
    if len(sizes) > 1:
        shown = ', '.join(f'{name} is {width}x{height}' for (height, width), name in sizes.items())
        raise DataError(f'Images of different sizes cannot be in one batch: {shown} (width x height).',
                        'Add a RandomCrop or Resize to the pipeline, see docs/howto/data.md, or set batch_size=1.')
    return default_collate(samples)
