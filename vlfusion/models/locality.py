"""Locality of backbones: an output pixel depends on nearby pixels only, so tiles give exactly the same result.

A backbone declares its locality by attributes of the class, or of the object if they depend on arguments:

    halo            largest distance, in rows and columns, of a source pixel that affects an output pixel in evaluation
                    mode; the size of the image, for instance by the depth of a pyramid, must have no effect once both
                    sides are longer than `halo`
    multiple        stride of the coarsest features: tiles begin at its multiples; 1 by default
    only_multiples  True if the declaration holds only for images whose sides are multiples of `multiple`, for instance
                    because features are enlarged to a given size; False by default

A backbone without `halo` is not local, for example because of attention or statistics over the whole image.
`vlfusion.testing.check_backbone` detects a halo that is too small.
"""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Locality:
    """Declared locality of a backbone, with the attributes described above."""

    halo: int
    multiple: int = 1
    only_multiples: bool = False

    @property
    def margin(self) -> int:
        """The halo, rounded up to a multiple."""
        return -(-self.halo // self.multiple) * self.multiple

    def holds(self, height: int, width: int) -> bool:
        """Tell whether the declaration holds for images of this size."""
        return not (self.only_multiples and (height % self.multiple or width % self.multiple))


def locality(backbone: nn.Module) -> Locality | None:
    """Return the declared locality of a backbone, or None.

    >>> backbone = nn.Conv2d(1, 1, 5, padding=2)
    >>> backbone.halo = 2
    >>> locality(backbone)
    Locality(halo=2, multiple=1, only_multiples=False)
    """
    if getattr(backbone, 'halo', None) is None:
        return None
    return Locality(backbone.halo, getattr(backbone, 'multiple', 1), getattr(backbone, 'only_multiples', False))
