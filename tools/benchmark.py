"""`vlfusion benchmark` for a checkout: python tools/benchmark.py --help"""

from vlfusion.cli import script

script(__file__)
