"""Seconds of FILM's forward pass and training step, against the same network written down step by step.

    python benchmarks/film.py --threads 2 --repeats 5

Both networks get one state and the same input, take turns, and must give the same image.
"""

import argparse
import resource
import time
from collections import defaultdict
from statistics import median

import torch
from plain_film import PlainFILM
from torch import Tensor, nn

from vlfusion.losses import MaxGradientLoss, MaxIntensityLoss
from vlfusion.models.backbones import FILM


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    ours, plain = FILM(), PlainFILM()
    plain.load_state_dict(ours.state_dict())
    networks = {name: network for name, network in (('plain', plain), ('vlfusion', ours)) if args.only in (None, name)}
    inputs = [torch.rand(args.batch, 1, *args.size), torch.rand(args.batch, 1, *args.size),
              torch.randn(args.batch, args.tokens, 768)]
    one = [tensor[:1] for tensor in inputs]

    if not args.only and not torch.allclose(infer(plain, one), infer(ours, one), rtol=0, atol=1e-5):
        raise SystemExit('The two networks give different images.')

    h, w = args.size
    print(f'{h}x{w}, {args.tokens} tokens, {args.threads} threads; forward of 1 pair, training step of {args.batch}; '
          f'median and fastest of {args.repeats}')
    for what, function, data in (('forward', infer, one), ('training step', train, inputs)):
        seconds = defaultdict(list)
        for repeat in range(args.repeats + 1):
            for name, network in networks.items():
                start = time.perf_counter()
                function(network, data)
                if repeat:  # the first is to warm up
                    seconds[name].append(time.perf_counter() - start)
        for summary in (median, min):
            times = {name: summary(values) for name, values in seconds.items()}
            ratio = '' if args.only else f'   plain / vlfusion = {times["plain"] / times["vlfusion"]:.2f}'
            columns = ''.join(f'{name:>10} {value:6.2f} s' for name, value in times.items())
            print(f'{what:14} {summary.__name__:6}{columns}{ratio}')
    if args.only:
        print(f'peak resident memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** 20:.1f} GiB')


def infer(network: nn.Module, inputs: list[Tensor]) -> Tensor:
    with torch.inference_mode():
        return network(*inputs)


def train(network: nn.Module, inputs: list[Tensor]) -> None:
    """Forward and backward pass of FILM's loss; the optimizer's step is the same for both and left out."""
    network.zero_grad()
    fused, sources = network(*inputs), inputs[:2]
    (MaxIntensityLoss()(fused, *sources) + 20 * MaxGradientLoss()(fused, *sources)).backward()


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--size', type=int, nargs=2, default=(288, 384), metavar=('H', 'W'))
    parser.add_argument('--tokens', type=int, default=149, help="tokens of the text; 149 is FILM's number")
    parser.add_argument('--batch', type=int, default=2, help='pairs of the training step')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--only', choices=('plain', 'vlfusion'), help='time one network, and print its peak memory')
    return parser.parse_args()


if __name__ == '__main__':
    main()
