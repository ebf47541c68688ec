"""The machine underneath: devices, memory, threads, processes and their launchers."""
