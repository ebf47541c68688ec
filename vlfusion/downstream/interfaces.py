"""Interfaces of labels, detectors and segmenters, which users swap by config."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Integer, UInt8
from torch import Tensor, nn

from vlfusion.data.names import composed
from vlfusion.downstream.boxes import Boxes
from vlfusion.downstream.classes import ClassTable

#: An RGB picture; grey pictures are repeated over the three channels. Pictures of one call may differ in size.
Picture = UInt8[np.ndarray, '_height _width 3']
#: Class of each pixel, by number.
Mask = Integer[np.ndarray, '_height _width']
#: Value of pixels that have no part in a training step. It is the `ignore_index` that torch's losses have by default.
IGNORED = -100


class Labels(ABC):
    """Labels of a data set. `LABELS` builds them from a config.

    A constructor takes `place`, a folder, a pattern with `{name}` or a file, then `classes`, a `ClassTable` or the name
    of a published one, and `data_root`, the folder that `place` is relative to.

    Attributes:
        kind: `boxes` or `masks`.
        classes: the class table.
    """

    kind: str
    classes: ClassTable

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of all labelled images, sorted."""

    def has(self, name: str) -> bool:
        """Tell whether an image has a label, which may be an empty one."""
        return self.listed(name) in self.names()

    def listed(self, name: str) -> str:
        """Return the name that `names` has for an image, which may lack the folders of the pair's name."""
        return composed(name)

    def where(self, name: str) -> str:
        """Return the place of a label in words, such as its file."""
        return name

    def size(self, name: str) -> tuple[int, int] | None:
        """Return height and width of an image as its label states them; None if it does not."""
        return None

    @abstractmethod
    def read(self, name: str, size: tuple[int, int]) -> Boxes | Mask:
        """Read the label of an image.

        Args:
            name: name of the image or pair, without a suffix.
            size: height and width of the image.

        Raises:
            DataError: there is no label, or it is not valid; names the file, the line, and what was expected.
        """


class Detector(nn.Module, ABC):
    """Network that finds things. `DETECTORS` builds it from a config.

    A constructor takes `classes` first, the `ClassTable` of the labels. A network with classes of its own, such as
    COCO's, also takes `names`, a dict from its own class names to those of the table. Things of other classes are left
    out.

    Attributes:
        trainable: whether `losses` works.
        untrained: whether some weights are random, so that only a trained network can find anything.
    """

    trainable = untrained = False

    @abstractmethod
    def detect(self, pictures: Sequence[Picture]) -> list[Boxes]:
        """Return the boxes in each picture with their scores, the best first."""

    def losses(self, pictures: Float[Tensor, 'batch 3 height width'], labels: Sequence[Boxes]) -> dict[str, Tensor]:
        """Return the losses of a training step, to be summed. Pictures are in [0, 1], ignored boxes have no part."""
        raise NotImplementedError


class Segmenter(nn.Module, ABC):
    """Network that names the class of each pixel. `SEGMENTERS` builds it from a config.

    Its constructor takes the same arguments as that of a `Detector`.

    Attributes:
        trainable: whether `losses` works.
        untrained: whether some weights are random, so that only a trained network can find anything.
    """

    trainable = untrained = False

    @abstractmethod
    def segment(self, pictures: Sequence[Picture]) -> list[Mask]:
        """Return a mask in the size of each picture, best of the table's `dtype`."""

    def losses(self, pictures: Float[Tensor, 'batch 3 height width'],
               labels: Int[Tensor, 'batch height width']) -> dict[str, Tensor]:
        """Return the losses of a training step, to be summed.

        Pictures are in [0, 1]. Pixels labelled `IGNORED` have no part. The void class counts as any other: in MSRS and
        MFNet it is the background, which a network must learn to tell from things.
        """
        raise NotImplementedError
