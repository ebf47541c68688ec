"""Which backbones see only the neighbourhood of a pixel, so that an image can be fused in tiles without any difference.

A backbone declares it by attributes, of the class or set in `__init__` where they depend on arguments:

    halo            an output pixel depends on source pixels at most so many rows and columns away, in evaluation mode;
                    and what depends on the size of an image, such as the depth of a pyramid, no longer does once both
                    sides are longer than `halo`
    multiple        tiles must begin at multiples of it: the stride of the coarsest features; 1 by default
    only_multiples  whether this holds only for images both of whose sides are multiples, as where features are enlarged
                    to a given size; False by default

One without `halo` is not local: with attention or statistics over the image, or a range stretched to its extremes.
`vlfusion.testing.check_backbone` finds a halo that is too small.
"""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Locality:
    """Declaration of a local backbone; the attributes are those of the module's text."""

    halo: int
    multiple: int = 1
    only_multiples: bool = False

    @property
    def margin(self) -> int:
        """The halo, rounded up to a multiple."""
        return -(-self.halo // self.multiple) * self.multiple

    def holds(self, height: int, width: int) -> bool:
        """Tell whether it is true of images of this size."""
        return not (self.only_multiples and (height % self.multiple or width % self.multiple))


def locality(backbone: nn.Module) -> Locality | None:
    """Locality of a backbone; None where it declares nothing.

    >>> backbone = nn.Conv2d(1, 1, 5, padding=2)
    >>> backbone.halo = 2
    >>> locality(backbone)
    Locality(halo=2, multiple=1, only_multiples=False)
    """
    if getattr(backbone, 'halo', None) is None:
        return None
    return Locality(backbone.halo, getattr(backbone, 'multiple', 1), getattr(backbone, 'only_multiples', False))
