"""Waiting threads of the OpenMP library.

torch divides an operation among threads, which wait for each other at its end. Threads of GNU's OpenMP library
busy-wait for milliseconds by default. If another program keeps a core busy, they take time from the very thread that
they wait for, and a forward pass of many short operations can become many times slower. So threads spin only briefly
and then sleep.

The OpenMP library reads its settings once, when torch is imported.
"""

import os
import sys

#: Variables by which users choose for themselves. The last belongs to the libraries of Intel and LLVM.
CHOICES = ('GOMP_SPINCOUNT', 'OMP_WAIT_POLICY', 'KMP_BLOCKTIME')

#: Rounds that a waiting thread spins before it sleeps: some microseconds. The library's default is 300,000.
ROUNDS = 300


def bound_spinning() -> None:
    """Set `GOMP_SPINCOUNT` for this process and its children, unless the user has set one or torch is loaded."""
    if 'torch' not in sys.modules and not any(name in os.environ for name in CHOICES):
        os.environ['GOMP_SPINCOUNT'] = str(ROUNDS)
