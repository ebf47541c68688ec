"""Threads that wait for each other.

Strips make many short parallel regions. At the end of each, the threads of GNU's OpenMP library spin for milliseconds
by default. Where another program keeps a core busy, they spin in the time of the thread that they wait for, which can
make a forward pass many times as slow. So they spin briefly and then sleep.

The OpenMP library reads its settings once, when torch is imported.
"""

import os
import sys

#: What keeps the user's own choice; the last is that of Intel's and LLVM's libraries.
CHOICES = ('GOMP_SPINCOUNT', 'OMP_WAIT_POLICY', 'KMP_BLOCKTIME')

#: Rounds of a waiting thread before it sleeps, some microseconds; the library's own default is 300,000.
ROUNDS = 300


def bound_spinning() -> None:
    """Set `GOMP_SPINCOUNT`, for this process and those it starts, unless the user has chosen or torch is loaded."""
    if 'torch' not in sys.modules and not any(name in os.environ for name in CHOICES):
        os.environ['GOMP_SPINCOUNT'] = str(ROUNDS)
