"""Processes share the work of a comparison."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from comparing import TWO, toy, write_config

from vlfusion.cli import main


def start(launcher, *command, tmp_path):
    """Two processes as torchrun starts them, or as srun does: each with Slurm's variables."""
    environment = os.environ | {'PYTHONPATH': f'{tmp_path}'}
    if launcher == 'pytorch':
        run = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2']
        return [subprocess.Popen([*run, *command, '--launcher', launcher], env=environment)]
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        environment |= {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(free.getsockname()[1]), 'SLURM_NTASKS': '2'}
    return [subprocess.Popen([sys.executable, *command, '--launcher', launcher],
                             env=environment | {'SLURM_PROCID': str(rank), 'SLURM_LOCALID': str(rank)})
            for rank in range(2)]


def test_a_launcher_that_is_none(compare, capsys):
    write_config(Path('b.py'), TWO)
    for launcher in ('pytorch', 'slurm'):
        assert main(['benchmark', 'b.py', '--out', 'out', '--launcher', launcher]) == 2
        assert f'--launcher {launcher} needs the variable' in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize('launcher', ['pytorch', 'slurm'])
def test_processes_share_the_work(compare, tmp_path, launcher):
    methods = TWO | {'Broken': toy('ToyBroken')}
    write_config(tmp_path / 'b.py', methods, metrics=['EN', 'SF'])
    script = Path(__file__).parents[2] / 'tools/benchmark.py'
    processes = start(launcher, str(script), 'b.py', '--out', 'two', '--no-report', tmp_path=tmp_path)
    assert [process.wait(timeout=300) for process in processes] == [1] * len(processes), 'Broken failed'
    assert main(['benchmark', 'b.py', '--out', 'one', '--no-report']) == 1
    two, one = (Path(out, 'scores.csv').read_text() for out in ('two', 'one'))
    assert two == one
    held = json.loads(Path('two/manifest.json').read_text())
    assert held['processes'] == 2 and held['counts']['fused'] == 12 and 'Toy: Broken' in held['failures']
