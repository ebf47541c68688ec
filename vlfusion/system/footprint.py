"""Free memory of a device, and an estimate of the memory that a network needs for an image."""

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Shaped
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vlfusion.system.memory import PeakOfProcess, free_memory, peak_of_process


def available(device: torch.device) -> int | None:
    """Return the free memory of a device in bytes, or None if the system does not report it."""
    if device.type == 'cuda':
        held_back = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + held_back
    return free_memory()


def peak(device: torch.device) -> 'PeakOfGPU | PeakOfProcess':
    """Start to measure the peak of memory use on a device. `bytes()` of the result returns it."""
    return PeakOfGPU(device) if device.type == 'cuda' else PeakOfProcess()


def peak_so_far(device: torch.device) -> int | None:
    """Return peak memory so far in bytes, of tensors on a GPU or of this process; None if it is not reported."""
    return torch.cuda.max_memory_allocated(device) if device.type == 'cuda' else peak_of_process()


class PeakOfGPU:
    """Peak memory of tensors on a GPU since this object was made, minus what they held then."""

    def __init__(self, device: torch.device):
        self.device = device
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        self.before = torch.cuda.memory_allocated(device)

    def bytes(self) -> int:
        return torch.cuda.max_memory_allocated(self.device) - self.before


class LiveBytes(TorchDispatchMode):
    """Tracks the living tensors while a network runs. `most` is the largest total of their bytes."""

    def __init__(self):
        super().__init__()
        self.seen, self.now, self.most = set(), 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten._local_scalar_dense.default and args[0].dtype == torch.bool:
            return True  # a test of values, which fake tensors lack: for example, that a mask does not hide everything
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._note(tensor.untyped_storage())
        # During a convolution oneDNN holds copies of its input and output in its own layout.
        if function is torch.ops.aten.convolution.default and args[0].device.type == 'cpu':
            keeps_layout = args[0].shape[1] < 4
            workspace = (args[0].nbytes if keeps_layout else _in_blocks(args[0])) + _in_blocks(result)
            self.most = max(self.most, self.now + workspace)
        return result

    def _note(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata in self.seen:
            return
        self.seen.add(storage._cdata)
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._forget, storage._cdata, storage.nbytes())

    def _forget(self, key: int, count: int) -> None:
        self.seen.discard(key)
        self.now -= count


def _in_blocks(x: Shaped[Tensor, 'batch c *size']) -> int:
    """Return the bytes of a tensor whose channels are padded to blocks of 16."""
    return x.nbytes * -(-x.shape[1] // 16) * 16 // x.shape[1]


#: Image sizes, height and width, for runs on fake tensors.
_SHAPES = ((192, 256), (256, 256), (256, 384))
#: Further sizes off the CPU, where networks in strips have strips of 2^20 pixels (`vlfusion.models.layers.strips`). A
#: pixel takes far less memory in an image of several strips than in one of a single strip. These sizes fill 2, 4 and 6.
SHAPES_IN_STRIPS = ((1448, 1448), (2048, 2048), (2048, 3072))
#: Image sizes for real runs, if fake tensors fail.
_SMALL = ((64, 96), (128, 128), (160, 256))
#: Assumed bytes per pixel if both fail.
RULE_OF_THUMB = 16 * 1024


@dataclass(frozen=True)
class Footprint:
    """Memory of fusing beyond the images themselves: `constant + linear * pixels + square * pixels^2` bytes.

    Attributes:
        constant, linear, square: coefficients of at least 0.
        how: `counted` from living tensors, `measured` on small images, or `assumed`.
        in_strips: footprint of images of several strips, if they were counted separately. The smaller of both holds.
    """

    constant: float
    linear: float
    square: float
    how: str
    in_strips: 'Footprint | None' = None

    def bytes(self, pixels: int) -> int:
        """Return the bytes for a batch whose pairs have `pixels` pixels in total."""
        count = round(self.constant + self.linear * pixels + self.square * pixels ** 2)
        return count if self.in_strips is None else min(count, self.in_strips.bytes(pixels))

    def pixels(self, count: int) -> int:
        """Return the largest number of pixels that fits into `count` bytes."""
        most = 1
        while most < 2 ** 40 and self.bytes(2 * most) <= count:
            most *= 2
        step = most
        while step := step // 2:
            if self.bytes(most + step) <= count:
                most += step
        return most if self.bytes(most) <= count else 0


def footprint(fuse: Callable[[Mapping[str, Tensor]], Tensor], device: torch.device,
              texts: Mapping[str, Shaped[Tensor, '...']] | None = None, maps: Iterable[str] = ()) -> Footprint:
    """Estimate the memory of a network as a function of the image size.

    The network runs at three small sizes on fake tensors, which have shapes but no values, and the living tensors are
    added up. Off the CPU it also runs at three sizes of several strips. This needs no memory and one or two seconds
    (up to ten for FILM and other networks in strips on the CPU, five for FILM elsewhere). The network may keep fake
    tensors afterwards, so pass a copy of it.

    If this fails, for example because the network leaves torch, it fuses three images of up to 160 x 256 pixels while
    the memory of the process is measured. Other threads should be idle during that time.

    Args:
        fuse: the network; takes a mapping with `source_a`, `source_b`, the maps and the texts.
        device: device of the network.
        texts: features of the texts for one pair, by name.
        maps: names of the maps.
    """
    images = 'source_a', 'source_b', *maps

    def through(measure: Callable, shapes: Sequence[tuple[int, int]], how: str) -> Footprint | None:
        peaks = [measure(fuse, device, shape, texts or {}, images) for shape in shapes]
        return None if None in peaks else _fitted([height * width for height, width in shapes], peaks, how)

    if counted := through(_counted, _SHAPES, 'counted'):
        in_strips = None if device.type == 'cpu' else through(_counted, SHAPES_IN_STRIPS, 'counted')
        return replace(counted, in_strips=in_strips)
    _measured(fuse, device, _SMALL[0], texts or {}, images)  # a warm-up: one-time setup must not count
    return through(_measured, _SMALL, 'measured') or Footprint(0, RULE_OF_THUMB, 0, 'assumed')


def _fitted(pixels: Sequence[int], peaks: Sequence[int], how: str) -> Footprint:
    """Return the footprint that fits the peaks, in bytes, of three numbers of pixels."""
    (x0, x1, x2), (y0, y1, y2) = pixels, peaks
    slopes = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
    # Only attention among all pixels grows faster than linearly. Small differences are padding or noise.
    square = (slopes[1] - slopes[0]) / (x2 - x0) if how == 'counted' and slopes[1] > 1.2 * slopes[0] else 0
    linear = (y2 - y0) / (x2 - x0) - square * (x0 + x2)
    if linear <= 0:  # the measurement is noise, or almost zero
        return Footprint(0, max(y0 / x0, y1 / x1, y2 / x2), 0, how)
    return Footprint(max(y2 - linear * x2 - square * x2 ** 2, 0), linear, square, how)


def _counted(fuse: Callable, device: torch.device, shape: tuple[int, int], texts: Mapping[str, Tensor],
             images: Iterable[str]) -> int | None:
    try:
        with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True) as fake:
            inputs = {name: torch.rand(1, 1, *shape, device=device) for name in images}
            inputs |= {name: fake.from_tensor(text) for name, text in texts.items()}
            with LiveBytes() as live:
                fuse(inputs)
            return live.most
    except Exception:  # a network may do anything with the missing values
        return None


def _measured(fuse: Callable, device: torch.device, shape: tuple[int, int], texts: Mapping[str, Tensor],
              images: Iterable[str]) -> int | None:
    generator = torch.Generator().manual_seed(0)
    inputs = {name: torch.rand(1, 1, *shape, generator=generator).to(device) for name in images}
    watch = peak(device)
    with torch.no_grad():
        fuse({**inputs, **texts})
    return watch.bytes()
