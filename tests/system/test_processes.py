"""Names of processes."""

import subprocess
import sys

from vlfusion.system.processes import has_ended, is_alive, machine, this_process


def test_a_process_is_known_by_its_name():
    child = subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.read()'], stdin=subprocess.PIPE)
    host, _, where = this_process().split(' ')
    name = f'{host} {child.pid} {where}'
    assert is_alive(child.pid) and not has_ended(name) and where == machine()
    child.communicate()
    assert has_ended(name) and not has_ended(f'{host} {child.pid} 00000000')
    assert not any(map(has_ended, ('', 'x', 'elsewhere 1', f'{host} {child.pid}', this_process())))
