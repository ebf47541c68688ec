"""Measure FILM, parts of it and the metrics on a GPU, and write the numbers to a JSON file.

    python performance/gpu.py                                            # everything, to work_dirs/gpu.json
    python performance/gpu.py forward train --sizes 480x640 --batches 1  # two of the parts
    python performance/gpu.py --device cpu --quick --without-compiling   # small sizes: does the script run?

Each measurement has its seconds (by the GPU's own clock, after warming up), the peak of memory beyond the network and
its inputs, and the number of kernels. A measurement that fails, such as one that runs out of memory, is in the file
with its error. The parts:

    forward     FILM in each precision, and compiled; strips of other sizes
    train       forward and backward pass of FILM's loss, without the optimizer
    attention   its average over queries: of the weights before the values are added up, or of the results
    products    queries times keys: one product for an image, for each of 64 runs of its pixels, for each row
    depthwise   3x3 convolution of single channels, in both memory formats, by cuDNN and without it
    metrics     each metric of one pair
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from vlfusion.errors import ConfigError
from vlfusion.files import whole
from vlfusion.inference.network import PRECISIONS, Network
from vlfusion.metrics import metric
from vlfusion.metrics.base import metric_names
from vlfusion.metrics.scoring import score_planes
from vlfusion.models import FusionModel
from vlfusion.models.layers import strips
from vlfusion.system.devices import device_of
from vlfusion.system.footprint import peak
from vlfusion.system.memory import out_of_memory
from vlfusion.system.tf32 import tf32

LOSSES = [dict(type='MaxIntensityLoss'), dict(type='MaxGradientLoss', weight=20.0)]
#: Arguments of FILM with `--quick`, and as published.
SMALL, PUBLISHED = dict(text_dim=32, guidance_grid=(16, 32)), dict(text_dim=768)
#: Sizes of strips to compare, in pixels.
STRIPS = (2 ** 17, 2 ** 18, 2 ** 19)


class Case(NamedTuple):
    """One measurement: its name, the call to measure, and the state of torch in which it is measured."""

    variant: str
    call: Callable[[], Any]
    state: AbstractContextManager = nullcontext()


def main() -> None:
    args = parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    report = dict(about(args), results=[])
    for part in args.parts:
        for batch in args.batches:
            for size in args.sizes:
                for case in PARTS[part](args, batch, size):
                    result = dict(part=part, variant=case.variant, batch=batch, size=size) | measured(case, args)
                    report['results'].append(result)
                    print(line(result), flush=True)
                    with whole(args.out) as path:
                        path.write_text(json.dumps(report, indent=1) + '\n')
    print(f'Numbers: {args.out}')
    failures = [result for result in report['results'] if 'error' in result and not result['out_of_memory']]
    if failures:
        raise SystemExit(f'{len(failures)} measurements failed.')


def about(args: argparse.Namespace) -> dict:
    """Describe the machine and the arguments."""
    gpu = dict(cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version(),
               capability=torch.cuda.get_device_capability(args.device),
               memory=torch.cuda.get_device_properties(args.device).total_memory) if args.cuda else {}
    name = torch.cuda.get_device_name(args.device) if args.cuda else f'CPU, {platform.machine()}'
    return dict(device=name, torch=torch.__version__, python=platform.python_version(), **gpu,
                command=sys.argv[1:], threads=args.threads, tokens=args.tokens, repeats=args.repeats,
                time=datetime.now(UTC).isoformat(timespec='seconds'))


def measured(case: Case, args: argparse.Namespace) -> dict:
    """Measure a case: `seconds` of each repetition, `bytes` at the peak, `kernels`; or its `error`."""
    try:
        with case.state:
            start = time.perf_counter()
            case.call()
            wait(args)
            first = time.perf_counter() - start  # with compiling and cuDNN's search
            for _ in range(args.warming):
                case.call()
            wait(args)
            usage = peak(args.device)
            case.call()
            wait(args)
            return dict(bytes=usage.bytes(), first=first, kernels=kernels(case.call) if args.cuda else None,
                        seconds=[seconds(case.call, args) for _ in range(args.repeats)])
    except Exception as error:  # the other measurements go on
        return dict(error=f'{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}',
                    out_of_memory=out_of_memory(error))
    finally:
        if args.cuda:
            torch.cuda.empty_cache()


def seconds(call: Callable[[], Any], args: argparse.Namespace) -> float:
    """Measure one call, from its first kernel to the end of its last."""
    if not args.cuda:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000


def kernels(call: Callable[[], Any]) -> int:
    """Count the kernels of a call, copies and fills of memory included."""
    with profile(activities=[ProfilerActivity.CUDA]) as record:
        call()
        torch.cuda.synchronize()
    return sum(event.count for event in record.key_averages() if event.device_type == torch.autograd.DeviceType.CUDA)


def wait(args: argparse.Namespace) -> None:
    if args.cuda:
        torch.cuda.synchronize(args.device)


def line(result: dict) -> str:
    """Format a result for the terminal."""
    where = f'{result["part"]:10} {result["variant"]:31} {result["batch"]:2} x {"x".join(map(str, result["size"])):9}'
    if 'error' in result:
        return f'{where} {result["error"]}'
    memory = '' if result['bytes'] is None else f'{result["bytes"] / 2 ** 30:7.2f} GiB'
    count = '' if result['kernels'] is None else f'{result["kernels"]:6} kernels'
    return f'{where} median {median(result["seconds"]) * 1000:9.2f} ms {memory} {count}'


def forward(args: argparse.Namespace, batch: int, size: tuple[int, int]) -> Iterator[Case]:
    """FILM in each precision, compiled, and in strips of other sizes."""
    inputs = pairs(args, batch, size)
    for precision in PRECISIONS:
        yield Case(precision, partial(Network(film(args), device=args.name, precision=precision), inputs))
    for pixels in STRIPS:
        network = Network(film(args), device=args.name)
        yield Case(f'strips of {pixels:,} pixels', partial(network, inputs), strips_of(pixels))
    if args.compiling:
        yield Case('float32, compiled', partial(Network(film(args, compiled=True), device=args.name), inputs))


def train(args: argparse.Namespace, batch: int, size: tuple[int, int]) -> Iterator[Case]:
    """FILM's loss and its gradients: a training step without the optimizer."""
    inputs = pairs(args, batch, size)

    def step(model: FusionModel) -> None:
        model.zero_grad()
        model(**inputs, mode='loss')['loss'].backward()

    for precision in PRECISIONS:
        yield Case(precision, partial(step, film(args).train()), precise(precision, args))
    if args.compiling:
        yield Case('float32, compiled', partial(step, film(args, compiled=True).train()), precise('float32', args))


def attention(args: argparse.Namespace, batch: int, size: tuple[int, int]) -> Iterator[Case]:
    """Attention of the text guidance, averaged over the queries: its weights first, or the values at the end."""
    heads, dim, places = 8, 32, size[0] * size[1] // 8
    queries, keys, values = (torch.randn(batch, heads, length, dim, device=args.device, requires_grad=True)
                             for length in (args.tokens, places, places))

    def weights_first() -> Tensor:
        return (queries @ keys.mT).softmax(-1).mean(2, keepdim=True) @ values

    def values_last() -> Tensor:
        return F.scaled_dot_product_attention(queries, keys, values, scale=1.).mean(2, keepdim=True)

    for name, average in (('average of weights', weights_first), ('average of values', values_last)):
        yield Case(name, torch.no_grad()(average), precise('float32', args))
        yield Case(f'{name}, gradients', lambda average=average: average().sum().backward(), precise('float32', args))


def products(args: argparse.Namespace, batch: int, size: tuple[int, int]) -> Iterator[Case]:
    """Sums over pixels of queries times keys, 32 channels each: pixels in one run or in several, then added up."""
    queries, keys = torch.randn(2, batch, size[0] * size[1], 32, device=args.device)

    def product(runs: int) -> Tensor:
        q, k = (x.unflatten(1, (runs, -1)).flatten(0, 1) for x in (queries, keys))
        return torch.bmm(q.mT, k).unflatten(0, (batch, runs)).sum(1)

    for runs in (1, 64, size[0]):
        yield Case(f'{runs} runs of pixels', partial(product, runs), precise('float32', args))


def depthwise(args: argparse.Namespace, batch: int, size: tuple[int, int]) -> Iterator[Case]:
    """The 3x3 convolution of 256 single channels in a feed-forward network."""
    planar, weight = torch.randn(batch, 256, *size, device=args.device), torch.randn(256, 1, 3, 3, device=args.device)
    for layout, x in (('planar', planar), ('channels last', planar.contiguous(memory_format=torch.channels_last))):
        for library, switches in (('cuDNN', {}), ('cuDNN searches', dict(benchmark=True)),
                                  ('without cuDNN', dict(enabled=False))):
            yield Case(f'{layout}, {library}', partial(F.conv2d, x, weight, padding=1, groups=256),
                       precise('float32', args, **switches))


def metrics(args: argparse.Namespace, batch: int, size: tuple[int, int]) -> Iterator[Case]:
    """Each metric of one pair, whatever the batch."""
    images = {key: (255 * torch.rand(1, 1, *size, device=args.device)).round()
              for key in ('fused', 'source_a', 'source_b')}
    for name in metric_names() if batch == args.batches[0] else ():
        if metric(name).info.smallest <= min(size):
            yield Case(name, partial(score_planes, 'pair', images, [name]))


PARTS = dict(forward=forward, train=train, attention=attention, products=products, depthwise=depthwise,
             metrics=metrics)


def film(args: argparse.Namespace, compiled: bool = False) -> FusionModel:
    """Return FILM with its losses on the device, in evaluation mode."""
    options = SMALL if args.quick else PUBLISHED
    model = FusionModel(dict(type='FILM', **options), LOSSES).to(args.device).eval()
    if compiled:
        model.backbone.compile()
    return model


def pairs(args: argparse.Namespace, batch: int, size: tuple[int, int]) -> dict[str, Tensor]:
    """Draw a batch of pairs and features of texts on the device."""
    width = (SMALL if args.quick else PUBLISHED)['text_dim']
    return dict(source_a=torch.rand(batch, 1, *size, device=args.device),
                source_b=torch.rand(batch, 1, *size, device=args.device),
                text=torch.randn(batch, args.tokens, width, device=args.device))


@contextmanager
def precise(precision: str, args: argparse.Namespace, **switches: bool) -> Iterator[None]:
    """Compute in a precision inside this block, with these switches of cuDNN."""
    before = {name: getattr(torch.backends.cudnn, name) for name in switches}
    try:
        for name, value in switches.items():
            setattr(torch.backends.cudnn, name, value)
        with tf32(precision != 'float32'), torch.autocast(args.device.type, torch.bfloat16,
                                                          enabled=precision == 'bfloat16'):
            yield
    finally:
        for name, value in before.items():
            setattr(torch.backends.cudnn, name, value)


@contextmanager
def strips_of(pixels: int) -> Iterator[None]:
    """Cut maps into strips of this size inside this block. A CPU has its own size."""
    before = strips.PIXELS_ELSEWHERE
    strips.PIXELS_ELSEWHERE = pixels
    try:
        yield
    finally:
        strips.PIXELS_ELSEWHERE = before


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('parts', nargs='*', choices=[*PARTS, 'all'], default='all')
    parser.add_argument('--device', dest='name', default='cuda', metavar='NAME')
    parser.add_argument('--sizes', nargs='+', default=[(288, 384), (480, 640)], metavar='HxW',
                        type=lambda text: tuple(map(int, text.split('x'))))
    parser.add_argument('--batches', nargs='+', type=int, default=[1, 8], metavar='PAIRS')
    parser.add_argument('--tokens', type=int, default=149, help='tokens of the text (default: 149, as in FILM)')
    parser.add_argument('--repeats', type=int, default=10)
    parser.add_argument('--warming', type=int, default=3, help='calls after the first that are not measured')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--without-compiling', dest='compiling', action='store_false')
    parser.add_argument('--quick', action='store_true', help='a small FILM, small images, one repetition')
    parser.add_argument('--out', default='work_dirs/gpu.json', metavar='FILE')
    args = parser.parse_args()
    args.parts = list(PARTS) if 'all' in args.parts else args.parts
    if args.quick:
        args.sizes, args.batches, args.tokens, args.repeats, args.warming = [(48, 64)], [1, 2], 6, 1, 0
    try:
        args.device = device_of(args.name)
    except ConfigError as error:
        parser.error(str(error))
    args.cuda = args.device.type == 'cuda'
    return args


if __name__ == '__main__':
    main()
