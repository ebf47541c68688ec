"""`vlfusion evaluate` for a checkout: python tools/evaluate.py --help"""

from vlfusion.cli import script

script(__file__)
