"""Compare FILM with a plain implementation of the same network (`plain_film.py`): seconds and memory.

    python performance/film.py forward --sizes 288x384 480x640 --compile --bfloat16 --small
    python performance/film.py train --sizes 288x384
    python performance/film.py memory --sizes 480x640 3000x4000
    python performance/film.py limits
    python performance/film.py counts
    python performance/film.py spinning --repeats 3

Both networks have the same state and get the same input. In `forward` they take turns in one process and must return
the same image. In `train` and `memory` each runs in its own process, whose peak resident memory is read at its end.
`limits` measures the machine: number of operations, rate of a 1x1 convolution of a strip's size, page faults. `counts`
counts what a GPU would get, without one: operations, and bytes of living tensors, on tensors without values.
`spinning` compares ways in which threads wait for each other, on free cores and beside another program that keeps a
core busy.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import torch
from plain_film import PlainFILM
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vlfusion.config import load_config
from vlfusion.losses import MaxGradientLoss, MaxIntensityLoss
from vlfusion.models.backbones import FILM
from vlfusion.models.layers.pixels import PixelConv
from vlfusion.models.layers.strips import at_once
from vlfusion.registry import BACKBONES
from vlfusion.system.footprint import LiveBytes
from vlfusion.system.threads import CHOICES
from vlfusion.testing.operations import Operations


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    if args.child:
        print(json.dumps(args.run(args.child, args)))
        return
    print(f'{args.tokens} tokens, {args.threads} threads')
    for size in args.sizes:
        args.size = size
        print(f'{args.what} at {size[0]}x{size[1]}')
        args.run(None, args)


def forward(_: str | None, args: argparse.Namespace) -> None:
    """Measure the seconds of a forward pass of one pair, in turns."""
    plain, ours = networks()
    inputs = pairs(1, args)
    variants = {'plain': plain, 'vlfusion': ours}
    if args.compile:
        variants['compiled'] = networks()[1]
        variants['compiled'].compile()
        start = time.perf_counter()
        for _ in range(2):
            infer(variants['compiled'], inputs)
        print(f'    compiled in {time.perf_counter() - start:.0f} s')
    if args.bfloat16:
        variants['bfloat16'] = networks()[1].bfloat16()
    if args.small:
        variants['small'] = BACKBONES.build({**load_config('film/film_small_mif').model.backbone, 'text_dim': 768})
    approximate, seconds, fused = {'bfloat16', 'small'}, defaultdict(list), {}
    for repeat in range(args.repeats + 1):
        for name, network in variants.items():
            start = time.perf_counter()
            fused[name] = infer(network, inputs)
            if repeat:  # the first pass warms up
                seconds[name].append(time.perf_counter() - start)
    for name, values in seconds.items():
        difference = (fused[name].float() - fused['plain']).abs().max().item()
        print(f'    {name:10} median {median(values):6.2f} s, fastest {min(values):6.2f} s; plain / this = '
              f'{median(seconds["plain"]) / median(values):.2f} and {min(seconds["plain"]) / min(values):.2f}; '
              f'differs by {difference:.1g}')
        if name not in approximate and difference > 1e-5:
            raise SystemExit('The two networks give different images.')


def train(network: str | None, args: argparse.Namespace) -> dict | None:
    """Measure seconds and peak memory of a training step: forward and backward pass of FILM's loss.

    The optimizer's step is left out, since it is the same for both networks.
    """
    if network is None:
        compare(('plain', 'vlfusion', *(['checkpointed'] if args.checkpointed else [])), args)
        return None
    model, inputs = networks()[network != 'plain'], pairs(args.batch, args)
    if network == 'checkpointed':
        from mmengine.runner.activation_checkpointing import turn_on_activation_checkpointing
        turn_on_activation_checkpointing(model, CHECKPOINTED)
    before, seconds = peak(), []
    for _ in range(args.repeats + 1):
        start = time.perf_counter()
        model.zero_grad()
        fused = model(*inputs)
        (MaxIntensityLoss()(fused, *inputs[:2]) + 20 * MaxGradientLoss()(fused, *inputs[:2])).backward()
        seconds.append(time.perf_counter() - start)
    return dict(seconds=seconds[1:], bytes=peak() - before, pixels=args.batch * args.size[0] * args.size[1])


def memory(network: str | None, args: argparse.Namespace) -> dict | None:
    """Measure the peak memory of a forward pass beyond the network and its inputs."""
    if network is None:
        compare(('vlfusion',) if args.size[0] * args.size[1] > 1_000_000 else ('plain', 'vlfusion'), args)
        return None
    model, inputs = networks()[network != 'plain'], pairs(1, args)
    before, start = peak(), time.perf_counter()
    infer(model, inputs)
    return dict(seconds=[time.perf_counter() - start], bytes=peak() - before, pixels=args.size[0] * args.size[1])


def limits(_: str | None, args: argparse.Namespace) -> None:
    """Measure operations and page faults of a forward pass, and the rate of the widest 1x1 convolution of a strip."""
    inputs = pairs(1, args)
    for name, network in zip(('plain', 'vlfusion'), networks(), strict=True):
        with FlopCounterMode(display=False) as counter, at_once():
            infer(network, inputs)
        faults = []
        for _ in range(3):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            infer(network, inputs)
            faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
        print(f'    {name:10} {counter.get_total_flops() / 1e9:.1f} GFLOP, {median(faults):,} page faults')
    strip = torch.rand(1, 16, 384, 32).permute(0, 3, 1, 2)
    for threads in (args.threads, 1):
        torch.set_num_threads(threads)
        for name, convolution in (('vlfusion', PixelConv(32, 256)), ('torch', nn.Conv2d(32, 256, 1))):
            seconds = []
            for _ in range(100):
                start = time.perf_counter()
                infer(convolution, [strip])
                seconds.append(time.perf_counter() - start)
            print(f'    1x1        {2 * strip.numel() * 256 / min(seconds) / 1e9:.0f} GFLOP/s at best by {name}, '
                  f'threads: {threads}')


def counts(_: str | None, args: argparse.Namespace) -> None:
    """Count operations and living tensors of FILM on torch's device `meta`, where it takes the path of a GPU."""
    with torch.device('meta'):
        films = {'float32': FILM(), 'bfloat16': FILM().bfloat16()}
        for batch in (1, 2):
            inputs = pairs(batch, args)
            for name, film in films.items():
                with torch.no_grad(), Operations() as operations:
                    film(*inputs)
                print(f'    batch {batch}, {name}: {operations.total} operations forward')
        film = films['float32']
        for batch in (1, 2, 8, 9, 10):
            inputs = pairs(batch, args)
            for counter in (Operations(), LiveBytes()):
                film.zero_grad()
                with counter:
                    film(*inputs).sum().backward()
                print(f'    batch {batch}, training step: ' + (
                    f'{counter.total} operations' if isinstance(counter, Operations)
                    else f'{counter.most / 2 ** 30:.1f} GiB of living tensors'))


#: Ways in which threads wait, as environment variables that are set before torch is imported.
WAITS = {
    "the library's own": {},
    'GOMP_SPINCOUNT=300000': dict(GOMP_SPINCOUNT='300000'),
    'GOMP_SPINCOUNT=30000': dict(GOMP_SPINCOUNT='30000'),
    'GOMP_SPINCOUNT=3000': dict(GOMP_SPINCOUNT='3000'),
    'GOMP_SPINCOUNT=300': dict(GOMP_SPINCOUNT='300'),
    'OMP_WAIT_POLICY=passive': dict(OMP_WAIT_POLICY='passive'),
}


def spinning(network: str | None, args: argparse.Namespace) -> dict | None:
    """Measure a forward pass for each way of waiting, on free cores and beside a busy program of another session."""
    if network:
        model, inputs, seconds = networks()[1], pairs(1, args), []
        for _ in range(args.repeats + 1):
            start = time.perf_counter()
            infer(model, inputs)
            seconds.append(time.perf_counter() - start)
        return dict(seconds=seconds[1:])
    ways = [(name, args.threads, setting) for name, setting in WAITS.items()] + [('one thread', 1, {})]
    for name, args.threads, setting in ways:
        free = child('vlfusion', args, setting)['seconds']
        with busy_core():
            beside = child('vlfusion', args, setting)['seconds']
        print(f'    {name:24} free: {min(free):6.2f} to {max(free):6.2f} s; beside a busy program: '
              f'{min(beside):6.2f} to {max(beside):6.2f} s')
    return None


@contextmanager
def busy_core() -> Iterator[None]:
    """Run a busy loop in its own session: Linux divides a core between sessions before it regards priorities."""
    with subprocess.Popen([sys.executable, '-c', 'while True: pass'], start_new_session=True) as loop:
        try:
            yield
        finally:
            loop.kill()


def compare(names: tuple[str, ...], args: argparse.Namespace) -> None:
    costs = {}
    for name in names:
        costs[name] = child(name, args)
    for name, cost in costs.items():
        base = costs.get('plain', cost)
        print(f'    {name:12} median {median(cost["seconds"]):6.2f} s, {cost["bytes"] / 2 ** 30:5.2f} GiB, '
              f'{cost["bytes"] / cost["pixels"] / 1024:.2f} KiB a pixel; plain / this = '
              f'{median(base["seconds"]) / median(cost["seconds"]):.2f} of time, this / plain = '
              f'{cost["bytes"] / base["bytes"]:.2f} of memory')


def child(name: str, args: argparse.Namespace, setting: dict[str, str] | None = None) -> dict:
    """Measure one network in its own process.

    Args:
        name: name of the network.
        args: arguments of the command line.
        setting: environment variables for the way of waiting; None keeps those of this process.
    """
    command = [sys.executable, __file__, args.what, '--child', name, '--threads', str(args.threads), '--repeats',
               str(args.repeats), '--batch', str(args.batch), '--tokens', str(args.tokens), '--sizes',
               'x'.join(map(str, args.size))]
    environment = dict(os.environ)
    if setting is not None:
        for key in CHOICES:
            environment.pop(key, None)
        environment |= setting
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


#: Modules that `--checkpointed` recomputes in the backward pass, beside the strips.
CHECKPOINTED = [f'stages.{stage}.branch_{branch}' for stage in range(3) for branch in 'ab']


def networks() -> tuple[nn.Module, nn.Module]:
    """Return the plain network and that of vlfusion, with the same state."""
    torch.manual_seed(0)
    plain, ours = PlainFILM(), FILM()
    plain.load_state_dict(ours.state_dict())
    return plain, ours


def pairs(count: int, args: argparse.Namespace) -> list[Tensor]:
    return [torch.rand(count, 1, *args.size), torch.rand(count, 1, *args.size), torch.randn(count, args.tokens, 768)]


def infer(network: nn.Module, inputs: list[Tensor]) -> Tensor:
    with torch.inference_mode():
        return network(*inputs)


def peak() -> int:
    """Return the peak resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('what', choices=('forward', 'train', 'memory', 'limits', 'counts', 'spinning'))
    parser.add_argument('--sizes', nargs='+', default=[(288, 384)], metavar='HxW',
                        type=lambda text: tuple(map(int, text.split('x'))))
    parser.add_argument('--tokens', type=int, default=149, help='tokens of the text (default: 149, as in FILM)')
    parser.add_argument('--batch', type=int, default=2, help='pairs in a training step')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--compile', action='store_true', help='forward: add the compiled network; takes a minute')
    parser.add_argument('--bfloat16', action='store_true', help='forward: add the network in bfloat16')
    parser.add_argument('--small', action='store_true', help='forward: add the small network of film-small-mif')
    parser.add_argument('--checkpointed', action='store_true', help='train: add a run that recomputes whole branches')
    parser.add_argument('--child', help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.run, args.size = globals()[args.what], args.sizes[0]
    return args


if __name__ == '__main__':
    main()
