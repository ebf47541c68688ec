"""`vlfusion compare` for a checkout: python tools/compare.py --help"""

from vlfusion.cli import script

script(__file__)
