"""Several processes on one comparison. They share the cache; all they tell one another is what failed and was done."""

import os
import subprocess
from datetime import timedelta

import torch
import torch.distributed as dist

from vlfusion.benchmark.run import Run
from vlfusion.compat import end_of_group_member
from vlfusion.errors import ConfigError

#: What tells rank, number of processes and rank on the machine, by the launcher.
VARIABLES = {'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
             'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
             'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK')}
#: One process may be at work on the last pair while the others have nothing left to do.
PATIENCE = timedelta(days=30)


class Group:
    """The processes that a launcher started.

    Args:
        launcher: `none`, `pytorch` (torchrun), `slurm` or `mpi`.

    Attributes:
        rank: which of them this is.
        world: how many there are.
    """

    def __init__(self, launcher: str = 'none'):
        self.rank, self.world = 0, 1
        if launcher == 'none':
            return
        rank, world, local = VARIABLES[launcher]
        if lacking := [name for name in (rank, world) if name not in os.environ]:
            command = {'pytorch': 'torchrun --nproc-per-node N', 'slurm': 'srun', 'mpi': 'mpirun -n N'}[launcher]
            raise ConfigError(f'--launcher {launcher} needs the variable {lacking[0]}, which is not set.',
                              f'Start it with `{command} tools/benchmark.py ...`, or leave --launcher out.')
        os.environ |= {'RANK': os.environ[rank], 'WORLD_SIZE': os.environ[world]}
        if 'MASTER_ADDR' not in os.environ:
            os.environ['MASTER_ADDR'] = _first_host() if launcher == 'slurm' else '127.0.0.1'
        os.environ.setdefault('MASTER_PORT', '29500')
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get(local, 0)) % torch.cuda.device_count())
        dist.init_process_group('gloo', timeout=PATIENCE)
        self.rank, self.world = dist.get_rank(), dist.get_world_size()

    def gather(self, run: Run) -> None:
        """Wait for the others; then the run knows what failed in any process, and what all of them did."""
        if self.world == 1:
            return
        every = [None] * self.world
        dist.all_gather_object(every, (run.failures, run.counts))
        for failures, counts in every[:self.rank] + every[self.rank + 1:]:
            run.failures |= failures
            run.counts += counts

    def end(self, code: int = 0) -> None:
        """Leave the group. Of several processes each ends here, at once, with this exit code."""
        if self.world > 1:
            end_of_group_member(code)


def _first_host() -> str:
    """The host of the first task of a Slurm job."""
    try:
        listed = subprocess.run(['scontrol', 'show', 'hostnames', os.environ['SLURM_NODELIST']], capture_output=True,
                                text=True, check=True)
    except (OSError, KeyError, subprocess.SubprocessError) as error:
        raise ConfigError(f'The first host of the Slurm job is not known: {type(error).__name__} {error}.',
                          'Set MASTER_ADDR to it.') from error
    return listed.stdout.split()[0]
