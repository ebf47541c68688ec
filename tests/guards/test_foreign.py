"""Whatever foreign code raises becomes one error, and Ctrl-C passes."""

import os
import signal

import pytest

from vlfusion.errors import ConfigError, DataError, PluginError
from vlfusion.guards.foreign import foreign


def ends(code):
    with foreign('The backbone X fails', ConfigError, 'Fix it.'):
        exec(compile(code, '/somewhere/x.py', 'exec'), {})


@pytest.mark.parametrize(('code', 'said'), [
    ('1 / 0', 'ZeroDivisionError: division by zero (x.py, line 1)'),
    ('\nraise SystemExit(3)', 'it called sys.exit(3) (x.py, line 2)'),
    ('raise KeyboardInterrupt', 'KeyboardInterrupt (x.py, line 1)'),
    ("raise type('Odd', (BaseException,), {})('first\\nsecond')", 'Odd: first (x.py, line 1)'),
    ('def f(): f()\nf()', 'perhaps it refers to itself'), ('exec("1 +")', 'SyntaxError: invalid syntax'),
    ('import no_such_module', "ModuleNotFoundError: No module named 'no_such_module' (x.py, line 1)"),
])
def test_whatever_is_raised_becomes_one_error(code, said):
    with pytest.raises(ConfigError) as caught:
        ends(code)
    assert caught.value.problem.startswith('The backbone X fails: ') and said in caught.value.problem
    assert '\n' not in caught.value.problem and caught.value.remedy == 'Fix it.'


def test_errors_that_pass():
    with pytest.raises(DataError, match='^mine$'), foreign('X'):
        raise DataError('mine')
    with pytest.raises(MemoryError), foreign('X', let=(MemoryError,)):
        raise MemoryError
    with pytest.raises(PluginError, match='X: MemoryError'), foreign('X'):
        raise MemoryError


@pytest.mark.parametrize('handler', [signal.default_int_handler, None])
def test_control_c_passes(handler):
    def own(*_):
        raise KeyboardInterrupt
    before = signal.signal(signal.SIGINT, handler or own)
    try:
        with pytest.raises(KeyboardInterrupt), foreign('X'):
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(10 ** 6):  # the signal arrives at the next step of the interpreter
                pass
    finally:
        signal.signal(signal.SIGINT, before)
