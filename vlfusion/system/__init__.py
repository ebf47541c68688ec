"""The machine: devices, memory, threads, processes and their launchers."""
