"""`vlfusion downstream` for a checkout: python tools/downstream.py --help"""

from vlfusion.cli import script

script(__file__)
