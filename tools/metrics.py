"""`vlfusion metrics` for a checkout: python tools/metrics.py --help"""

from vlfusion.cli import script

script(__file__)
