"""Protocols: how a network's output and its sources become the grey levels that are scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from vlfusion.errors import ConfigError, did_you_mean
from vlfusion.imaging.images import luminance
from vlfusion.imaging.quantise import quantise

#: Grey levels 0..255 that are scored: of an image's luminance, or of its three channels.
Planes = Float[Tensor, 'channel 1 h w']


@dataclass(frozen=True)
class Protocol:
    """One way to score, by name and version. Scores are comparable only if both are equal.

    `film` and `cddfuse` are the protocols that FILM and CDDFuse publish. Their min-max stretch multiplies the contrast
    of each image by `1 / (max - min)`. SD, SF and AG rise by that factor, and EN rises with them. They rise by
    construction, not because the fusion is better, and most for methods that use little of the range. So report `plain`
    beside them, which leaves the contrast alone. `plain` uses the default of every metric. `truncate` is `plain`, but
    cuts fractions of a grey level instead of rounding, as many released test scripts do. `vifb` and `mefb` use the
    variants of those benchmarks.

    Attributes:
        name: name in configs and on the command line.
        version: number that is raised when scores change.
        luminance: rule by which images are read, see `vlfusion.imaging.images.luminance`.
        stretch: see `vlfusion.imaging.quantise.quantise`; a file that already holds 8 bits is never stretched.
        rounding: see `vlfusion.imaging.quantise.quantise`.
        colour: planes of colour files that are scored: their `luminance`, or the three `channels`, whose mean is the
            score, as in VIFB and MEFB.
        code: code whose variant of each metric is used: a name in `vlfusion.metrics.base.CODES`, or empty for the
            defaults. A metric without that variant uses its default.
    """

    name: str
    version: int
    luminance: str
    stretch: str
    rounding: str
    colour: Literal['luminance', 'channels'] = 'luminance'
    code: str = ''

    @property
    def label(self) -> str:
        """Label of each row of scores: name and version."""
        return f'{self.name}.{self.version}'

    def quantise(self, fused: Float[Tensor, 'batch 1 h w']) -> UInt8[Tensor, 'batch 1 h w']:
        """The 8-bit grey levels of a network's output, nominally in [0, 1].

        Raises:
            DataError: the output holds NaN or infinity.
        """
        return quantise(fused, self.stretch, self.rounding)

    def grey_levels(self, source: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch 1 h w']:
        """The grey levels 0..255 of a source in [0, 1]; whole levels if the luminance rule is `film`, which rounds."""
        levels = source * 255
        return levels.round() if self.luminance == 'film' else levels

    def by_channel(self, fused: Shaped[np.ndarray, 'h w *bgr']) -> bool:
        """Tell whether a fused image is scored channel by channel, each against that channel of its sources."""
        return self.colour == 'channels' and fused.ndim == 3


#: Protocols by name.
PROTOCOLS = {protocol.name: protocol for protocol in (
    Protocol('film', 1, luminance='film', stretch='min-max', rounding='truncate', code='film'),
    Protocol('cddfuse', 1, luminance='film', stretch='min-max', rounding='half-down', code='cddfuse'),
    Protocol('vifb', 1, luminance='film', stretch='clip', rounding='round', colour='channels', code='vifb'),
    Protocol('mefb', 1, luminance='film', stretch='clip', rounding='round', colour='channels', code='mefb'),
    Protocol('plain', 1, luminance='film', stretch='clip', rounding='round'),
    Protocol('truncate', 1, luminance='film', stretch='clip', rounding='truncate'),
)}


def get_protocol(name: str) -> Protocol:
    """The protocol of that name.

    >>> get_protocol('film').stretch
    'min-max'

    Raises:
        ConfigError: no protocol has that name.
    """
    if not isinstance(name, str) or name not in PROTOCOLS:
        raise ConfigError(f'Unknown protocol {name!r}.', did_you_mean(name, PROTOCOLS))
    return PROTOCOLS[name]


protocol = get_protocol  # its former name


def code_of(label: str) -> str:
    """The code of the protocol with that label; empty for an empty or unknown one.

    >>> code_of('film.1')
    'film'
    """
    protocol = PROTOCOLS.get(label.partition('.')[0])
    return protocol.code if protocol else ''


def grey_levels(image: Shaped[np.ndarray, 'h w *bgr'], protocol: Protocol, colour: bool = False) -> Planes:
    """The grey levels 0..255 of an image from a file, for scoring: one plane of luminance, or three of colour.

    Args:
        image: as `vlfusion.imaging.images.read_image` returns it.
        protocol: protocol whose luminance rule applies.
        colour: whether to return blue, green and red; a grey image has three equal planes.
    """
    if colour:
        planes = np.broadcast_to(np.atleast_3d(image), (*image.shape[:2], 3)).transpose(2, 0, 1)
        planes = planes.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)
    else:
        planes = luminance(image, protocol.luminance)[None]
    return protocol.grey_levels(torch.from_numpy(np.ascontiguousarray(planes[:, None]))).double()


def planes_of(images: Sequence[Shaped[np.ndarray, 'h w ...']], protocol: Protocol) -> list[Planes]:
    """The grey levels of a fused image and of the images that it is compared with; the fused image comes first."""
    return [grey_levels(image, protocol, protocol.by_channel(images[0])) for image in images]
