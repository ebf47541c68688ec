"""`vlfusion list` for a checkout: python tools/list.py --help"""

from vlfusion.cli import script

script(__file__)
