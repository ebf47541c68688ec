"""Launchers of several processes: environment variables of torchrun, Slurm and MPI, translated for torch."""

import os
import subprocess

from vlfusion.errors import ConfigError, did_you_mean

#: Variables that hold the rank, the number of processes and the rank on the machine, by launcher.
VARIABLES = {'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
             'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
             'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK')}
COMMANDS = {'pytorch': 'torchrun --nproc-per-node N', 'slurm': 'srun', 'mpi': 'mpirun -n N'}


def take_variables(launcher: str) -> int:
    """Set torch's variables from those of the launcher, and return the rank of this process.

    Args:
        launcher: `none`, which sets nothing, `pytorch` (torchrun), `slurm` or `mpi`.

    Raises:
        ConfigError: the launcher is unknown or did not start this process, or a variable is not a number.
    """
    if launcher == 'none':
        return 0
    if launcher not in VARIABLES:
        raise ConfigError(f'There is no launcher {launcher!r}.', did_you_mean(launcher, ['none', *VARIABLES]))
    names = VARIABLES[launcher]
    remedy = f'Start it with `{COMMANDS[launcher]} tools/VERB.py ...`, or leave --launcher out.'
    if lacking := [name for name in names[:2] if name not in os.environ]:
        raise ConfigError(f'--launcher {launcher} needs the variable {lacking[0]}, which is not set.', remedy)
    values = {name: os.environ.get(name, '0') for name in names}
    for name, value in values.items():
        if not value.isdecimal():
            raise ConfigError(f'--launcher {launcher} needs a number in the variable {name}, but it is {value!r}.',
                              remedy)
    os.environ |= dict(zip(VARIABLES['pytorch'], values.values(), strict=True))
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_host() if launcher == 'slurm' else '127.0.0.1'
    os.environ.setdefault('MASTER_PORT', '29500')
    return int(os.environ['RANK'])


def _first_host() -> str:
    """Return the host of the first task of a Slurm job."""
    try:
        listed = subprocess.run(['scontrol', 'show', 'hostnames', os.environ['SLURM_NODELIST']], capture_output=True,
                                text=True, check=True)
    except (OSError, KeyError, subprocess.SubprocessError) as error:
        raise ConfigError(f'The first host of the Slurm job is not known: {type(error).__name__} {error}.',
                          'Set the variable MASTER_ADDR to its name.') from error
    return listed.stdout.split()[0]
