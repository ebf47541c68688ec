"""`vlfusion check-pairs` for a checkout: python tools/check_pairs.py --help"""

from vlfusion.cli import script

script(__file__)
