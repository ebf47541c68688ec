"""`vlfusion data` for a checkout: python tools/data.py --help"""

from vlfusion.cli import script

script(__file__)
