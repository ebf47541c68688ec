"""Several processes on one comparison. They share the cache; all they tell one another is what failed and was done."""

import os
from datetime import timedelta

import torch
import torch.distributed as dist

from vlfusion.benchmark.run import Run
from vlfusion.engine.compat import end_of_group_member
from vlfusion.system.launchers import take_variables

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
        take_variables(launcher)
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ['LOCAL_RANK']) % torch.cuda.device_count())
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
