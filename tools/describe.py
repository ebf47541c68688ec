"""`vlfusion describe` for a checkout: python tools/describe.py --help"""

from vlfusion.cli import script

script(__file__)
