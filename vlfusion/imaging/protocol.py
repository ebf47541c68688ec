"""The protocols: how a network's output and its sources become the grey levels that are scored."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from vlfusion.errors import ConfigError, did_you_mean
from vlfusion.imaging.images import luminance
from vlfusion.imaging.quantise import quantise

#: An image as it is scored: grey levels 0..255 of its luminance, or of its three channels.
Planes = Float[Tensor, 'channel 1 h w']


@dataclass(frozen=True)
class Protocol:
    """One way to score, by name and version; scores are comparable only where both are equal.

    `film` and `cddfuse` are what FILM and CDDFuse publish. Their min-max stretch multiplies the contrast of each image
    by `1 / (max - min)`. SD, SF and AG rise by that factor, and EN with them: by construction, not because the fusion
    is better, and the more so the less of the range a method uses. So report `plain`, which leaves the contrast alone,
    beside it. `plain` has the default of every metric; `truncate` is `plain` but for what is beyond a whole grey level,
    which is cut, as many released test scripts do. `vifb` and `mefb` have those benchmarks' variants.

    Attributes:
        name: what a config or a command line calls it.
        version: raised when its numbers change.
        luminance: the rule of `vlfusion.imaging.images.luminance` by which images are read.
        stretch: as in `vlfusion.imaging.quantise.quantise`; a file that already holds 8 bits is never stretched.
        rounding: likewise.
        colour: what of colour files is scored: their `luminance`, or each of the three `channels`, whose mean is the
            score, as VIFB and MEFB do.
        code: whose variant of each metric is meant: a name in `vlfusion.metrics.base.CODES`; empty for the defaults. A
            metric without such a variant has its default.
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
        """Label that each row of scores carries: name and version."""
        return f'{self.name}.{self.version}'

    def quantise(self, fused: Float[Tensor, 'batch 1 h w']) -> UInt8[Tensor, 'batch 1 h w']:
        """The 8-bit grey levels of a network's output, nominally in [0, 1].

        Raises:
            DataError: the output holds NaN or infinity.
        """
        return quantise(fused, self.stretch, self.rounding)

    def grey_levels(self, source: Float[Tensor, 'batch 1 h w']) -> Float[Tensor, 'batch 1 h w']:
        """The grey levels 0..255 of a source in [0, 1]; whole levels under the luminance `film`, whose rule rounds."""
        levels = source * 255
        return levels.round() if self.luminance == 'film' else levels


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


def code_of(label: str) -> str:
    """The code of the protocol with that label; empty for an empty or unknown one.

    >>> code_of('film.1')
    'film'
    """
    known = PROTOCOLS.get(label.partition('.')[0])
    return known.code if known else ''


def grey_levels(image: Shaped[np.ndarray, 'h w *bgr'], protocol: Protocol, colour: bool = False) -> Planes:
    """The grey levels 0..255 in which an image from a file is scored: one plane of luminance, or three of colour.

    Args:
        image: as `vlfusion.imaging.images.read_image` returns it.
        protocol: whose luminance is meant.
        colour: whether to give blue, green and red; of a grey image they are equal.
    """
    if colour:
        planes = np.broadcast_to(np.atleast_3d(image), (*image.shape[:2], 3)).transpose(2, 0, 1)
        planes = planes.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)
    else:
        planes = luminance(image, protocol.luminance)[None]
    return protocol.grey_levels(torch.from_numpy(np.ascontiguousarray(planes[:, None]))).double()
