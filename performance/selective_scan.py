"""Compare the selective scan in chunks with the plain recurrence: seconds, and bytes of living tensors.

    python performance/selective_scan.py forward --sizes 64x64 256x256
    python performance/selective_scan.py train --sizes 64x64 128x128

Both scan one way through an image, with the widths of CLIP-Mamba (64 channels of 16 states). They take turns in one
process and must give the same numbers.
"""

import argparse
import time
from collections import defaultdict
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor

from vlfusion.models.layers.selective_scan import selective_scan
from vlfusion.system.footprint import LiveBytes


def recurrence(x: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Take one step for each place, as the reference implementation of Mamba."""
    state, outputs = x.new_zeros(*x.shape[:2], a.shape[1]), []
    for step, intake, write, read in zip(*(tensor.unbind(2) for tensor in (delta, delta * x, b, c)), strict=True):
        state = (step[..., None] * a).exp() * state + intake[..., None] * write[:, None]
        outputs.append((state * read[:, None]).sum(2))
    return torch.stack(outputs, 2) + d[:, None] * x


SCANS = {'recurrence': recurrence, 'chunks': selective_scan}


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    for height, width in args.sizes:
        print(f'{args.what} at {height}x{width}, threads: {args.threads}')
        inputs, seconds, most, outputs = draw(height * width, args.what == 'train'), defaultdict(list), {}, {}
        for repeat in range(args.repeats + 1):
            for name in SCANS:
                if repeat:
                    start = time.perf_counter()
                    outputs[name] = run(name, inputs)
                    seconds[name].append(time.perf_counter() - start)
                else:  # the first run warms up
                    with LiveBytes() as living:
                        run(name, inputs)
                    most[name] = living.most
        difference = (outputs['chunks'] - outputs['recurrence']).abs().max() / outputs['recurrence'].abs().max()
        for name in SCANS:
            print(f'    {name:10} {median(seconds[name]):7.3f} s, {most[name] / 2 ** 20:6.1f} MiB; recurrence / this = '
                  f'{median(seconds["recurrence"]) / median(seconds[name]):.1f} of time, '
                  f'{most["recurrence"] / most[name]:.1f} of memory')
        if difference > 1e-5:
            raise SystemExit(f'The two scans differ by {difference:.2g}.')


def draw(length: int, learn: bool) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    inputs = [normal(1, 64, length), F.softplus(normal(1, 64, length) - 3), -normal(64, 16).exp(),
              normal(1, 16, length), normal(1, 16, length), normal(64)]
    return [tensor.requires_grad_(learn) for tensor in inputs]


def run(name: str, inputs: list[Tensor]) -> Tensor:
    y = SCANS[name](*inputs)
    if y.requires_grad:
        torch.autograd.grad(y.square().mean(), inputs)
    return y.detach()


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('what', choices=('forward', 'train'))
    parser.add_argument('--sizes', nargs='+', default=[(64, 64)], metavar='HxW',
                        type=lambda text: tuple(map(int, text.split('x'))))
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--repeats', type=int, default=3)
    return parser.parse_args()


if __name__ == '__main__':
    main()
