"""`vlfusion env` for a checkout: python tools/env.py --help"""

from vlfusion.cli import script

script(__file__)
