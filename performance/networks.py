"""Compare networks: megapixels a second of a forward pass.

    python performance/networks.py vlfusion_lutfuse.LUTFuse film/film_small_mif vlfusion_ifcnn.IFCNN --sizes 480x640

A network is a name of BACKBONES, or a config, whose backbone it is. Networks have random weights and get random images
and texts. They take turns in one process, and each is compared with the first.
"""

import argparse
import time
from collections import defaultdict
from statistics import median

import torch
from torch import Tensor, nn

from vlfusion.config import load_config
from vlfusion.models import text_dims
from vlfusion.registry import BACKBONES


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    networks = {name: build(name) for name in args.networks}
    for height, width in args.sizes:
        print(f'{height}x{width}, threads: {args.threads}')
        inputs, seconds = [torch.rand(1, 1, height, width) for _ in range(2)], defaultdict(list)
        texts = {name: text_of(network, args.tokens) for name, network in networks.items()}
        for repeat in range(args.repeats + 1):
            for name, network in networks.items():
                start = time.perf_counter()
                with torch.inference_mode():
                    network(*inputs, **texts[name])
                if repeat:  # the first pass warms up
                    seconds[name].append(time.perf_counter() - start)
        first = seconds[args.networks[0]]
        for name, values in seconds.items():
            print(f'    {name:28} median {median(values):.3f} s, fastest {min(values):.3f} s: '
                  f'{height * width / median(values) / 1e6:.2f} megapixels a second; this / first = '
                  f'{median(values) / median(first):.1f} ({min(values) / min(first):.1f}) of time')


def build(name: str) -> nn.Module:
    config = dict(load_config(name).model.backbone) if '/' in name else dict(type=name)
    return BACKBONES.build(config).eval()


def text_of(network: nn.Module, tokens: int) -> dict[str, Tensor]:
    rows = min(tokens, getattr(network, 'text_tokens', tokens))
    return {name: torch.randn(1, rows, dim) for name, dim in text_dims(network).items()}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('networks', nargs='+')
    parser.add_argument('--sizes', nargs='+', default=[(480, 640)], metavar='HxW',
                        type=lambda text: tuple(map(int, text.split('x'))))
    parser.add_argument('--tokens', type=int, default=149, help='tokens of a text')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--repeats', type=int, default=5)
    return parser.parse_args()


if __name__ == '__main__':
    main()
