"""Launchers: their variables in torch's words."""

import os

import pytest

from vlfusion.errors import ConfigError
from vlfusion.system.launchers import VARIABLES, take_variables


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Without any launcher; set back at the end."""
    monkeypatch.setattr(os, 'environ', {})


def test_without_a_launcher_nothing_is_set():
    assert take_variables('none') == 0 and 'RANK' not in os.environ


@pytest.mark.parametrize('launcher', VARIABLES)
def test_variables_are_taken(launcher):
    os.environ |= dict(zip(VARIABLES[launcher], '351', strict=True)) | {'MASTER_ADDR': 'first'}
    assert take_variables(launcher) == 3
    assert {name: os.environ[name] for name in (*VARIABLES['pytorch'], 'MASTER_ADDR', 'MASTER_PORT')} == {
        'RANK': '3', 'WORLD_SIZE': '5', 'LOCAL_RANK': '1', 'MASTER_ADDR': 'first', 'MASTER_PORT': '29500'}


@pytest.mark.parametrize(('launcher', 'command'), [('pytorch', 'torchrun'), ('slurm', 'srun'), ('mpi', 'mpirun')])
def test_what_is_missing_or_no_number_is_named(launcher, command):
    rank, world, _ = VARIABLES[launcher]
    with pytest.raises(ConfigError, match=f'needs the variable {rank}, which is not set.*\n.*{command}'):
        take_variables(launcher)
    os.environ |= {rank: '0', world: 'two'}
    with pytest.raises(ConfigError, match=f"a number in the variable {world}, but it is 'two'"):
        take_variables(launcher)


def test_an_unknown_launcher_is_refused():
    with pytest.raises(ConfigError, match=r"no launcher 'slrum'\.\n.*Did you mean slurm"):
        take_variables('slrum')
