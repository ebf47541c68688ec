"""`vlfusion test` for a checkout: python tools/test.py --help"""

from vlfusion.cli import script

script(__file__)
