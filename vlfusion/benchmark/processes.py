"""Several processes that share the work of a comparison. They share the cache, and exchange failures and counts."""

from datetime import timedelta

import torch
import torch.distributed as dist

from vlfusion.benchmark.run import Run
from vlfusion.engine.compat import end_of_group_member
from vlfusion.system.devices import with_index
from vlfusion.system.launchers import take_variables

#: The others wait this long for a process that is still at work.
PATIENCE = timedelta(days=30)


class Group:
    """The processes that a launcher started.

    Args:
        launcher: `none`, `pytorch` (torchrun), `slurm` or `mpi`.

    Attributes:
        rank: index of this process.
        world: number of processes.
    """

    def __init__(self, launcher: str = 'none'):
        self.rank, self.world = 0, 1
        if launcher == 'none':
            return
        take_variables(launcher)
        if torch.cuda.is_available():
            torch.cuda.set_device(with_index('cuda'))
        dist.init_process_group('gloo', timeout=PATIENCE)
        self.rank, self.world = dist.get_rank(), dist.get_world_size()

    def gather(self, run: Run) -> None:
        """Wait for the other processes, and add their failures and counts to the run."""
        if self.world == 1:
            return
        reports = [None] * self.world
        dist.all_gather_object(reports, (run.failures, run.counts))
        for failures, counts in reports[:self.rank] + reports[self.rank + 1:]:
            run.failures |= failures
            run.counts += counts

    def end(self, code: int = 0) -> None:
        """Leave the group. If there are several processes, each ends here at once, with this exit code."""
        if self.world > 1:
            end_of_group_member(code)
