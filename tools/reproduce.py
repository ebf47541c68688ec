"""`vlfusion reproduce` for a checkout: python tools/reproduce.py --help"""

from vlfusion.cli import script

script(__file__)
