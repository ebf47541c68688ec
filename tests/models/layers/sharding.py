"""One step of FILM in two processes, each with one of two pairs, under each way to distribute a network.

Run as `python sharding.py RANK WORLD PORT OUT`. Process 0 writes the weights after the step to OUT, by the way's name,
and under `refused` the errors of the ways that are refused.
"""

import sys
from functools import partial

import torch
import torch.distributed as dist
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.distributed.fsdp.wrap import ModuleWrapPolicy
from torch.nn.parallel import DistributedDataParallel

from vlfusion.errors import NetworkError
from vlfusion.models.backbones.film import FILM, Branch
from vlfusion.models.layers import strips
from vlfusion.models.layers.restormer import RestormerBlock

#: Gradients become differences of weights.
RATE = 1.


def two_pairs():
    """Return sources and texts of two pairs, cut into several strips."""
    strips.PIXELS['cpu'] = 200
    generator = torch.Generator().manual_seed(0)
    return (*torch.rand(2, 2, 1, 40, 24, generator=generator), torch.randn(2, 5, 8, generator=generator))


def film():
    torch.manual_seed(0)
    return FILM(text_dim=8, dim=16, heads=2, expansion=2, guidance_grid=(16, 32), attention_dim=32)


def step(network, *pairs):
    """Train one step on these pairs."""
    network(*pairs).square().mean().backward()
    torch.optim.SGD(network.parameters(), lr=RATE).step()


def _sharded(network, *, units):
    for module in list(network.modules()):
        if isinstance(module, units):
            fully_shard(module)
    return fully_shard(network)


def _fsdp1(network, *, units=(), use_orig_params=True):
    policy = ModuleWrapPolicy(set(units)) if units else None
    return FullyShardedDataParallel(network, device_id=torch.device('cpu'), use_orig_params=use_orig_params,
                                    auto_wrap_policy=policy)


WAYS = {
    'DDP': DistributedDataParallel,
    'DDP, unused parameters': partial(DistributedDataParallel, find_unused_parameters=True),
    'FSDP 2': partial(_sharded, units=()),
    'FSDP 2, by branches': partial(_sharded, units=(Branch,)),
    'FSDP 2, by blocks': partial(_sharded, units=(RestormerBlock,)),
    'FSDP 1': _fsdp1,
    'FSDP 1, by branches': partial(_fsdp1, units=(Branch,)),
    'FSDP 1, by blocks': partial(_fsdp1, units=(RestormerBlock,)),
}


def weights(network):
    """Return whole weights by their names in FILM, in every process."""
    if isinstance(network, FullyShardedDataParallel):
        with FullyShardedDataParallel.summon_full_params(network, writeback=False):
            named = {name: tensor.detach().clone() for name, tensor in network.named_parameters()}
    else:
        named = {name: tensor.detach().full_tensor() if hasattr(tensor, 'full_tensor') else tensor.detach().clone()
                 for name, tensor in network.named_parameters()}
    return {name.removeprefix('module.').replace('_fsdp_wrapped_module.', ''): tensor for name, tensor in named.items()}


def main(rank, world, port, out):
    dist.init_process_group('gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=world)
    own = [part[rank:rank + 1] for part in two_pairs()]
    results = {}
    for name, wrap in WAYS.items():
        network = wrap(film())
        step(network, *own)
        results[name] = weights(network)
    for units in ((), (RestormerBlock,)):
        try:
            step(_fsdp1(film(), units=units, use_orig_params=False), *own)
        except NetworkError as error:
            results.setdefault('refused', []).append(str(error))
    if rank == 0:
        torch.save(results, out)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == '__main__':
    main(*map(int, sys.argv[1:4]), sys.argv[4])
